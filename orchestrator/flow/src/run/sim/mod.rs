//! Seeded worlds: whatever they do to a run, it keeps its promises. `FLOWCTL_SIM_WORLDS=n` lives through
//! that many, `FLOWCTL_SIM_SEED=s` begins with that one.

mod bug;
mod dice;
mod judge;
mod model;
mod plan;
mod world;

use std::collections::BTreeSet;

pub use bug::Bug;

use super::state::Task;
use super::{Run, RunState};
use crate::Time;
use crate::plan::TaskId;

/// How many worlds an ordinary test run lives through.
const WORLDS: u64 = 3_000;

/// Everything that makes up a run's state.
#[derive(Debug, PartialEq)]
struct Digest {
    tasks: Vec<Task>,
    state: RunState,
    error: Option<String>,
    cancelled_by: Option<String>,
    times: [Option<Time>; 3],
    /// Who may go next, whether due or not.
    queue: BTreeSet<usize>,
    running: BTreeSet<TaskId>,
    failed: BTreeSet<TaskId>,
    open: usize,
}

impl Digest {
    fn of(run: &Run) -> Self {
        let later = run.later.iter().map(|&(_, rank)| rank);
        Digest {
            tasks: run.tasks.clone(),
            state: run.state,
            error: run.error.clone(),
            cancelled_by: run.cancelled_by.clone(),
            times: [run.created_at, run.started_at, run.finished_at],
            queue: run.ready.iter().chain(&run.free).copied().chain(later).collect(),
            running: run.running.clone(),
            failed: run.failed.clone(),
            open: run.open,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may be told how far to go")]
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn every_world_keeps_the_promises() {
    let first = setting("FLOWCTL_SIM_SEED", 0);
    for seed in first..first + setting("FLOWCTL_SIM_WORLDS", WORLDS) {
        if let Err(broken) = world::live(seed, None) {
            panic!("FLOWCTL_SIM_SEED={seed} FLOWCTL_SIM_WORLDS=1: {broken}");
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    let worlds = 10 * WORLDS;
    println!("{:24} {:>8}  what was seen", "planted bug", "worlds");
    let mut unseen = vec![];
    for bug in Bug::ALL {
        match (0..worlds).find_map(|seed| Some((seed, world::live(seed, Some(bug)).err()?))) {
            Some((seed, seen)) => println!("{:24} {:>8}  {seen:.90}", format!("{bug:?}"), seed + 1),
            None => unseen.push(bug),
        }
    }
    assert!(unseen.is_empty(), "{worlds} worlds did not show {unseen:?}");
}
