//! Drives a run from its first fact to its last.

mod batch;
mod patience;
mod turn;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use flow::Time;
use flow::plan::{Plan, TaskId};
use flow::run::{Record, Run};
use flow::wire::{Outcome, Pins};
use store::Origin;
use tokio::sync::watch;

use crate::local::Desk;
use crate::{Clock, Error, Journal};

/// How long a driver may be silent before the run counts as abandoned.
pub const LEASE_MS: Time = 10_000;

/// How often the driver looks for what others have recorded.
const TAIL_MS: Time = 500;

/// How long a store may be away before the driver gives up.
const OUTAGE_MAX_MS: Time = 30_000;

/// A run to be made and driven to its end.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub run_id: String,
    pub plan: Arc<Plan>,
    pub pins: Arc<Pins>,
    pub origin: Origin,
    /// Whether unchanged tasks run all the same.
    pub force: bool,
    /// The run that this one does again, and what it adopts of it, by task. See [`Run::made`].
    pub retry_of: Option<String>,
    pub adopted: Vec<(String, Outcome)>,
    /// How many milliseconds tasks took in earlier runs.
    pub durations_ms: HashMap<String, Time>,
}

/// What a driver sits at: everything around the run but the run.
pub struct Seat<'a> {
    pub journal: &'a dyn Journal,
    pub clock: &'a Clock,
    /// The workers' slots. See [`crate::local::slots`].
    pub desk: Desk,
    /// Who asked the run to stop, once somebody has.
    pub cancel: watch::Receiver<Option<String>>,
    /// Hears what has become durable, with the run as it stands then.
    pub observer: &'a mut (dyn FnMut(&Run, &[Record]) + Send + Sync),
    /// Names this driver in its lease.
    pub holder: &'a str,
}

/// Makes the run and drives it to its end. Answers the closed run.
///
/// # Errors
///
/// When the store stays away or refuses, when somebody else has taken the run over, and when the workers are
/// gone. Running attempts are told to stop then, and the run stays open in the store until its lease expires.
pub async fn drive(new: NewRun, seat: Seat<'_>) -> Result<Run, Error> {
    let mut driver = Driver::new(new, seat);
    let driven = driver.drive().await;
    driver.stop_all();
    driven.map(|()| driver.run)
}

struct Driver<'a> {
    new: NewRun,
    seat: Seat<'a>,
    run: Run,
    /// The number of the last durable record.
    seq: u64,
    /// What was heard and is not durable yet, oldest first.
    inbox: VecDeque<batch::Fact>,
    /// The means to stop each attempt that was handed out.
    held: HashMap<(TaskId, u32), watch::Sender<bool>>,
    asked_to_stop: bool,
    tail_at: Time,
    renew_at: Time,
}

impl<'a> Driver<'a> {
    fn new(mut new: NewRun, seat: Seat<'a>) -> Self {
        let run = Run::new(new.plan.clone(), new.run_id.clone()).with_durations(&new.durations_ms);
        let now = seat.clock.now();
        Driver {
            inbox: batch::first_facts(std::mem::take(&mut new.adopted)),
            new,
            seat,
            run,
            seq: 0,
            held: HashMap::new(),
            asked_to_stop: false,
            tail_at: now + TAIL_MS,
            renew_at: now + LEASE_MS / 3,
        }
    }

    fn stop_all(&self) {
        for stop in self.held.values() {
            stop.send_replace(true);
        }
    }
}
