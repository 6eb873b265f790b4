//! Times as events spell them.

use parser::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;
use time::OffsetDateTime;

/// RFC 3339, UTC, microseconds: `2026-03-01T07:12:09.123456Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    Stamp(at).to_string()
}

/// A time, written as [`rfc3339`] writes it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(pub(crate) Timestamp);

impl Stamp {
    fn text(self) -> [u8; 27] {
        let seconds = i64::try_from(self.0.0 / 1_000_000_000).unwrap_or(0);
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (moment.date(), moment.time());
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let numbers = [
            (0..4, date.year().unsigned_abs()),
            (5..7, u32::from(u8::from(date.month()))),
            (8..10, u32::from(date.day())),
            (11..13, u32::from(time.hour())),
            (14..16, u32::from(time.minute())),
            (17..19, u32::from(time.second())),
            (20..26, (self.0.0 % 1_000_000_000 / 1_000) as u32),
        ];
        for (place, mut number) in numbers {
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        text
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ascii(&self.text()))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&self.text()))
    }
}

/// Text that was put together from ASCII.
pub(super) fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// The same for Unix seconds of a certificate, which may lie outside of what a [`Timestamp`] holds; `None` outside of
/// the years 0 to 9999.
pub(super) fn rfc3339_seconds(seconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|m| (0..=9999).contains(&m.year()))?;
    moment.format(&time::format_description::well_known::Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_kept_and_padded() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(Timestamp(1_772_349_129_000_042_999)), "2026-03-01T07:12:09.000042Z");
    }

    #[test]
    fn the_last_time_there_is_prints() {
        assert!(rfc3339(Timestamp(u64::MAX)).starts_with("2554-"));
    }

    #[test]
    fn dates_of_certificates_may_be_absurd() {
        assert_eq!(rfc3339_seconds(1_772_349_129).as_deref(), Some("2026-03-01T07:12:09Z"));
        assert_eq!(rfc3339_seconds(-1).as_deref(), Some("1969-12-31T23:59:59Z"));
        assert_eq!(rfc3339_seconds(i64::MAX), None);
    }
}
