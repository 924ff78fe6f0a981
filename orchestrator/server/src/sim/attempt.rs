//! Attempts: what happens in a slot, here or elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flow::run::Event;
use flow::wire::{Assignment, Ending, Failure, Outcome};
use tokio::sync::watch;
use tokio::time::timeout;

use super::flag::Flag;
use super::world::World;
use crate::hall::{Offer, Receipt, Slots};

/// How many slots are in use, held against how many there are.
pub struct Busy {
    slots: usize,
    used: AtomicUsize,
}

impl Busy {
    pub fn new(slots: usize) -> Self {
        Busy { slots, used: AtomicUsize::new(0) }
    }
}

/// A hand that works in a server's own process.
pub async fn work_here(world: Arc<World>, place: Arc<Slots>, busy: Arc<Busy>) {
    let never = Flag::default();
    while let Some(Offer { assignment, stop, .. }) = place.claim().await {
        if busy.used.fetch_add(1, Ordering::Relaxed) >= busy.slots {
            world.broken(format!("{} attempts in {} slots", busy.used.load(Ordering::Relaxed), busy.slots));
        }
        let ending = execute(&world, &assignment, stop, &never).await;
        // The slot is free from the moment that the report is durable.
        busy.used.fetch_sub(1, Ordering::Relaxed);
        let (task, label) = (&assignment.plan.tasks[assignment.task].name, label(&ending));
        let receipt = place.report(&assignment.run_id, task, assignment.attempt, ending).await;
        note(&world, &assignment, label, receipt);
    }
}

/// Writes down that a worker was told that its report is durable.
pub fn note(world: &World, assignment: &Assignment, label: &'static str, receipt: Receipt) {
    if receipt == Receipt::Recorded {
        let task = assignment.plan.tasks[assignment.task].name.clone();
        let attempt = (assignment.run_id.clone(), task, assignment.attempt);
        let before = world.seen().recorded.insert(attempt.clone(), label);
        if let Some(before) = before {
            world.broken(format!("{attempt:?} is recorded as {before}, and again as {label}"));
        }
    }
}

pub fn label(ending: &Ending) -> &'static str {
    match ending {
        Ending::Succeeded(_) => "succeeded",
        Ending::Skipped(_) => "skipped",
        Ending::Failed(_) => "failed",
        Ending::Cancelled => "cancelled",
    }
}

/// Does what a task does. While its process is asleep nothing happens.
pub async fn execute(world: &World, assignment: &Assignment, mut stop: watch::Receiver<bool>, asleep: &Flag) -> Ending {
    judge_start(world, assignment);
    let hangs = world.fault(|faults| faults.hangs, 40);
    if hangs {
        world.seen().hanging.insert(assignment.run_id.clone());
    }
    let takes_ms = match world.below(8) {
        _ if world.is_calm() => world.below(50),
        0 => world.size.long_ms + world.below(world.size.long_ms),
        _ => world.below(world.size.short_ms),
    };
    let takes = Duration::from_millis(if hangs { u64::MAX / 2 } else { takes_ms as u64 });
    let stopped = timeout(takes, stop.wait_for(|stop| *stop)).await.is_ok();
    asleep.until(false).await;
    let fails = world.fault(|faults| faults.failures, 6);
    let ending = match world.below(3) {
        _ if stopped => Ending::Cancelled,
        0 if fails => Ending::Failed(Failure::user("a check failed")),
        1 if fails => Ending::Skipped("nothing to do".to_owned()),
        _ if fails => Ending::Failed(Failure::external("no answer")),
        _ => publish(world, assignment, asleep).await,
    };
    asleep.until(false).await;
    ending
}

async fn publish(world: &World, assignment: &Assignment, asleep: &Flag) -> Ending {
    world.delay().await;
    asleep.until(false).await;
    let Some(output) = &assignment.plan.tasks[assignment.task].output else {
        return Ending::Succeeded(Outcome::default());
    };
    let published = world.lake().publish(&output.dataset, &assignment.run_id, assignment.token);
    world.delay().await;
    match published {
        Ok(version) => {
            let dataset = Some(output.dataset.clone());
            Ending::Succeeded(Outcome { dataset, version: Some(version), ..Outcome::default() })
        }
        Err(error) => Ending::Failed(Failure::external(error)),
    }
}

/// An attempt begins when its start is durable and its inputs are there, and it reads exactly those.
fn judge_start(world: &World, assignment: &Assignment) {
    let Assignment { run_id, plan, task, attempt, token, versions, .. } = assignment;
    let name = &plan.tasks[*task].name;
    let started = |event: &Event| {
        matches!(event, Event::TaskStarted { task, attempt: started, token: issued, .. }
            if task == name && started == attempt && issued == token)
    };
    let durable = world.tables().runs.get(run_id).is_some_and(|row| row.records.iter().any(|it| started(&it.event)));
    if !durable {
        world.broken(format!("{name} of {run_id} begins attempt {attempt}, which is not in the journal"));
    }
    for need in plan.tasks[*task].needs.iter().filter_map(|need| plan.tasks[need.task].output.as_ref()) {
        let there = world.lake().version(&need.dataset, run_id);
        if there.is_none() || there.as_ref() != versions.get(&need.dataset) {
            let given = versions.get(&need.dataset);
            world.broken(format!("{name} of {run_id} reads {} in version {given:?} of {there:?}", need.dataset));
        }
    }
}
