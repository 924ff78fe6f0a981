//! Claims attempts, runs them, reports. Knows neither DataFusion nor SQL.

use async_trait::async_trait;
use flow::wire::{Assignment, Ending};
use tokio::sync::watch;

/// What runs an attempt, whatever its kind.
#[async_trait]
pub trait Execute: Send + Sync {
    /// Runs the attempt to its end. When `cx.stop` turns true it ends what it started within the
    /// task's `kill_grace` and answers [`Ending::Cancelled`].
    async fn execute(&self, assignment: &Assignment, cx: &Context) -> Ending;
}

/// What an attempt may use of the world around it.
pub struct Context {
    /// Turns true when the attempt should stop.
    pub stop: watch::Receiver<bool>,
    /// Takes what the attempt says, a line at a time.
    pub log: LogSink,
}

/// Where the lines of an attempt go.
#[derive(Clone)]
pub struct LogSink(pub tokio::sync::mpsc::UnboundedSender<Line>);

/// A line of an attempt's log.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Line {
    pub run_id: String,
    pub task: String,
    pub attempt: u32,
    /// Milliseconds since the epoch.
    pub at: flow::Time,
    /// `stdout`, `stderr`, or `flowctl` for what we say ourselves.
    pub stream: String,
    pub text: String,
}

/// The worker's side of its tie to a driver.
#[async_trait]
pub trait Link: Send + Sync {
    /// Waits for work. `None` when there will be no more.
    async fn claim(&self) -> Option<Claim>;
    /// Hands in how an attempt ended.
    async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending);
    /// Hands in a line of log.
    fn log(&self, line: Line);
}

/// Work, and the means to be told to stop it.
pub struct Claim {
    pub assignment: Assignment,
    pub stop: watch::Receiver<bool>,
}
