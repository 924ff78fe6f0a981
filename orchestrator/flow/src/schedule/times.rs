//! The instants that a schedule stands for.
//!
//! Between two changes of a zone's offset, wall time and real time go together, so a schedule is looked up segment
//! by segment: within one, cron's next wall time is an instant. What is special happens where segments meet: a gap
//! skips wall times, a fold repeats some.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::Schedule;
use crate::Time;
use crate::spec::{Doubled, Skipped};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A stretch of time in which the zone's offset stands still.
struct Segment {
    /// `None`: since ever.
    from: Option<Timestamp>,
    /// The first instant after it; `None`: for ever.
    to: Option<Timestamp>,
    offset: Offset,
    /// The offset before it.
    before: Offset,
}

impl Schedule {
    /// The logical times after `time`, in order, within `start` and `end`.
    pub fn after(&self, time: Time) -> impl Iterator<Item = Time> + '_ {
        let begin = self.start.map_or(time, |start| time.max(start.saturating_sub(1)));
        let mut cursor = timestamp(begin).and_then(|begin| floor(begin).checked_add(SECOND).ok());
        std::iter::from_fn(move || {
            let found = self.at_or_after(cursor?)?;
            cursor = found.checked_add(SECOND).ok();
            let found = Time::try_from(found.as_millisecond()).ok()?;
            self.end.is_none_or(|end| found <= end).then_some(found)
        })
    }

    /// The last logical time at or before `time`, within `start` and `end`.
    pub fn latest(&self, time: Time) -> Option<Time> {
        let time = self.end.map_or(time, |end| time.min(end));
        let found = self.at_or_before(floor(timestamp(time)?))?;
        let found = Time::try_from(found.as_millisecond()).ok()?;
        self.start.is_none_or(|start| found >= start).then_some(found)
    }

    /// The time of the cron expression before `time`: where the data that a run for `time` is about begins.
    pub fn interval_start(&self, time: Time) -> Option<Time> {
        let found = self.at_or_before(floor(timestamp(time.checked_sub(1)?)?))?;
        Time::try_from(found.as_millisecond()).ok()
    }

    fn at_or_after(&self, mut cursor: Timestamp) -> Option<Timestamp> {
        loop {
            let segment = self.segment(cursor);
            if Some(cursor) == segment.from && self.fires_after_gap(&segment) {
                return Some(cursor);
            }
            let wall = segment.offset.to_datetime(cursor);
            let wall = self.repeated(&segment).map_or(wall, |(_, fresh)| wall.max(fresh));
            let found = self.pattern.cron.find_next_occurrence(&wall, true).ok();
            let found = found.and_then(|found| segment.offset.to_timestamp(found).ok());
            match (found, segment.to) {
                (Some(found), to) if to.is_none_or(|to| found < to) => return Some(found),
                (_, Some(to)) => cursor = to,
                (_, None) => return None,
            }
        }
    }

    fn at_or_before(&self, mut cursor: Timestamp) -> Option<Timestamp> {
        loop {
            let segment = self.segment(cursor);
            let found = self.pattern.cron.find_previous_occurrence(&segment.offset.to_datetime(cursor), true).ok();
            let first = segment.from.map(|from| segment.offset.to_datetime(from));
            let first = self.repeated(&segment).map(|(_, fresh)| fresh).or(first);
            match found {
                Some(found) if first.is_none_or(|first| found >= first) => {
                    return segment.offset.to_timestamp(found).ok();
                }
                _ if self.fires_after_gap(&segment) => return segment.from,
                _ => cursor = segment.from?.checked_sub(SECOND).ok()?,
            }
        }
    }

    /// Whether the first instant of a segment stands for wall times that the clocks skipped.
    fn fires_after_gap(&self, segment: &Segment) -> bool {
        let Some(from) = segment.from.filter(|_| segment.before < segment.offset) else { return false };
        if self.pattern.real_hours || self.dst.skipped == Skipped::Skip {
            return false;
        }
        let (skipped, there) = (segment.before.to_datetime(from), segment.offset.to_datetime(from));
        self.pattern.cron.find_next_occurrence(&skipped, true).is_ok_and(|found| found < there)
    }

    /// The wall times at the beginning of a segment that have been before and do not count again: from, to.
    fn repeated(&self, segment: &Segment) -> Option<(DateTime, DateTime)> {
        let from = segment.from.filter(|_| segment.before > segment.offset)?;
        let counts_again = self.pattern.real_hours || self.dst.doubled == Doubled::Twice;
        (!counts_again).then(|| (segment.offset.to_datetime(from), segment.before.to_datetime(from)))
    }

    fn segment(&self, at: Timestamp) -> Segment {
        let offset = self.timezone.to_offset(at);
        let just_after = at.checked_add(SECOND).unwrap_or(at);
        let changes = self.timezone.preceding(just_after).map(|change| change.timestamp());
        let mut found = Segment { from: None, to: None, offset, before: offset };
        for change in changes {
            let before = change.checked_sub(SECOND).map_or(offset, |before| self.timezone.to_offset(before));
            if before != offset {
                (found.from, found.before) = (Some(change), before);
                break;
            }
        }
        let mut changes = self.timezone.following(at).map(|change| change.timestamp());
        found.to = changes.find(|change| self.timezone.to_offset(*change) != offset);
        found
    }
}

fn timestamp(time: Time) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.try_into().ok()?).ok()
}

/// The whole second.
fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
