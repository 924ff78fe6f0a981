//! Seeded worlds one level up: a driver between workers that fail and a store that forgets its manners.
//! `FLOWCTL_SIM_WORLDS=n` and `FLOWCTL_SIM_SEED=s` as in the simulation of the core.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow::plan::{Need, Plan, Retry, Task};
use flow::run::{Event, Record, Run, RunState};
use flow::wire::{Ending, Failure, Outcome};
use server::hall::{Receipt, Slots};
use store::Kind;

use super::journal::{Memory, Mood};
use super::{new, plan, world};

const WORLDS: u64 = 300;

/// Chance that can be repeated.
struct Dice {
    seed: u64,
    rolls: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Dice { seed, rolls: 0 }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.rolls += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.rolls).hash(&mut hasher);
        hasher.finish() % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

fn draw_plan(dice: &mut Dice) -> Plan {
    let mut tasks: Vec<Task> = vec![];
    for id in 0..1 + dice.below(12) as usize {
        let needs = (0..id).filter(|_| dice.one_in(4)).map(|task| Need { task, data: true }).collect();
        let kind = if dice.one_in(4) { "noop" } else { "command" };
        let retry = Retry { attempts_max: 1 + dice.below(3) as u32, ..Retry::default() };
        tasks.push(Task { name: format!("t{id}"), kind: kind.to_owned(), needs, retry, ..Task::default() });
    }
    plan(tasks)
}

/// What the workers saw.
#[derive(Default)]
struct Seen {
    /// The token of every attempt that was handed out.
    tokens: Mutex<BTreeMap<(String, u32), u64>>,
    /// Attempts whose report is durable, as they were told.
    recorded: Mutex<BTreeSet<(String, u32)>>,
    busy: AtomicUsize,
    /// What should never have happened.
    broken: Mutex<Vec<String>>,
}

async fn work(slots: Arc<Slots>, seen: Arc<Seen>, mut dice: Dice, slots_max: usize) {
    while let Some(mut offer) = slots.claim().await {
        let name = offer.assignment.plan.tasks[offer.assignment.task].name.clone();
        let attempt = (name.clone(), offer.assignment.attempt);
        let twice = seen.tokens.lock().expect("unpoisoned").insert(attempt.clone(), offer.assignment.token);
        let crowd = seen.busy.fetch_add(1, Ordering::SeqCst) + 1;
        if twice.is_some() || crowd > slots_max {
            let broken = format!("{attempt:?}: handed out before: {}; at work: {crowd}", twice.is_some());
            seen.broken.lock().expect("unpoisoned").push(broken);
        }
        let takes = Duration::from_millis(dice.below(2_000));
        let stopped = tokio::time::timeout(takes, offer.stop.wait_for(|&stop| stop)).await.is_ok();
        let ending = match dice.below(4) {
            _ if stopped => Ending::Cancelled,
            0 => Ending::Failed(Failure::external("no answer")),
            1 if dice.one_in(6) => Ending::Failed(Failure::user("a check failed")),
            _ => Ending::Succeeded(Outcome::default()),
        };
        // The slot is free from the moment that the report is durable.
        seen.busy.fetch_sub(1, Ordering::SeqCst);
        if slots.report("r1", &name, offer.assignment.attempt, ending).await == Receipt::Recorded {
            seen.recorded.lock().expect("unpoisoned").insert(attempt);
        }
    }
}

fn whim(mut dice: Dice) -> impl FnMut() -> Option<Mood> {
    let (forgetful, busy, meddled) = (dice.one_in(2), dice.one_in(2), dice.one_in(3));
    move || match dice.below(12) {
        0 | 1 if forgetful => Some(Mood::LostAnswer),
        2 | 3 if forgetful => Some(Mood::LostQuestion),
        4 if busy => Some(Mood::Fails(Kind::Busy)),
        5 if meddled => Some(Mood::Overtaken(Event::CancelRequested { by: "bob".to_owned() })),
        _ => None,
    }
}

async fn live(seed: u64) {
    let mut dice = Dice::new(seed);
    let slots_max = 1 + dice.below(4) as usize;
    let memory = Memory::default();
    memory.inner().whim = Some(Box::new(whim(Dice::new(seed ^ 0xabcd))));
    let world = world(new(draw_plan(&mut dice)), memory, slots_max);
    let seen = Arc::new(Seen::default());
    // More hands than slots: only the driver keeps the limit.
    for hand in 0..2 * slots_max as u64 {
        let dice = Dice::new(seed.wrapping_mul(31).wrapping_add(hand));
        tokio::spawn(work(world.slots.clone(), seen.clone(), dice, slots_max));
    }
    let memory = world.memory.clone();
    let run = world.close().await;
    let records = memory.inner().records.clone();
    judge(&run, &records, &seen);
}

/// The journal holds what the workers saw, once, in an order that follows.
fn judge(run: &Run, records: &[Record], seen: &Seen) {
    assert_eq!(*seen.broken.lock().expect("unpoisoned"), Vec::<String>::new());
    assert!(matches!(run.state(), RunState::Succeeded | RunState::Failed | RunState::Cancelled));
    let mut replayed = run.rewound();
    let mut started = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for record in records {
        let repeated_cancel = matches!(record.event, Event::CancelRequested { .. });
        assert!(replayed.apply(record).is_ok() || repeated_cancel, "{record:?} does not follow");
        let attempt = record.event.task().map(|(task, attempt)| (task.to_owned(), attempt));
        match (&record.event, attempt) {
            (Event::TaskStarted { token, .. }, Some(attempt)) => _ = started.insert(attempt, *token),
            (_, Some(attempt)) => assert!(ended.insert(attempt.clone()), "{attempt:?} ends twice"),
            _ => {}
        }
    }
    assert_eq!(started, *seen.tokens.lock().expect("unpoisoned"), "handed out is what was recorded as started");
    let recorded = seen.recorded.lock().expect("unpoisoned");
    assert!(recorded.is_subset(&ended), "what workers were told is durable is in the journal");
    assert!(started.keys().all(|attempt| ended.contains(attempt)), "a closed run leaves no attempt running");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(start_paused = true)]
async fn every_world_closes_and_its_journal_is_what_the_workers_saw() {
    let first = setting("FLOWCTL_SIM_SEED", 0);
    for seed in first..first + setting("FLOWCTL_SIM_WORLDS", WORLDS) {
        // Printed only when the test fails.
        println!("FLOWCTL_SIM_SEED={seed} FLOWCTL_SIM_WORLDS=1");
        live(seed).await;
    }
}
