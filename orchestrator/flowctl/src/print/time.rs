//! Instants: read from JSON, shown to people in their own time zone.

use flow::Time;
use jiff::Timestamp;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_wrote_is_read() {
        assert_eq!(parse("2013-01-01T00:00:00.000Z"), Some(1_356_998_400_000));
        assert_eq!(parse("soon"), None);
    }
}
