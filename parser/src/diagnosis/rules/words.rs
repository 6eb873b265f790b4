//! Numbers in the words of a report.

use crate::wire::TlsVersion;
use core::fmt::{self, Write as _};
use core::time::Duration;

/// A distinguished name of a hostile certificate may fill its whole message; nobody reads more than this of one.
const LONGEST_FOREIGN_TEXT: usize = 160;

/// What to read first when a host disconnects in clear where its TLS should begin.
pub(super) const XRDP_CANNOT_START_TLS: &str = "This is how xrdp ends when TLS cannot start: read xrdp.log at this second for the key, the certificate or `tls_ciphers=`.";

/// What `format!` gives, in one piece of memory: most sentences fit, where it would begin with less and move.
macro_rules! sentence {
    ($($what:tt)*) => {{
        let mut text = String::with_capacity($crate::diagnosis::rules::words::USUAL_SENTENCE);
        // A `String` takes all that is written.
        let _ = core::fmt::Write::write_fmt(&mut text, format_args!($($what)*));
        text
    }};
}
pub(super) use sentence;

/// Bytes that most sentences fit in.
pub(super) const USUAL_SENTENCE: usize = 112;

/// `0.4 ms`, `23 ms`, `1.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(time: Duration) -> Span {
    Span(time)
}

/// See [`span`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole numbers: a verdict on a session that ended well says three of these, and floats would be a third of its cost.
        let (seconds, nanoseconds) = (self.0.as_secs(), u64::from(self.0.subsec_nanos()));
        let tenths = |nanoseconds: u64, unit: u64| {
            let tenths = (nanoseconds + unit / 20) * 10 / unit;
            (tenths / 10, tenths % 10)
        };
        let with_tenth = |f: &mut fmt::Formatter<'_>, (whole, tenth): (u64, u64), unit| {
            whole.fmt(f)?;
            f.write_str(".")?;
            tenth.fmt(f)?;
            f.write_str(unit)
        };
        match seconds {
            0 if nanoseconds < 10_000_000 => with_tenth(f, tenths(nanoseconds, 1_000_000), " ms"),
            0 => write!(f, "{} ms", nanoseconds / 1_000_000),
            1..=59 => with_tenth(f, tenths(seconds * 1_000_000_000 + nanoseconds, 1_000_000_000), " s"),
            60..=3_599 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3_600..=86_399 => write!(f, "{} h {} min", seconds / 3_600, seconds / 60 % 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
        }
    }
}

/// A Unix time as `2024-02-29 12:30 UTC`. Any `i64` is accepted; years outside of 0 to 9999 are written as they are.
pub(crate) fn date(unix: i64) -> String {
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: the usual civil-from-days reckoning.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

/// A text that a stranger chose, fit for one line: no control characters, at most [`LONGEST_FOREIGN_TEXT`] characters.
pub(super) fn foreign_text(text: &str) -> String {
    let mut plain: String = text
        .chars()
        .take(LONGEST_FOREIGN_TEXT)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(LONGEST_FOREIGN_TEXT).is_some() {
        plain.push('…');
    }
    plain
}

/// `1 byte`, `9 bytes`.
pub(super) fn bytes(count: u64) -> Counted {
    Counted { count, one: " byte", many: " bytes" }
}

/// `1 record`, `3 records`.
pub(super) fn records(count: u64) -> Counted {
    Counted { count, one: " record", many: " records" }
}

/// So many of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    count: u64,
    one: &'static str,
    many: &'static str,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count.fmt(f)?;
        f.write_str(if self.count == 1 { self.one } else { self.many })
    }
}

/// Values joined by commas, at most `most` of them, then how many more there are.
pub(super) fn list<T: fmt::Display>(values: impl IntoIterator<Item = T>, most: usize) -> String {
    let mut values = values.into_iter();
    let mut text = String::with_capacity(USUAL_SENTENCE);
    for value in values.by_ref().take(most) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let _ = write!(text, "{value}");
    }
    let more = values.count();
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// `TLS 1.2`, as fields of the event write it; the number where there is no name.
pub(super) fn version_name(version: TlsVersion) -> String {
    match version.name() {
        Some(name) if name.starts_with(|c: char| c.is_ascii_digit()) => format!("TLS {name}"),
        Some(name) => name.to_owned(),
        None => version.to_string(),
    }
}

