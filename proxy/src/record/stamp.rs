//! Times as events spell them.

use parser::Timestamp;
use time::OffsetDateTime;

/// RFC 3339, UTC, microseconds: `2026-03-01T07:12:09.123456Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
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
