//! When a flow runs by itself: cron expressions by Vixie's rules, in an IANA time zone.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::spec::{Catchup, Dst, Overlap};
use crate::{Time, duration, name, spec};

mod pattern;
mod times;
mod turn;

pub use pattern::{Pattern, cron};
pub use turn::{Standing, Turn};

/// A schedule that was understood.
#[derive(Clone, Debug)]
pub struct Schedule {
    pattern: Pattern,
    timezone: TimeZone,
    dst: Dst,
    /// The first and the last logical time that there may be.
    start: Option<Time>,
    end: Option<Time>,
    jitter_ms: u64,
    catchup: Catchup,
    overlap: Overlap,
}

impl Schedule {
    /// The schedule of a flow file. `None` if something in it is wrong, which the check of the file tells.
    pub fn of(spec: &spec::Schedule) -> Option<Self> {
        let zone = spec.timezone.as_ref().map_or("UTC", |zone| zone.get_ref());
        let timezone = timezone(zone).ok()?;
        let start = spec.start.as_ref().map(|text| first(text.get_ref(), &timezone)).transpose().ok()?;
        let end = spec.end.as_ref().map(|text| last(text.get_ref(), &timezone)).transpose().ok()?;
        let jitter_ms = spec.jitter.as_ref().map(|text| duration::parse(text.get_ref())).transpose().ok()?;
        let pattern = cron(spec.cron.get_ref()).ok()?;
        let (jitter_ms, dst) = (jitter_ms.unwrap_or(0), spec.dst);
        let (catchup, overlap) = (spec.catchup, spec.overlap);
        Some(Schedule { pattern, timezone, dst, start, end, jitter_ms, catchup, overlap })
    }

    /// What the clocks of the schedule's zone show, such as `Sun 2024-03-10 03:00 EDT`.
    pub fn wall(&self, time: Time) -> String {
        let at = i64::try_from(time).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
        let zoned = at.unwrap_or(Timestamp::MAX).to_zoned(self.timezone.clone());
        zoned.strftime(if zoned.second() == 0 { "%a %F %H:%M %Z" } else { "%a %F %T %Z" }).to_string()
    }

    /// When a run for `logical_time` is due: some of `jitter` later, always the same for one flow and time, and before
    /// the next one comes up.
    pub fn due(&self, flow: &str, logical_time: Time) -> Time {
        let hash = blake3::hash(format!("{flow} {logical_time}").as_bytes());
        let number = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if self.jitter_ms == 0 {
            return logical_time;
        }
        let latest = self.after(logical_time).next().map_or(Time::MAX, |next| next - 1);
        (logical_time + number % (self.jitter_ms + 1)).min(latest)
    }

    /// The schedule in plain English, with its zone.
    pub fn describe(&self) -> String {
        let text = self.pattern.cron.describe();
        let text = text.trim_end_matches('.').replacen("At every", "Every", 1);
        format!("{text} ({})", self.timezone.iana_name().unwrap_or("UTC"))
    }
}

/// Reads an instant: RFC 3339, or a date or a time without zone, which is UTC.
///
/// # Errors
/// What was expected.
pub fn instant(text: &str) -> Result<Time, String> {
    first(text, &TimeZone::UTC)
}

/// Reads the last instant that counts: as [`instant`], but a date means to its end.
///
/// # Errors
/// What was expected.
pub fn until(text: &str) -> Result<Time, String> {
    last(text, &TimeZone::UTC)
}

/// The first instant that `start` allows: midnight of a date, in the schedule's zone.
///
/// # Errors
/// What was expected.
pub fn first(text: &str, timezone: &TimeZone) -> Result<Time, String> {
    bound(text, timezone, |day| day)
}

/// The last instant that `end` allows: of a date, the end of that day.
///
/// # Errors
/// What was expected.
pub fn last(text: &str, timezone: &TimeZone) -> Result<Time, String> {
    let end_of = |day: Date| day.tomorrow().unwrap_or(day);
    match text.parse::<Date>() {
        Ok(_) if !text.contains(['T', 't', ' ', ':']) => Ok(bound(text, timezone, end_of)?.saturating_sub(1)),
        _ => bound(text, timezone, |day| day),
    }
}

