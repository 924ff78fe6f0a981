//! Slots against a scripted driver and scripted attempts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flow::plan::{Plan, Task};
use flow::wire::{Assignment, Ending, Failure, Outcome, Whose};
use tokio::runtime::Handle;
use tokio::sync::{Barrier, mpsc, watch};
use worker::{Claim, Context, Execute, Line, Link, Stream, serve};

/// A driver that hands out what it was given and passes on what it hears.
struct Script {
    claims: Mutex<VecDeque<Claim>>,
    reports: mpsc::UnboundedSender<(String, u32, Ending)>,
    lines: mpsc::UnboundedSender<Line>,
}

#[async_trait]
impl Link for Script {
    async fn claim(&self) -> Option<Claim> {
        self.claims.lock().expect("nobody panics with the lock").pop_front()
    }

    async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending) {
        assert_eq!(run_id, "run");
        let _ = self.reports.send((task.to_owned(), attempt, ending));
    }

    async fn log(&self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| drop(self.lines.send(line)));
    }
}

/// Attempts that do what the task's name says.
struct Deeds {
    together: Barrier,
    dropped: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Execute for Deeds {
    async fn execute(&self, assignment: &Assignment, cx: &Context) -> Ending {
        let task = &assignment.plan.tasks[assignment.task];
        match task.name.as_str() {
            "together" => {
                self.together.wait().await;
            }
            "panic" => unreachable!("no such luck"),
            "until stopped" => {
                cx.stopped().await;
                return Ending::Cancelled;
            }
            "done when stopped" => cx.stopped().await,
            "deaf" => {
                let _signal = SignalDrop(self.dropped.clone());
                std::future::pending::<()>().await;
            }
            "chatty" => cx.log.lines(Stream::Stderr, vec!["one".into(), "two".into()]).await,
            _ => {}
        }
        Ending::Succeeded(Outcome::default())
    }
}

struct SignalDrop(mpsc::UnboundedSender<()>);

impl Drop for SignalDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

struct World {
    link: Arc<Script>,
    execute: Arc<Deeds>,
    stops: Vec<watch::Sender<bool>>,
    reports: mpsc::UnboundedReceiver<(String, u32, Ending)>,
    lines: mpsc::UnboundedReceiver<Line>,
    dropped: mpsc::UnboundedReceiver<()>,
}

impl World {
    fn new(tasks: &[Task]) -> World {
        let plan = Arc::new(Plan { tasks: tasks.to_vec(), ..Plan::default() });
        let (reports_in, reports) = mpsc::unbounded_channel();
        let (lines_in, lines) = mpsc::unbounded_channel();
        let (dropped_in, dropped) = mpsc::unbounded_channel();
        let (stops, claims) = (0..tasks.len()).map(|task| claim(&plan, task)).unzip();
        World {
            link: Arc::new(Script { claims: Mutex::new(claims), reports: reports_in, lines: lines_in }),
            execute: Arc::new(Deeds { together: Barrier::new(4), dropped: dropped_in }),
            stops,
            reports,
            lines,
            dropped,
        }
    }

