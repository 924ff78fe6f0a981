//! When tasks ran, as bars; and which of them the end of the run waited for.

use std::collections::BTreeSet;

use flow::plan::TaskId;
use flow::run::{Run, Standing};
use flow::{Time, human};
use maud::{Markup, html};

use super::words::Mark;

/// Narrower than that, in percent, a bar would not be seen.
const WIDTH_MIN: f64 = 0.6;

/// The time that a run takes, from left to right.
pub(super) struct Lanes {
    start: Time,
    end: Time,
    now: Time,
}

impl Lanes {
    pub fn of(run: &Run, now: Time) -> Lanes {
        let start = run.started_at().or(run.created_at()).unwrap_or(now);
        let end = run.finished_at().unwrap_or(now);
        Lanes { start, end: end.max(start + 1), now }
    }

    /// The bar of a task in a lane of its own.
    pub fn lane(&self, standing: &Standing<'_>, mark: Mark, is_critical: bool) -> Markup {
        let Some(started) = standing.started_at else { return html! {} };
        let ended = standing.finished_at.unwrap_or(self.now);
        let (left, right) = (self.place(started), self.place(ended));
        let width = (right - left).max(WIDTH_MIN);
        let left = left.min(100.0 - width);
        let cached = if standing.outcome.is_some_and(|it| it.cached) { "cached" } else { "done" };
        let label = format!(
            "{} after the start, for {}",
            human::duration(started.saturating_sub(self.start)),
            human::duration(ended.saturating_sub(started))
        );
        html! {
            svg width="100%" height="14" role="img" aria-label=(label) {
                title { (label) }
                rect.track x="0" y="6" width="100%" height="2" {}
                rect.bar.(mark.tone.class()).(cached) x=(percent(left)) y="2" width=(percent(width)) height="10" rx="2" {}
                @if is_critical { rect.critical x=(percent(left)) y="1" width=(percent(width)) height="12" rx="2" {} }
            }
        }
    }

    /// In percent from the left.
    fn place(&self, at: Time) -> f64 {
        let share = at.saturating_sub(self.start) as f64 / (self.end - self.start) as f64;
        (share * 100.0).min(100.0)
    }
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

/// The chain of tasks, each of which began when the one before it had ended, that leads to the last end.
pub(super) fn critical(run: &Run) -> BTreeSet<TaskId> {
    let ended = |id: TaskId| {
        let standing = run.task(id);
        standing.started_at.and(standing.finished_at)
    };
    let last =
        |ids: &mut dyn Iterator<Item = TaskId>| ids.filter(|&id| ended(id).is_some()).max_by_key(|&id| (ended(id), id));
    let mut path = BTreeSet::new();
    let mut at = last(&mut (0..run.plan().tasks.len()));
    while let Some(id) = at {
        path.insert(id);
        at = last(&mut run.plan().tasks[id].needs.iter().map(|need| need.task));
    }
    // A chain of one says nothing.
    if path.len() > 1 { path } else { BTreeSet::new() }
}
