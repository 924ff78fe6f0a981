//! Claims attempts, runs them, reports. Knows neither DataFusion nor SQL.
//!
//! [`serve`] is a worker: a number of slots, each of which claims an attempt over a [`Link`], has it run
//! by an [`Execute`] within its timeout, and reports how it ended. What happens inside an attempt, a
//! panic included, never costs a slot.

mod client;
mod http;
mod log;
mod pauses;
mod periods;
mod slot;

use std::sync::Arc;

use async_trait::async_trait;
use flow::wire::{Assignment, Ending, Memory};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use client::{Access, base, cause};
pub use flow::wire::{Line, Stream};
pub use http::Remote;
pub use log::Log;

/// What runs an attempt, whatever its kind.
#[async_trait]
pub trait Execute: Send + Sync {
    /// Runs the attempt to its end. When `cx.stop` turns true it ends what it started within the
    /// task's `kill_grace` and answers [`Ending::Cancelled`]. A little later it is dropped in the middle.
    async fn execute(&self, assignment: &Assignment, cx: &Context) -> Ending;

    /// Which lake it reads and writes; empty if no server has used it yet. `None`: that is all the same.
    fn lake(&self) -> Option<String> {
        None
    }

    /// The memory of what it runs, if it is counted.
    fn memory(&self) -> Option<Memory> {
        None
    }
}

/// What an attempt may use of the world around it.
pub struct Context {
    /// Turns true when the attempt should stop, because of a cancel or its timeout.
    pub stop: watch::Receiver<bool>,
    /// Takes what the attempt says.
    pub log: Log,
}

impl Context {
    /// Waits until the attempt should stop.
    pub async fn stopped(&self) {
        slot::turned(&mut self.stop.clone()).await;
    }
}

/// The worker's side of its tie to a driver.
#[async_trait]
pub trait Link: Send + Sync {
    /// Waits for work. `None` when there will be no more.
    async fn claim(&self) -> Option<Claim>;
    /// Hands in how an attempt ended. Returns when that needs no repeating.
    async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending);
    /// Hands in lines of log, in order. Waits while there is no room, which slows the attempt instead of
    /// filling the memory.
    async fn log(&self, lines: Vec<Line>);
}

/// Work, and the means to be told to stop it.
pub struct Claim {
    pub assignment: Assignment,
    pub stop: watch::Receiver<bool>,
}

/// Works in `slots` slots until `link` says that there will be no more work and what was begun has been
/// reported. Dropping it ends what is running, without a report.
///
/// Attempts run on `attempts`: where that is another runtime than the caller's, computing that never yields holds up
/// neither the slots nor their reports.
pub async fn serve(link: Arc<dyn Link>, execute: Arc<dyn Execute>, slots: usize, attempts: Handle) {
    let mut all = JoinSet::new();
    for _ in 0..slots {
        all.spawn(slot::work(link.clone(), execute.clone(), attempts.clone()));
    }
    all.join_all().await;
}
