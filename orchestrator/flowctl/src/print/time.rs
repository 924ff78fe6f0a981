//! Instants: read from JSON, shown to people in their own time zone.

use flow::Time;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::human;

/// Milliseconds since the epoch of an RFC 3339 text that we wrote.
pub fn parse(text: &str) -> Option<Time> {
    let at: Timestamp = text.parse().ok()?;
    Time::try_from(at.as_millisecond()).ok()
}

/// Now, for people: runs are measured by the driver's clock.
pub fn now() -> Time {
    Time::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// `2026-11-22 10:00:00` in the machine's time zone.
pub fn local(at: Time) -> String {
    match Timestamp::from_millisecond(at.try_into().unwrap_or(i64::MAX)) {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "beyond the calendar".to_owned(),
    }
}

/// How long it took, or has taken so far. Nothing before it began.
pub fn took(started: Option<Time>, finished: Option<Time>) -> Option<String> {
    Some(human::duration(finished.unwrap_or_else(now).saturating_sub(started?)))
}

/// Reads an instant: RFC 3339, or a date or a time without zone, which is UTC.
///
/// # Errors
/// What was expected.
pub fn instant(text: &str) -> Result<Time, String> {
    let zoned = || text.parse::<Timestamp>().ok();
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let at = zoned().or_else(civil).ok_or("expected a time such as `2013-01-31` or `2013-01-31T06:30:00Z`")?;
    Time::try_from(at.as_millisecond()).map_err(|_| "times before 1970 are not supported".to_owned())
}

/// Reads the last instant that counts: as [`instant`], but a date means to its end.
///
/// # Errors
/// What was expected.
pub fn until(text: &str) -> Result<Time, String> {
    let at = instant(text)?;
    let is_date = text.parse::<Date>().is_ok() && !text.contains([':', 'T', 't', ' ']);
    Ok(if is_date { at + 86_400_000 - 1 } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_without_a_zone_are_utc() {
        let new_year = 1_356_998_400_000;
        for text in ["2013-01-01", "2013-01-01T00:00:00Z", "2013-01-01T01:00:00+01:00", "2013-01-01 00:00"] {
            assert_eq!(instant(text), Ok(new_year), "{text}");
        }
        assert!(instant("soon").is_err() && instant("1969-12-31").is_err());
        assert_eq!(parse("2013-01-01T00:00:00.000Z"), Some(new_year));
        assert_eq!(until("2012-12-31"), Ok(new_year - 1));
        assert_eq!(until("2013-01-01T00:00:00Z"), Ok(new_year));
    }
}
