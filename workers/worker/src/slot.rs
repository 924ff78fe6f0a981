//! A slot: one attempt at a time, from claim to report.

use std::any::Any;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use flow::duration;
use flow::plan::Task;
use flow::wire::{Assignment, Ending, Failure};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, Span};

use crate::{Claim, Context, Execute, Link, Log};

/// How long an attempt that was told to stop may take beyond its `kill_grace` before it is dropped.
const OVERTIME: Duration = Duration::from_secs(2);

/// Why an attempt is told to stop.
#[derive(Clone, Copy)]
enum Why {
    Cancelled,
    Timeout,
}

/// Claims, runs and reports until there is no more work.
pub async fn work(link: Arc<dyn Link>, execute: Arc<dyn Execute>, attempts: Handle) {
    while let Some(Claim { assignment, stop }) = link.claim().await {
        let assignment = Arc::new(assignment);
        let task = &assignment.plan.tasks[assignment.task];
        let span =
            tracing::info_span!("attempt", run = assignment.run_id, task = task.name, attempt = assignment.attempt);
        let (mut attempt, stopping) = begin(&link, &execute, &attempts, &assignment, span.clone());
        let ending = watch_over(&mut attempt, &assignment, stop, stopping).await;
        if let Ending::Failed(failure) = &ending {
            span.in_scope(|| tracing::info!("task `{}` failed: {}", task.name, failure.message));
        }
        drop(span);
        link.report(&assignment.run_id, &task.name, assignment.attempt, ending).await;
    }
}

/// Waits until `stop` says true. Never returns if nobody can say so any more.
pub async fn turned(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}

/// Starts the attempt as a task of its own: a panic ends that alone, and dropping the set aborts it.
fn begin(
    link: &Arc<dyn Link>,
    execute: &Arc<dyn Execute>,
    attempts: &Handle,
    assignment: &Arc<Assignment>,
    span: Span,
) -> (JoinSet<Ending>, watch::Sender<bool>) {
    let (stopping, stop) = watch::channel(false);
    let cx = Context { stop, log: Log::new(link.clone(), assignment.clone()) };
    let (execute, assignment) = (execute.clone(), assignment.clone());
    let mut attempt = JoinSet::new();
    attempt.spawn_on(async move { execute.execute(&assignment, &cx).await }.instrument(span), attempts);
    (attempt, stopping)
}

/// Waits for the attempt's end and stops it when it is cancelled or takes too long.
async fn watch_over(
    attempt: &mut JoinSet<Ending>,
    assignment: &Assignment,
    mut stop: watch::Receiver<bool>,
    stopping: watch::Sender<bool>,
) -> Ending {
    let task = &assignment.plan.tasks[assignment.task];
    let why = tokio::select! {
        biased;
        joined = attempt.join_next() => return ending(joined),
        () = turned(&mut stop) => Why::Cancelled,
        () = after(task.timeout_ms) => Why::Timeout,
    };
    stopping.send_replace(true);
    let patience = Duration::from_millis(task.kill_grace_ms) + OVERTIME;
    let stopped = match timeout(patience, attempt.join_next()).await {
        Ok(joined) => ending(joined),
        Err(_) => {
            attempt.abort_all();
            Ending::Cancelled
        }
    };
    match (stopped, why) {
        (Ending::Cancelled, Why::Timeout) => Ending::Failed(too_long(task)),
        (ending, _) => ending,
    }
}

async fn after(timeout_ms: Option<u64>) {
    match timeout_ms {
        Some(ms) => sleep(Duration::from_millis(ms)).await,
        None => pending().await,
    }
}

fn ending(joined: Option<Result<Ending, JoinError>>) -> Ending {
    match joined {
        Some(Ok(ending)) => ending,
        Some(Err(error)) if error.is_panic() => {
            let said = panic_text(error.into_panic());
            Ending::Failed(Failure::internal(format!("the attempt panicked: {said}; this is a bug in flowctl")))
        }
        Some(Err(_)) | None => Ending::Cancelled,
    }
}

fn panic_text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "without a message".to_owned(),
        },
    }
}

fn too_long(task: &Task) -> Failure {
    let limit = duration::display(task.timeout_ms.unwrap_or_default());
    Failure::user(format!("took longer than {limit}; `timeout` of task `{}` sets the limit", task.name)).retryable()
}
