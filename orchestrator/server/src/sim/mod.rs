//! Seeded worlds around the service: servers that die, a store that is away or forgets to answer, clocks that are
//! wrong, workers that vanish, sleep and wake up, flows that are edited; whatever they do, it keeps its promises.
//! `FLOWCTL_SIM_WORLDS=n` lives through that many, `FLOWCTL_SIM_SEED=s` begins with that one, as in the simulation of
//! the core. The loops, the hall, the drivers and the talk with workers are the real ones; store, lake, compiler,
//! network and clocks are doubles. A world has one thread and no real time, so a seed always tells the same story.

mod asked;
mod attempt;
mod bug;
#[path = "../../../flow/src/run/sim/dice.rs"]
mod dice;
mod faults;
mod flag;
mod flows;
mod judge;
mod lake;
mod pools;
mod queues;
mod scale;
mod servers;
mod size;
mod store;
mod tables;
mod workers;
mod world;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use bug::{Bug, planted};

/// How many worlds an ordinary test run lives through.
const WORLDS: u64 = 50;

thread_local! {
    static RUNS: Cell<u64> = const { Cell::new(0) };
}

/// The id of a new run, the same one in every life of a world.
pub fn new_id() -> String {
    RUNS.set(RUNS.get() + 1);
    format!("run-{:05}", RUNS.get())
}

/// Lives through the world of this seed. Answers a digest of its history.
///
/// # Errors
/// The first broken promise.
fn live(seed: u64, bug: Option<Bug>) -> Result<String, String> {
    bug::plant(bug);
    let lived = in_a_world(world::live(seed));
    bug::plant(None);
    lived
}

/// Where time only goes on when nobody has anything to do.
fn in_a_world<T>(life: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    RUNS.set(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(life)
}

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
        if let Err(broken) = live(seed, None) {
            panic!("FLOWCTL_SIM_SEED={seed} FLOWCTL_SIM_WORLDS=1: {broken}");
        }
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in 0..5 {
        assert_eq!(live(seed, None), live(seed, None), "FLOWCTL_SIM_SEED={seed}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let worlds = setting("FLOWCTL_SIM_WORLDS", 20 * WORLDS);
    let next = AtomicUsize::new(0);
    let search = || {
        let mut found = vec![];
        while let Some(&bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let seen = (0..worlds).find_map(|seed| Some((seed + 1, live(seed, Some(bug)).err()?)));
            found.push((bug, seen));
        }
        found
    };
    let mut found = std::thread::scope(|threads| {
        let searches = [(); 2].map(|()| threads.spawn(search));
        searches.into_iter().flat_map(|search| search.join().expect("worlds do not panic")).collect::<Vec<_>>()
    });
    found.sort_by_key(|(bug, _)| Bug::ALL.iter().position(|it| it == bug));
    println!("{:24} {:>8}  what was seen", "planted bug", "worlds");
    for (bug, seen) in &found {
        match seen {
            Some((worlds, seen)) => println!("{:24} {worlds:>8}  {seen:.90}", format!("{bug:?}")),
            None => println!("{:24} {:>8}", format!("{bug:?}"), "unseen"),
        }
    }
    let unseen: Vec<Bug> = found.iter().filter(|(_, seen)| seen.is_none()).map(|(bug, _)| *bug).collect();
    assert!(unseen.is_empty(), "{worlds} worlds did not show {unseen:?}");
}
