//! Durations (`"5s"`) and sizes (`"64MiB"`), a whole number and a unit; moments (`"2026-12-01T12:00:00Z"`). Read and written.

use crate::problem::{Fault, shown};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const MILLISECONDS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const BYTES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// What people write for a unit, and what it is here.
const OTHER_UNITS: [(&str, &str); 23] = [
    ("msec", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("b", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("kb", "KiB"),
    ("m", "MiB"),
    ("mb", "MiB"),
    ("g", "GiB"),
    ("gb", "GiB"),
];

/// A duration such as `250ms`, `5s`, `5m`, `12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    read(text, "duration", "s", &MILLISECONDS).map(Duration::from_millis)
}

/// A size such as `256KiB`, `64MiB`, `1GiB`, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    // A large number alone is meant in bytes, a small one hardly.
    const BYTES_MEANT: u64 = 64 << 10;
    read(text, "size", "MiB", &BYTES).map_err(|fault| match text.parse::<u64>() {
        Ok(bytes) if bytes >= BYTES_MEANT => fault.instead(write_size(bytes)),
        _ => fault,
    })
}

/// A moment such as `2026-12-01T12:00:00Z`. RFC 3339 5.6
pub(crate) fn moment(text: &str) -> Result<SystemTime, Fault> {
    OffsetDateTime::parse(text, &Rfc3339).map(SystemTime::from).map_err(|_| {
        Fault::new("is no moment", format!("read `{}`", shown(text)))
            .instead("2026-12-01T12:00:00Z")
            .note("a date, `T`, a time, and `Z` for UTC or an offset such as `+01:00`")
    })
}

/// A moment in UTC.
pub(crate) fn write_moment(moment: SystemTime) -> String {
    // A year of five digits is all that could be refused.
    OffsetDateTime::from(moment).format(&Rfc3339).unwrap_or_default()
}

/// The shortest way to write a duration; parts of a millisecond are dropped.
pub(crate) fn write_duration(duration: Duration) -> String {
    write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &MILLISECONDS, "0s")
}

/// The shortest way to write a size.
pub(crate) fn write_size(bytes: u64) -> String {
    write(bytes, &BYTES, "0B")
}

/// `usual` is the unit to suggest when none was written.
fn read(text: &str, thing: &str, usual: &str, units: &[(&str, u64)]) -> Result<u64, Fault> {
    let known = || format!("units are {}", units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
    let not_one = || {
        Fault::new(format!("is not a {thing}"), format!("read `{}`", shown(text)))
            .instead(format!("10{usual}"))
            .note(known())
    };
    if text.starts_with('-') {
        return Err(Fault::new(format!("is a negative {thing}"), "below zero").note(known()));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    if unit.starts_with(['.', ',']) {
        let fault = Fault::new(format!("is not a whole {thing}"), "fractions are not taken, take a smaller unit");
        return Err(fault.note(known()));
    }
    if number.is_empty() {
        return Err(not_one());
    }
    if unit.is_empty() {
        return Err(Fault::new(format!("is a {thing} without a unit"), "a number alone")
            .instead(format!("{number}{usual}"))
            .note(known()));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let lower = unit.to_lowercase();
        let meant =
            OTHER_UNITS.iter().find(|(other, ours)| *other == lower && units.iter().any(|(name, _)| name == ours));
        let same = || units.iter().map(|(name, _)| *name).find(|name| name.to_lowercase() == lower);
        let Some(name) = meant.map(|(_, ours)| *ours).or_else(same) else { return Err(not_one()) };
        let fault = Fault::new("has a unit that is not known", format!("unit `{unit}`"));
        return Err(fault.instead(format!("{number}{name}")).note(known()));
    };
    let too_large = || Fault::new("is too large", "this number does not fit").instead(format!("10{usual}"));
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or_else(too_large)
}

fn write(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return zero.to_owned();
    }
    let unit = units.iter().find(|(_, factor)| value.is_multiple_of(*factor));
    unit.map_or_else(String::new, |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_of_the_contract_are_read() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(duration("5m").unwrap(), Duration::from_secs(300));
        assert_eq!(duration("12h").unwrap(), Duration::from_secs(43_200));
        assert_eq!(size("256KiB").unwrap(), 256 << 10);
        assert_eq!(size("64MiB").unwrap(), 64 << 20);
        assert_eq!(size("1GiB").unwrap(), 1 << 30);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for milliseconds in [0, 1, 999, 1_000, 60_000, 61_000, 3_600_000, 86_400_000] {
            let value = Duration::from_millis(milliseconds);
            assert_eq!(duration(&write_duration(value)).unwrap(), value);
        }
        for bytes in [0, 1, 1_023, 1_024, 64 << 20, 3 << 30] {
            assert_eq!(size(&write_size(bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn moments_are_read_with_their_offset_and_written_in_utc() {
        for (text, written) in [
            ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00Z"),
            ("2026-12-01T12:00:00.5+01:00", "2026-12-01T11:00:00.5Z"),
        ] {
            let read = moment(text).unwrap();
            assert_eq!(write_moment(read), written);
            assert_eq!(moment(written).unwrap(), read);
        }
        for text in ["", "tomorrow", "2026-12-01", "2026-12-01 12:00", "2026-13-01T12:00:00Z", "1764590400"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_alone_is_refused_with_the_usual_unit() {
        assert_eq!(duration("5").unwrap_err().instead.as_deref(), Some("5s"));
        assert_eq!(size("64").unwrap_err().instead.as_deref(), Some("64MiB"));
        assert_eq!(size("67108864").unwrap_err().instead.as_deref(), Some("64MiB"));
    }

    #[test]
    fn other_units_are_translated() {
        assert_eq!(duration("5 minutes").unwrap_err().instead.as_deref(), Some("5m"));
        assert_eq!(size("64MB").unwrap_err().instead.as_deref(), Some("64MiB"));
        assert_eq!(size("64mib").unwrap_err().instead.as_deref(), Some("64MiB"));
        assert_eq!(duration("5mb").unwrap_err().instead.as_deref(), Some("10s"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "-5s", "1.5s", "s", "５s", "99999999999999999999s", "18446744073709551615d", "1h30m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
