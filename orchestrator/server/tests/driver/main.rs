//! The driver between a store that is not always kind and workers that do as they are told.

mod journal;
mod limits;
mod sim;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flow::plan::{Input, Need, Output, Plan, Retry, Task};
use flow::run::{Event, Record, Run, RunState, TaskState};
use flow::spec::Mode;
use flow::wire::{Ending, Failure, Outcome, Pins};
use journal::{Memory, Mood};
use server::driver::LEASE_MS;
use server::hall::{Offer, Receipt, Slots};
use server::{Clock, Error, Hall, NewRun, Seat, drive};
use store::{Kind, Origin};
use tokio::sync::{mpsc, watch};

/// A chain of commands, each of which reads the one before.
fn chain(length: usize) -> Plan {
    let task = |id: usize| Task {
        name: format!("t{id}"),
        kind: "command".to_owned(),
        needs: id.checked_sub(1).map(|task| Need { task, data: true }).into_iter().collect(),
        inputs: id.checked_sub(1).map(|task| (format!("t{task}"), Input::Task(task))).into_iter().collect(),
        output: Some(output(id)),
        ..Task::default()
    };
    plan((0..length).map(task).collect())
}

fn plan(tasks: Vec<Task>) -> Plan {
    Plan { flow: "flow".to_owned(), tasks, ..Plan::default() }
}

fn output(id: usize) -> Output {
    Output {
        dataset: format!("flow.t{id}"),
        view: false,
        mode: Mode::Overwrite,
        keys: vec![],
        predicate: None,
        partition_by: vec![],
        columns: vec![],
    }
}

