//! The promises.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use flow::Time;
use flow::run::{Event, Record, Run, RunState, TaskState};
use store::Origin;

use super::servers::Servers;
use super::tables::{RunRow, Tables};
use super::world::World;

type Verdict = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}

/// What holds at any time.
pub fn on_the_way(world: &World, servers: &Servers) -> Verdict {
    nothing_broken(world)?;
    for host in servers.hosts().iter_mut().flatten().filter(|host| host.is_up()) {
        for (worker, slots, busy) in host.hall.workers() {
            ensure!(slots == 0 || busy <= slots, "{worker} has {slots} slots and {busy} are taken");
        }
        let known: BTreeSet<String> = host.service.known_flows().iter().map(|flow| flow.name.clone()).collect();
        for flow in &host.known {
            ensure!(known.contains(flow), "{} has dropped {flow}, whose file is there", host.service.name);
        }
        host.known = known;
    }
    let tables = world.tables();
    tables.runs.values().filter(|row| !row.head.state.is_terminal()).try_for_each(explained)
}

fn nothing_broken(world: &World) -> Verdict {
    world.seen().broken.first().map_or(Ok(()), |broken| Err(broken.clone()))
}

/// What waits has a named reason.
fn explained(row: &RunRow) -> Verdict {
    let run = Run::replay(row.plan.clone(), &row.head.run_id, &row.records);
    for id in 0..row.plan.tasks.len() {
        let waits = matches!(run.task(id).state, TaskState::Waiting | TaskState::Ready | TaskState::Retrying);
        ensure!(!waits || !run.reasons(id).is_empty(), "{} waits in {} for no reason", id, row.head.run_id);
    }
    Ok(())
}

/// What holds when all is over.
pub fn at_the_end(world: &World, servers: &Servers) -> Verdict {
    nothing_broken(world)?;
    let tables = world.tables();
    for (key, run_id) in &world.seen().accepted {
        ensure!(tables.runs.contains_key(run_id), "{key} was told of {run_id}, which is lost");
    }
    let mut asked = BTreeSet::new();
    for row in tables.runs.values().filter(|row| row.head.origin == Origin::Service) {
        ensure!(asked.insert(&row.plan.selection), "{:?} was asked for once and has two runs", row.plan.selection);
    }
    tables.runs.values().try_for_each(|row| journal(world, row))?;
    schedules(world, &tables)?;
    for host in servers.hosts().iter().flatten().filter(|host| host.is_up()) {
        ensure!(host.hall.held() == 0, "{} holds {} places for nobody", host.service.name, host.hall.held());
        for (worker, slots, busy) in host.hall.workers() {
            ensure!(busy == 0, "{worker} has {busy} of {slots} slots taken at rest");
        }
    }
    Ok(())
}

/// A run's facts follow from each other, end once, and are what workers were told and the lake holds.
fn journal(world: &World, row: &RunRow) -> Verdict {
    let id = &row.head.run_id;
    let mut run = Run::new(row.plan.clone(), id);
    let mut latest: BTreeMap<&str, Time> = BTreeMap::new();
    for (index, (record, writer)) in row.records.iter().zip(&row.writers).enumerate() {
        ensure!(record.seq == index as u64 + 1, "{id}: {record:?} is number {}", index + 1);
        let repeated = matches!(record.event, Event::CancelRequested { .. });
        ensure!(run.apply(record).is_ok() || repeated, "{id}: {record:?} does not follow");
        let before = latest.insert(writer, record.at).unwrap_or_default();
        ensure!(before <= record.at, "{id}: {writer} goes back from {before} to {}", record.at);
        let lost = matches!(record.event, Event::TaskLost { .. });
        ensure!(!lost || world.faults.lose_attempts(), "{id}: {:?} with nothing lost", record.event);
        told(world, row, record)?;
    }
    ensure!(run.state().is_terminal() && run.state() == row.head.state, "{id} ends as {:?}", run.state());
    let hopeless = run.state() == RunState::Failed && run.plan().tasks.is_empty();
    ensure!(!hopeless, "{id} fails without tasks");
    Ok(())
}

/// What a worker was told is durable is what the journal says, and what it published is what readers see.
fn told(world: &World, row: &RunRow, record: &Record) -> Verdict {
    let Some((task, attempt)) = record.event.task() else { return Ok(()) };
    let label = match &record.event {
        Event::TaskStarted { .. } => return Ok(()),
        Event::TaskSucceeded { outcome, .. } => {
            let version = outcome.dataset.as_ref().and_then(|name| world.lake().version(name, &row.head.run_id));
            ensure!(outcome.version == version, "{}: {task} made {version:?}: {outcome:?}", row.head.run_id);
            "succeeded"
        }
        Event::TaskFailed { .. } => "failed",
        Event::TaskSkipped { .. } => "skipped",
        _ => "cancelled",
    };
    let key = (row.head.run_id.clone(), task.to_owned(), attempt);
    let said = world.seen().recorded.get(&key).copied();
    ensure!(said.is_none_or(|said| said == label), "{key:?} was told {said:?} and is {label}");
    Ok(())
}

/// A scheduled time has one run; where no time may be left out none is.
fn schedules(world: &World, tables: &Tables) -> Verdict {
    for (flow, row) in &tables.schedules {
        let runs = tables.runs.values().filter(|run| run.head.origin == Origin::Schedule && run.head.flow == *flow);
        let times: Vec<Time> = runs.filter_map(|run| run.head.logical_time).collect();
        let distinct: BTreeSet<Time> = times.iter().copied().collect();
        ensure!(distinct.len() == times.len(), "{flow}: a time has two runs: {times:?}");
        let strays: usize = tables
            .runs
            .values()
            .filter(|run| {
                run.head.origin != Origin::Schedule && run.head.flow == *flow && run.head.logical_time.is_some()
            })
            .count();
        ensure!(strays == 0, "{flow}: {strays} runs for a time that nobody asked for");
        let Some((schedule, catches_up)) = world.schedule_of(flow) else { continue };
        let due: BTreeSet<Time> = schedule.after(row.begun).take_while(|time| *time <= row.handled).collect();
        ensure!(distinct.range(..=row.handled).all(|time| due.contains(time)), "{flow}: a run outside the schedule");
        let missed = due.difference(&distinct).next();
        ensure!(!catches_up || missed.is_none(), "{flow}: {missed:?} has no run");
    }
    Ok(())
}

/// What is known of a run that does not close.
pub fn open_run(world: &World, servers: &Servers, run_id: &str) -> String {
    let tables = world.tables();
    let Some(row) = tables.runs.get(run_id) else { return "it is gone".to_owned() };
    let last: Vec<&Event> = row.records.iter().rev().take(3).map(|record| &record.event).collect();
    let driver = tables.leases.get(run_id).map(|lease| &lease.holder);
    let hosts = servers.hosts();
    let halls = hosts.iter().flatten().map(|host| (&host.service.name, host.is_up(), host.hall.workers()));
    format!("{last:?}, driven by {driver:?} in {:?}", halls.collect::<Vec<_>>())
}

/// What tells two lives of a world apart.
pub fn digest(world: &World) -> String {
    let mut hasher = DefaultHasher::new();
    let tables = world.tables();
    for row in tables.runs.values() {
        format!("{:?} {:?}", row.records, row.writers).hash(&mut hasher);
    }
    format!("{} runs {:x}", tables.runs.len(), hasher.finish())
}