fn bound(text: &str, timezone: &TimeZone, of_day: impl Fn(Date) -> Date) -> Result<Time, String> {
    let instant = text.parse::<Timestamp>().ok();
    let civil = || {
        let wall = match text.parse::<Date>() {
            Ok(day) if !text.contains(['T', 't', ' ', ':']) => of_day(day).to_datetime(jiff::civil::Time::midnight()),
            _ => text.parse::<DateTime>().ok()?,
        };
        Some(wall.to_zoned(timezone.clone()).ok()?.timestamp())
    };
    let at = instant.or_else(civil).ok_or("expected a time such as `2013-01-31` or `2013-01-31T06:30:00Z`")?;
    Time::try_from(at.as_millisecond()).map_err(|_| "times before 1970 are not supported".to_owned())
}

/// Finds an IANA time zone by its name, in the data that is part of the program.
///
/// # Errors
/// The near miss, if there is one, as a hint.
pub fn timezone(text: &str) -> Result<TimeZone, Option<String>> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(text).map_err(|_| {
        let names: Vec<_> = zones.available().map(|zone| zone.to_string()).collect();
        name::nearest(text, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_everywhere() {
        assert!(timezone("America/New_York").is_ok() && timezone("UTC").is_ok());
        assert_eq!(timezone("America/NewYork"), Err(Some("did you mean `America/New_York`?".to_owned())));
        assert_eq!(timezone("Mars"), Err(None));
    }

    fn schedule(text: &str) -> Schedule {
        let file = format!("name = \"f\"\n[schedule]\n{text}\n[tasks.t]\nkind = \"noop\"");
        let (flow, _) = spec::parse(&file);
        Schedule::of(flow.unwrap().schedule.unwrap().get_ref()).unwrap()
    }

    fn at(text: &str) -> Time {
        first(text, &TimeZone::UTC).unwrap()
    }

    #[test]
    fn instants_without_a_zone_are_utc() {
        let new_year = 1_356_998_400_000;
        for text in ["2013-01-01", "2013-01-01T00:00:00Z", "2013-01-01T01:00:00+01:00", "2013-01-01 00:00"] {
            assert_eq!(instant(text), Ok(new_year), "{text}");
        }
        assert!(instant("soon").is_err() && instant("1969-12-31").is_err());
        assert_eq!(until("2012-12-31"), Ok(new_year - 1));
        assert_eq!(until("2013-01-01T00:00:00Z"), Ok(new_year));
    }

    #[test]
    fn a_schedule_describes_itself() {
        let monthly = schedule("cron = \"30 6 1 * *\"\ntimezone = \"America/New_York\"");
        assert_eq!(monthly.describe(), "At 06:30, on day 1 (America/New_York)");
        assert_eq!(schedule("cron = \"*/2 * * * *\"").describe(), "Every 2 minutes (UTC)");
    }

    #[test]
    fn times_lie_within_start_and_end() {
        let zone = "cron = \"0 6 * * *\"\ntimezone = \"America/New_York\"";
        let schedule = schedule(&format!("{zone}\nstart = \"2024-01-03\"\nend = \"2024-01-05\""));
        let all: Vec<Time> = schedule.after(0).collect();
        assert_eq!(all, ["2024-01-03T11:00:00Z", "2024-01-04T11:00:00Z", "2024-01-05T11:00:00Z"].map(at));
        assert_eq!(schedule.latest(at("2030-01-01")), Some(all[2]));
        assert_eq!(schedule.latest(at("2024-01-03")), None);
        assert_eq!(schedule.interval_start(all[1]), Some(all[0]));
        assert_eq!(schedule.interval_start(all[0]), Some(at("2024-01-02T11:00:00Z")), "data may be older than `start`");
    }

    #[test]
    fn missed_times_are_made_up_for_as_the_file_says() {
        let hours = |texts: [&str; 3]| texts.map(|hour| at(&format!("2024-01-03T{hour}:00:00Z")));
        let [three, nine, now] = hours(["03", "09", "10"]);
        let standing = Standing { handled: three, busy: false, paused: false, up_since: now - 7_200_000 };
        let turn =
            |rules: &str, standing| schedule(&format!("cron = \"0 */3 * * *\"\n{rules}")).turn("f", standing, now);
        let run = |time, handled| Some(Turn { run: time, handled });
        let six = three + 3 * 3_600_000;
        assert_eq!(turn("", standing), run(Some(nine), nine));
        assert_eq!(turn("catchup = \"all\"", standing), run(Some(six), six));
        assert_eq!(turn("catchup = \"none\"", standing), run(Some(nine), nine), "it came up an hour ago");
        let late = Standing { up_since: now, ..standing };
        assert_eq!(turn("catchup = \"none\"", late), run(None, nine));
        let busy = Standing { busy: true, ..standing };
        assert_eq!(turn("", busy), None, "it waits");
        assert_eq!(turn("overlap = \"skip\"", busy), run(None, nine));
        let done = Standing { handled: nine, ..standing };
        assert_eq!(turn("", done), None);
        let ended = "end = \"2024-01-03T06:00:00Z\"";
        assert_eq!(turn(ended, standing), run(Some(six), six));
        assert_eq!(turn(ended, Standing { handled: six, ..standing }), None);
    }

    #[test]
    fn a_new_schedule_has_missed_nothing_unless_it_says_so() {
        let now = at("2024-01-10");
        assert_eq!(schedule("cron = \"@daily\"").begins(now), now);
        assert_eq!(schedule("cron = \"@daily\"\nstart = \"2024-01-05\"").begins(now), at("2024-01-05") - 1);
        assert_eq!(schedule("cron = \"@daily\"\nstart = \"2024-01-05\"\ncatchup = \"none\"").begins(now), now);
        assert_eq!(schedule("cron = \"@daily\"\nstart = \"2024-02-05\"").begins(now), now);
    }

    #[test]
    fn jitter_is_the_same_every_time() {
        let schedule = schedule("cron = \"@hourly\"\njitter = \"10m\"");
        let due: Vec<Time> = schedule.after(0).take(50).map(|time| schedule.due("f", time) - time).collect();
        assert!(due.iter().all(|delay| *delay <= 600_000) && due.iter().any(|delay| *delay > 300_000), "{due:?}");
        let again: Vec<Time> = schedule.after(0).take(50).map(|time| schedule.due("f", time) - time).collect();
        assert_eq!(due, again);
        let late = self::schedule("cron = \"@hourly\"\njitter = \"2d\"");
        let times: Vec<Time> = late.after(0).take(20).collect();
        assert!(times.windows(2).all(|two| late.due("f", two[0]) < two[1]), "each before the next comes up");
        let (now, standing) = (times[9] + 1, Standing { handled: times[4], busy: false, paused: false, up_since: 0 });
        let run = late.turn("f", standing, now).and_then(|turn| turn.run);
        assert_eq!(run, Some(if late.due("f", times[9]) <= now { times[9] } else { times[8] }));
    }

    #[test]
    fn looking_back_finds_what_looking_ahead_finds() {
        for (cron, zone, dst) in [
            ("0,30 0-3 * * *", "Australia/Lord_Howe", "skipped = \"run-after\", doubled = \"twice\""),
            ("15 1,2 * * *", "America/New_York", "skipped = \"skip\""),
            ("*/20 */2 * * *", "Europe/Berlin", ""),
            ("45 0 * * *", "America/Sao_Paulo", ""),
        ] {
            let schedule = schedule(&format!("cron = \"{cron}\"\ntimezone = \"{zone}\"\ndst = {{ {dst} }}"));
            let ahead: Vec<Time> =
                schedule.after(at("2017-01-01")).take_while(|time| *time < at("2019-01-01")).collect();
            let mut back = vec![];
            let mut cursor = at("2019-01-01") - 1;
            while let Some(time) = schedule.latest(cursor).filter(|time| *time > at("2017-01-01")) {
                back.push(time);
                cursor = time - 1;
            }
            back.reverse();
            assert_eq!(ahead, back, "{cron} {zone}");
        }
    }
}
