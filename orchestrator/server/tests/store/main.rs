//! The driver on a real store: what is left behind is what others read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use flow::plan::{Need, Plan, Task};
use flow::run::{Event, Record, Run, RunState, TaskState};
use flow::view;
use flow::wire::{Ending, Outcome, Pins};
use server::driver::LEASE_MS;
use server::hall::Slots;
use server::{Clock, Error, Hall, NewRun, Seat, abandoned, drive};
use store::{Origin, Store};
use tokio::sync::watch;

/// `width` tasks between a first and a last one.
fn fan(width: usize, kind: &str) -> Plan {
    let need = |task| Need { task, data: true };
    let tasks = (0..width + 2)
        .map(|id| Task {
            name: format!("t{id}"),
            kind: kind.to_owned(),
            needs: match id {
                0 => vec![],
                last if last == width + 1 => (1..=width).map(need).collect(),
                _ => vec![need(0)],
            },
            ..Task::default()
        })
        .collect();
    Plan { flow: "fan".to_owned(), tasks, ..Plan::default() }
}

fn new(run_id: &str, plan: Plan) -> NewRun {
    NewRun {
        run_id: run_id.to_owned(),
        plan: Arc::new(plan),
        pins: Arc::new(Pins::default()),
        origin: Origin::Run,
        once: None,
        force: false,
        retry_of: None,
        adopted: vec![],
        durations_ms: HashMap::new(),
    }
}

async fn run(store: &Store, new: NewRun, slots: usize) -> Result<Run, Error> {
    let hall = Hall::for_one_run();
    let (desk, slots) = (hall.drive(&new.run_id), hall.join("w", slots, None));
    let (_cancel, cancel) = watch::channel(None);
    let worker = tokio::spawn(work(slots));
    let clock = Clock::system();
    let mut observer = |_: &Run, _: &[Record]| {};
    let seat = Seat {
        journal: store,
        clock: &clock,
        desk,
        cancel,
        observer: &mut observer,
        holder: "test",
        lease_ms: LEASE_MS,
    };
    let run = drive(new, seat).await;
    worker.await.expect("the worker ends when there is no more work");
    run
}

/// One slot that succeeds with everything.
async fn work(slots: Slots) {
    while let Some(offer) = slots.claim().await {
        let task = &offer.assignment.plan.tasks[offer.assignment.task].name;
        let outcome = Outcome { rows_out: Some(1), ..Outcome::default() };
        slots.report(&offer.assignment.run_id, task, offer.assignment.attempt, Ending::Succeeded(outcome)).await;
    }
}

async fn open(folder: &tempfile::TempDir) -> Store {
    let path = folder.path().join("state.db");
    Store::open(path.to_str().expect("utf-8")).await.expect("a new store")
}

#[tokio::test]
async fn what_is_stored_folds_to_what_was_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let seen = run(&store, new("r1", fan(20, "command")), 2).await.expect("closes");
    let stored = store.load("r1").await.expect("there");
    let replayed = Run::replay(stored.plan.into(), "r1", &stored.records);
    assert_eq!(view::show(&replayed, None), view::show(&seen, None));
    assert_eq!((stored.head.state, stored.head.finished_at), (RunState::Succeeded, seen.finished_at()));
    assert!(store.abandoned().await.expect("readable").is_empty());
}

#[tokio::test]
async fn a_run_whose_process_died_is_closed_by_the_next_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let mut dying = Run::new(Arc::new(fan(1, "command")), "r1");
    let events = [
        Event::RunCreated,
        Event::RunStarted,
        Event::TaskStarted { task: "t0".to_owned(), attempt: 1, worker: "w".to_owned(), token: 0 },
    ];
    let record = |(seq, event)| Record { run_id: "r1".to_owned(), seq, at: 1_000, event };
    let records: Vec<Record> = (1..).zip(events).map(record).collect();
    dying.read(&records);
    let pins = Pins::default();
    let made = store::NewRun::of(&pins, 1_000, Origin::Run);
    store.create(&made, &dying, records).await.expect("made");

    let closed = abandoned::close(&store, &Clock::system()).await.expect("closes it");
    let [run] = &closed[..] else { panic!("{} runs instead of one", closed.len()) };
    assert_eq!((run.state(), run.task(0).state, run.task(1).state), {
        (RunState::Failed, TaskState::Failed, TaskState::Skipped)
    });
    assert!(run.error().is_some_and(|error| error.contains("flowctl retry r1")));
    assert!(abandoned::close(&store, &Clock::system()).await.expect("nothing to do").is_empty());
}

#[tokio::test]
async fn thousands_of_tasks_without_work_take_a_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    for width in [1_000, 10_000] {
        let begun = Instant::now();
        let run = run(&store, new(&format!("r{width}"), fan(width, "noop")), 1).await.expect("closes");
        println!("{width} noops, every event durable: {:.2} s", begun.elapsed().as_secs_f64());
        assert_eq!((run.state(), run.open()), (RunState::Succeeded, 0));
    }
}
