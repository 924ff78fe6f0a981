//! Pools: slots that the attempts of many runs share, and who gets one that becomes free.

use crate::Time;
use crate::plan::{Plan, TaskId};

/// So many milliseconds of waiting count as one more of priority.
pub const AGING_MS: i64 = 10_000;

/// Priorities beyond this, on either side, count as this between runs: nobody is overtaken by one who came more than
/// 2 x 100 x 10 s later.
const PRIORITY_MAX: i32 = 100;

/// The milliseconds by which a priority puts its claim before those that were made at the same time.
pub fn head_start_ms(priority: i32) -> i64 {
    i64::from(priority.clamp(-PRIORITY_MAX, PRIORITY_MAX)) * AGING_MS
}

/// Whose turn it is: of several who wait for a slot, the one with the smallest. A priority that grows with the time
/// waited orders claims as the instants do at which they were made, each less its head start; so a claim's turn never
/// changes, and only so many others can come before it.
pub fn turn(since: Time, priority: i32) -> i64 {
    i64::try_from(since).unwrap_or(i64::MAX).saturating_sub(head_start_ms(priority))
}

/// The pool of a flow's runs, for `limits.runs`. No name has a slash, so none of the flow's files can mean it.
pub fn of_runs(flow: &str) -> String {
    format!("{flow}/runs")
}

/// The pool of a flow's attempts, for `limits.tasks`.
pub fn of_tasks(flow: &str) -> String {
    format!("{flow}/tasks")
}

impl Plan {
    /// The pools of which an attempt of the task holds a slot: first its flow's own, then the one that it names.
    pub fn pools_of(&self, id: TaskId) -> impl Iterator<Item = String> + '_ {
        let task = &self.tasks[id];
        let own = self.limits.tasks.map(|_| of_tasks(&self.flow));
        own.into_iter().chain(task.pool.clone()).filter(|_| !task.is_noop())
    }

    /// Whether anything in it needs a slot of a pool.
    pub fn is_limited(&self) -> bool {
        self.limits != Default::default() || self.tasks.iter().any(|task| task.pool.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_priority_goes_first_until_the_other_has_waited_long_enough() {
        assert!(turn(60_000, 5) < turn(60_000, 0));
        assert!(turn(60_000, 5) < turn(60_000 - 49_999, 0));
        assert!(turn(60_000 + 50_001, 5) > turn(60_000, 0));
    }

    #[test]
    fn no_priority_keeps_others_waiting_for_longer_than_the_bound() {
        let bound = 2 * u64::from(PRIORITY_MAX.unsigned_abs()) * AGING_MS.unsigned_abs();
        assert!(turn(bound + 1, i32::MAX) > turn(0, i32::MIN));
        assert!(turn(bound - 1, i32::MAX) < turn(0, i32::MIN));
    }
}