fn new(plan: Plan) -> NewRun {
    NewRun {
        run_id: "r1".to_owned(),
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

/// What a test may do around a running driver.
struct World {
    memory: Arc<Memory>,
    slots: Arc<Slots>,
    cancel: watch::Sender<Option<String>>,
    /// What the observer heard.
    heard: mpsc::UnboundedReceiver<Record>,
    run: tokio::task::JoinHandle<Result<Run, Error>>,
}

fn world(new: NewRun, memory: Memory, slots: usize) -> World {
    let hall = Hall::for_one_run();
    let (desk, slots) = (hall.drive("r1"), hall.join("w", slots, None));
    let (cancel, cancelled) = watch::channel(None);
    let (hear, heard) = mpsc::unbounded_channel();
    let memory = Arc::new(memory);
    let journal = memory.clone();
    let run = tokio::spawn(async move {
        let clock = Clock::starting_at(1_000_000);
        let mut observer =
            |_: &Run, records: &[Record]| records.iter().for_each(|r| hear.send(r.clone()).expect("heard"));
        let seat = Seat {
            journal: &*journal,
            clock: &clock,
            desk,
            cancel: cancelled,
            observer: &mut observer,
            holder: "test",
            lease_ms: LEASE_MS,
        };
        let day = Duration::from_secs(86_400);
        tokio::time::timeout(day, drive(new, seat)).await.expect("the drive ends within a day")
    });
    World { memory, slots: Arc::new(slots), cancel, heard, run }
}

impl World {
    async fn claim(&self) -> Offer {
        self.slots.claim().await.expect("work")
    }

    async fn end(&self, offer: &Offer, ending: Ending) -> Receipt {
        let assignment = &offer.assignment;
        self.slots.report("r1", &assignment.plan.tasks[assignment.task].name, assignment.attempt, ending).await
    }

    /// A worker that succeeds with everything until there is no more work.
    fn diligent(&self) {
        let slots = self.slots.clone();
        tokio::spawn(async move {
            while let Some(offer) = slots.claim().await {
                let Assigned { name, attempt, outcome } = assigned(&offer);
                slots.report("r1", &name, attempt, Ending::Succeeded(outcome)).await;
            }
        });
    }

    /// The closed run, after seeing that the journal and the observer tell the same story.
    async fn close(mut self) -> Run {
        let run = self.run.await.expect("the driver does not panic").expect("the run closes");
        let records = self.memory.inner().records.clone();
        let mut heard = vec![];
        while let Ok(record) = self.heard.try_recv() {
            heard.push(record);
        }
        assert_eq!(heard, records, "the observer hears every durable fact once, in order");
        let replayed = Run::replay(run.plan().clone(), "r1", &records);
        assert_eq!(flow::view::show(&replayed, None), flow::view::show(&run, None));
        run
    }
}

struct Assigned {
    name: String,
    attempt: u32,
    outcome: Outcome,
}

fn assigned(offer: &Offer) -> Assigned {
    let assignment = &offer.assignment;
    let task = &assignment.plan.tasks[assignment.task];
    let outcome = Outcome {
        dataset: task.output.as_ref().map(|output| output.dataset.clone()),
        version: Some(assignment.task as u64 + 10),
        ..Outcome::default()
    };
    Assigned { name: task.name.clone(), attempt: assignment.attempt, outcome }
}

#[tokio::test(start_paused = true)]
async fn each_task_gets_its_token_and_the_versions_it_reads() {
    let world = world(new(chain(3)), Memory::default(), 2);
    for task in 0..3_u64 {
        let offer = world.claim().await;
        assert_eq!(offer.assignment.token, task + 1, "the token that the store issued");
        let read: Vec<(String, u64)> = offer.assignment.versions.clone().into_iter().collect();
        let expected = task.checked_sub(1).map(|before| (format!("flow.t{before}"), before + 10));
        assert_eq!(read, Vec::from_iter(expected));
        let outcome = assigned(&offer).outcome;
        assert_eq!(world.end(&offer, Ending::Succeeded(outcome)).await, Receipt::Recorded);
    }
    assert!(world.slots.claim().await.is_none(), "there is no more work");
    assert_eq!(world.close().await.state(), RunState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_out_before_it_is_durable() {
    let world = world(new(chain(1)), Memory::moody([Mood::Fails(Kind::Busy), Mood::Fails(Kind::Unreachable)]), 1);
    let offer = world.claim().await;
    assert!(world.memory.inner().records.iter().any(|record| matches!(record.event, Event::TaskStarted { .. })));
    world.end(&offer, Ending::Succeeded(assigned(&offer).outcome)).await;
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn noops_share_one_append_and_need_no_worker() {
    let mut plan = chain(40);
    plan.tasks.iter_mut().for_each(|task| task.kind = "noop".to_owned());
    let world = world(new(plan), Memory::default(), 1);
    let memory = world.memory.clone();
    assert_eq!(world.close().await.state(), RunState::Succeeded);
    assert_eq!(memory.inner().appends, 1);
}

#[tokio::test(start_paused = true)]
async fn large_batches_are_split() {
    let noop = |id| Task { name: format!("t{id}"), kind: "noop".to_owned(), ..Task::default() };
    let world = world(new(plan((0..10_000).map(noop).collect())), Memory::default(), 1);
    let memory = world.memory.clone();
    world.close().await;
    let appends = memory.inner().appends;
    assert!((4..=6).contains(&appends), "10,000 facts in {appends} appends");
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_run_than_there_are_slots() {
    let task = |id: usize| Task { name: format!("t{id}"), kind: "command".to_owned(), ..Task::default() };
    let world = world(new(plan((0..5).map(task).collect())), Memory::default(), 2);
    let (first, _second) = (world.claim().await, world.claim().await);
    let third = tokio::time::timeout(Duration::from_secs(60), world.slots.claim()).await;
    assert!(third.is_err(), "both slots are taken");
    world.end(&first, Ending::Skipped("no data".to_owned())).await;
    assert_eq!(world.claim().await.assignment.task, 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_its_delay_on_the_clock() {
    let mut plan = chain(1);
    plan.tasks[0].retry = Retry { attempts_max: 2, delay_ms: 90_000, jitter: false, ..Retry::default() };
    let world = world(new(plan), Memory::default(), 1);
    let offer = world.claim().await;
    world.end(&offer, Ending::Failed(Failure::external("no answer"))).await;
    let failed_at = tokio::time::Instant::now();
    let offer = world.claim().await;
    assert_eq!((offer.assignment.attempt, failed_at.elapsed().as_secs()), (2, 90));
    assert_eq!(world.slots.report("r1", "t0", 1, Ending::Cancelled).await, Receipt::Stale, "a late report");
    world.end(&offer, Ending::Succeeded(Outcome::default())).await;
    assert_eq!(world.close().await.state(), RunState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_here_stops_what_runs() {
    let world = world(new(chain(2)), Memory::default(), 1);
    let mut offer = world.claim().await;
    world.cancel.send_replace(Some("SIGINT".to_owned()));
    offer.stop.wait_for(|&stop| stop).await.expect("told to stop");
    world.end(&offer, Ending::Cancelled).await;
    let run = world.close().await;
    assert_eq!((run.state(), run.cancelled_by()), (RunState::Cancelled, Some("SIGINT")));
    assert_eq!(run.task(1).state, TaskState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_from_elsewhere_is_seen_within_a_second() {
    let world = world(new(chain(2)), Memory::default(), 1);
    let mut offer = world.claim().await;
    world.memory.record(Event::CancelRequested { by: "bob".to_owned() });
    let asked = tokio::time::Instant::now();
    offer.stop.wait_for(|&stop| stop).await.expect("told to stop");
    assert!(asked.elapsed() <= Duration::from_secs(1));
    world.end(&offer, Ending::Cancelled).await;
    assert_eq!(world.close().await.state(), RunState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn who_collides_reads_on_and_repeats_what_was_heard() {
    let world = world(new(chain(2)), Memory::default(), 1);
    let offer = world.claim().await;
    let overtaken = Mood::Overtaken(Event::CancelRequested { by: "bob".to_owned() });
    world.memory.inner().moods.push_back(overtaken);
    let receipt = world.end(&offer, Ending::Succeeded(assigned(&offer).outcome)).await;
    assert_eq!(receipt, Receipt::Recorded);
    let run = world.close().await;
    assert_eq!((run.state(), run.task(0).state), (RunState::Cancelled, TaskState::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_neither_doubles_nor_loses_anything() {
    for moods in [[Mood::LostAnswer, Mood::LostAnswer], [Mood::LostQuestion, Mood::LostQuestion]] {
        let world = world(new(chain(3)), Memory::moody(moods), 1);
        world.diligent();
        let memory = world.memory.clone();
        assert_eq!(world.close().await.state(), RunState::Succeeded);
        assert_eq!(memory.inner().appends, 4, "one per task and the first");
    }
}

#[tokio::test(start_paused = true)]
async fn adopted_work_is_recorded_and_not_done_again() {
    let outcome = Outcome { dataset: Some("flow.t0".to_owned()), version: Some(7), ..Outcome::default() };
    let retry = NewRun { adopted: vec![("t0".to_owned(), outcome)], ..new(chain(2)) };
    let world = world(retry, Memory::default(), 1);
    let offer = world.claim().await;
    assert_eq!((offer.assignment.task, offer.assignment.versions["flow.t0"]), (1, 7));
    world.end(&offer, Ending::Succeeded(Outcome::default())).await;
    assert_eq!(world.close().await.state(), RunState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_lease_decides_nothing_more() {
    let world = world(new(chain(2)), Memory::default(), 1);
    let mut offer = world.claim().await;
    world.memory.inner().lease_lost = true;
    offer.stop.wait_for(|&stop| stop).await.expect("told to stop");
    assert_eq!(world.end(&offer, Ending::Cancelled).await, Receipt::Unheard);
    let lost = Error::LeaseLost { run_id: "r1".to_owned() };
    assert_eq!(world.run.await.expect("no panic").expect_err("lost"), lost);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_somebody_else_closed_is_over() {
    let world = world(new(chain(2)), Memory::default(), 1);
    let mut offer = world.claim().await;
    let closed = Event::RunClosed { state: RunState::Failed, error: Some("the process that ran it ended".to_owned()) };
    world.memory.record(closed);
    offer.stop.wait_for(|&stop| stop).await.expect("told to stop");
    let run = world.run.await.expect("no panic").expect("closed");
    assert_eq!(run.state(), RunState::Failed);
}

#[tokio::test(start_paused = true)]
async fn errors_that_no_waiting_helps_end_the_drive() {
    let world = world(new(chain(1)), Memory::moody([Mood::Fails(Kind::Full)]), 1);
    let error = world.run.await.expect("no panic").expect_err("full");
    assert!(matches!(error, Error::Store(store::Error { kind: Kind::Full, .. })));
    assert!(world.slots.claim().await.is_none(), "nothing was handed out");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_not_waited_for_for_ever() {
    let away = std::iter::repeat_n(Mood::Fails(Kind::Unreachable), 1_000);
    let world = world(new(chain(1)), Memory::moody(away), 1);
    let asked = tokio::time::Instant::now();
    world.run.await.expect("no panic").expect_err("away");
    assert!((29..=31).contains(&asked.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn workers_that_are_gone_end_the_drive() {
    let world = world(new(chain(1)), Memory::default(), 1);
    drop(world.slots);
    let gone = Error::WorkersGone { run_id: "r1".to_owned() };
    assert_eq!(world.run.await.expect("no panic").expect_err("gone"), gone);
}