/// Up to 16 foreign bytes as hex, with their text beside it when it is printable.
pub(super) fn foreign(sample: &[u8]) -> String {
    let hex: Vec<String> = sample.iter().take(16).map(|b| format!("{b:02x}")).collect();
    let printable = sample.iter().take_while(|b| b.is_ascii_graphic() || **b == b' ').count();
    if printable < 4 {
        return hex.join(" ");
    }
    let text: String = sample.iter().take(printable.min(16)).map(|b| char::from(*b)).collect();
    format!("{} (\"{text}\")", hex.join(" "))
}

/// The status of an HTTP answer that begins with these bytes. RFC 9112 4
pub(super) fn http_status(sample: &[u8]) -> Option<u16> {
    let [b'0'..=b'9', b'.', b'0'..=b'9', b' ', code @ ..] = sample.strip_prefix(b"HTTP/")? else { return None };
    let (code, after) = code.split_at_checked(3)?;
    let status = core::str::from_utf8(code).ok()?.parse().ok()?;
    ((100..600).contains(&status) && !after.first().is_some_and(u8::is_ascii_digit)).then_some(status)
}

/// The same as evidence.
pub(super) fn web_server(sample: &[u8]) -> Option<String> {
    http_status(sample).map(|status| format!("That is a web server's answer in clear: HTTP status {status}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_709_209_800), "2024-02-29 12:30 UTC");
        assert_eq!(date(-1), "1969-12-31 23:59 UTC");
        assert_eq!(date(253_402_300_799), "9999-12-31 23:59 UTC");
    }

    #[test]
    fn no_date_panics() {
        for unix in [i64::MIN / 2, i64::MAX / 2, -62_167_219_200] {
            assert!(date(unix).ends_with("UTC"));
        }
    }

    #[test]
    fn spans_have_the_unit_a_person_would_use() {
        let text = |ms| span(Duration::from_millis(ms)).to_string();
        assert_eq!((text(0), text(23), text(1_234)), ("0.0 ms".into(), "23 ms".into(), "1.2 s".into()));
        assert_eq!((text(1_250), text(59_949), text(59_999)), ("1.3 s".into(), "59.9 s".into(), "60.0 s".into()));
        let nanoseconds = |ns| span(Duration::from_nanos(ns)).to_string();
        assert_eq!((nanoseconds(449_999), nanoseconds(9_999_999)), ("0.4 ms".into(), "10.0 ms".into()));
        assert_eq!(text(250_000), "4 min 10 s");
        assert_eq!(text(7_500_000), "2 h 5 min");
    }

    #[test]
    fn a_text_of_a_stranger_stays_on_one_line_and_short() {
        assert_eq!(foreign_text("CN=a\nb\u{1b}[31m"), "CN=a\u{fffd}b\u{fffd}[31m");
        assert_eq!(foreign_text(&"ä".repeat(10_000)).chars().count(), LONGEST_FOREIGN_TEXT + 1);
    }

    #[test]
    fn foreign_bytes_show_their_text() {
        assert_eq!(foreign(b"HTTP"), "48 54 54 50 (\"HTTP\")");
        assert_eq!(foreign(&[0, 1]), "00 01");
    }

    #[test]
    fn the_status_of_an_http_answer_is_read_and_nothing_else_is_taken_for_one() {
        for (sample, status) in [(&b"HTTP/1.1 401 Una"[..], 401), (b"HTTP/1.0 503", 503), (b"HTTP/1.1 404\r\n", 404)] {
            assert_eq!(http_status(sample), Some(status));
        }
        for other in [
            &b"HTTP/1.1 40"[..],
            b"HTTP/1.1 4044 x",
            b"HTTP/1.1 999 x",
            b"HTTP/1.1  404",
            b"HTTP/1.1 +40 x",
            b"HTTP/2",
            b"",
        ] {
            assert_eq!(http_status(other), None, "{other:?}");
        }
    }
}