    /// Serves to the end and gives the endings in the order of the reports.
    async fn endings(mut self, slots: usize) -> Vec<(String, Ending)> {
        serve(self.link.clone(), self.execute.clone(), slots, Handle::current()).await;
        self.reports.close();
        let mut endings = vec![];
        while let Some((task, attempt, ending)) = self.reports.recv().await {
            assert_eq!(attempt, 3);
            endings.push((task, ending));
        }
        endings
    }
}

fn claim(plan: &Arc<Plan>, task: usize) -> (watch::Sender<bool>, Claim) {
    let assignment = Assignment {
        run_id: "run".into(),
        plan: plan.clone(),
        pins: Arc::default(),
        task,
        attempt: 3,
        token: 0,
        versions: Default::default(),
        force: false,
    };
    let (stopping, stop) = watch::channel(false);
    (stopping, Claim { assignment, stop })
}

fn task(name: &str) -> Task {
    Task { name: name.into(), ..Task::default() }
}

fn limited(name: &str, timeout_ms: u64) -> Task {
    Task { timeout_ms: Some(timeout_ms), ..task(name) }
}

fn done() -> Ending {
    Ending::Succeeded(Outcome::default())
}

#[tokio::test]
async fn slots_work_at_the_same_time_and_all_work_is_reported() {
    // Each waits for three others: fewer than four slots would wait for ever.
    let endings = World::new(&vec![task("together"); 40]).endings(4).await;
    assert_eq!(endings, vec![("together".to_owned(), done()); 40]);
}

#[tokio::test]
async fn a_panic_fails_its_attempt_and_costs_no_slot() {
    let endings = World::new(&[task("panic"), task("fine")]).endings(1).await;
    let [(_, Ending::Failed(Failure { whose: Whose::Internal, retry: false, message, .. })), (_, fine)] = &endings[..]
    else {
        panic!("{endings:?}");
    };
    assert!(message.contains("no such luck"), "{message}");
    assert_eq!(*fine, done());
}

#[tokio::test]
async fn a_timeout_stops_the_attempt_and_may_be_retried() {
    let endings = World::new(&[limited("until stopped", 10), task("fine")]).endings(1).await;
    let (_, Ending::Failed(failure)) = &endings[0] else { panic!("{endings:?}") };
    assert_eq!((failure.whose, failure.retry), (Whose::User, true));
    assert!(failure.message.starts_with("took longer than 10ms"), "{}", failure.message);
    assert_eq!(endings[1].1, done());
}

#[tokio::test]
async fn work_that_is_done_when_the_timeout_strikes_counts() {
    assert_eq!(World::new(&[limited("done when stopped", 10)]).endings(1).await[0].1, done());
}

#[tokio::test]
async fn a_cancel_reaches_the_attempt() {
    let world = World::new(&[task("until stopped"), task("until stopped")]);
    for stopping in &world.stops {
        stopping.send_replace(true);
    }
    let endings = world.endings(1).await;
    assert!(endings.iter().all(|(_, ending)| *ending == Ending::Cancelled), "{endings:?}");
}

#[tokio::test]
async fn a_driver_that_lost_interest_in_stopping_stops_nothing() {
    let mut world = World::new(&[limited("until stopped", 50)]);
    world.stops.clear();
    let endings = world.endings(1).await;
    assert!(matches!(&endings[0].1, Ending::Failed(_)), "stopped before its timeout: {endings:?}");
}

#[tokio::test]
async fn an_attempt_that_ignores_its_stop_is_dropped() {
    let mut world = World::new(&[limited("deaf", 10), task("fine")]);
    let mut dropped = std::mem::replace(&mut world.dropped, mpsc::unbounded_channel().1);
    let endings = world.endings(1).await;
    assert!(matches!(&endings[0].1, Ending::Failed(failure) if failure.retry), "{endings:?}");
    assert_eq!(endings[1].1, done());
    assert_eq!(dropped.recv().await, Some(()));
}

#[tokio::test]
async fn dropping_the_worker_drops_its_attempts() {
    let World { link, execute, stops, mut reports, mut dropped, .. } = World::new(&[task("fine"), task("deaf")]);
    let serving = tokio::spawn(serve(link, execute, 1, Handle::current()));
    assert_eq!(reports.recv().await, Some(("fine".into(), 3, done())));
    serving.abort();
    assert_eq!(dropped.recv().await, Some(()));
    assert_eq!(reports.recv().await, None, "an attempt that was dropped must not report");
    drop(stops);
}

#[tokio::test]
async fn lines_say_whose_they_are() {
    let mut world = World::new(&[task("chatty")]);
    let mut lines = std::mem::replace(&mut world.lines, mpsc::unbounded_channel().1);
    world.endings(1).await;
    let line = lines.recv().await.unwrap();
    assert_eq!((line.run_id.as_str(), line.task.as_str(), line.attempt), ("run", "chatty", 3));
    assert_eq!((line.stream, line.text.as_str()), (Stream::Stderr, "one"));
    assert!(line.at > 1_600_000_000_000, "milliseconds since the epoch, not {}", line.at);
    assert_eq!(lines.recv().await.unwrap().text, "two");
}
