//! Which of a schedule's times gets a run next.

use super::Schedule;
use crate::Time;
use crate::spec::{Catchup, Overlap};

/// How long before a service came up a time may have been due and still be on time: a restart misses nothing.
const RESTART_MS: Time = 60_000;

/// How things stand with a flow's schedule.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The last logical time that has a run or was passed over.
    pub handled: Time,
    /// Whether a scheduled run of the flow goes on.
    pub busy: bool,
    /// Whether it is paused: nothing runs, and what comes up is made up for afterwards as `catchup` says.
    pub paused: bool,
    /// When this service came up.
    pub up_since: Time,
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The logical time that gets a run, if one does.
    pub run: Option<Time>,
    /// Times up to this one are decided.
    pub handled: Time,
}

impl Schedule {
    /// Where the schedule of a flow begins that nobody has scheduled before: nothing was missed yet, unless its
    /// `start` says so.
    pub fn begins(&self, now: Time) -> Time {
        let missed = self.start.filter(|start| *start <= now && self.catchup != Catchup::None);
        missed.map_or(now, |start| start.saturating_sub(1))
    }

    /// What is to be done about the times that have come up. `None`: nothing now.
    pub fn turn(&self, flow: &str, standing: Standing, now: Time) -> Option<Turn> {
        let first = self.after(standing.handled).next().filter(|time| self.due(flow, *time) <= now)?;
        let last = self.last_due(flow, first, now);
        if standing.paused {
            return (self.catchup == Catchup::None).then_some(Turn { run: None, handled: last });
        }
        if standing.busy {
            return (self.overlap == Overlap::Skip).then_some(Turn { run: None, handled: last });
        }
        Some(match self.catchup {
            Catchup::All => Turn { run: Some(first), handled: first },
            Catchup::Latest => Turn { run: Some(last), handled: last },
            Catchup::None => {
                let in_time = self.due(flow, last) + RESTART_MS >= standing.up_since;
                Turn { run: in_time.then_some(last), handled: last }
            }
        })
    }

    /// When a turn may come next, at the earliest.
    pub fn next_due(&self, flow: &str, handled: Time) -> Option<Time> {
        self.after(handled).next().map(|time| self.due(flow, time))
    }

    /// The last time that is due; `first` is. Of two times the earlier is due before the later one comes up.
    fn last_due(&self, flow: &str, first: Time, now: Time) -> Time {
        let last = self.latest(now).filter(|time| *time > first);
        let due = |time: &Time| self.due(flow, *time) <= now;
        last.filter(due).or_else(|| self.latest(last? - 1)).map_or(first, |time| time.max(first))
    }
}
