//! Drives a run from its first fact to its last.

mod batch;
mod patience;
mod places;
mod rooms;
mod turn;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use flow::Time;
use flow::api::Once;
use flow::plan::{Plan, TaskId};
use flow::run::{Event, Record, Run, RunState};
use flow::wire::{Outcome, Pins};
use store::Origin;
use telemetry::Watch;
use tokio::sync::watch;

use crate::hall::{Desk, Place};
use crate::{Clock, Error, Journal};

/// How long the driver of a `flowctl run` may be silent before the run counts as abandoned.
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
    /// When another run for the same logical time stands for it.
    pub once: Option<Once>,
    /// Whether unchanged tasks run all the same.
    pub force: bool,
    /// The run that this one does again, and what it adopts of it, by task. See [`Run::made`].
    pub retry_of: Option<String>,
    pub adopted: Vec<(String, Outcome)>,
    /// How many milliseconds tasks took in earlier runs.
    pub durations_ms: HashMap<String, Time>,
}

/// A run that was made and is not over.
#[derive(Clone, Debug)]
pub struct OpenRun {
    /// As its journal tells.
    pub run: Run,
    pub pins: Arc<Pins>,
    pub force: bool,
    /// The number of its last event.
    pub seq: u64,
    pub records: Vec<Record>,
    /// How many milliseconds tasks took in earlier runs.
    pub durations_ms: HashMap<String, Time>,
}

/// What a driver sits at: everything around the run but the run.
pub struct Seat<'a> {
    pub journal: &'a dyn Journal,
    pub clock: &'a Clock,
    /// The driver's place in the hall, where it finds workers.
    pub desk: Desk,
    /// Who asked the run to stop, once somebody has.
    pub cancel: watch::Receiver<Option<String>>,
    /// Hears what has become durable, with the run as it stands then.
    pub observer: &'a mut (dyn FnMut(&Run, &[Record]) + Send + Sync),
    /// Names this driver in its lease.
    pub holder: &'a str,
    /// How long it may be silent before the run counts as abandoned.
    pub lease_ms: Time,
}

/// Makes the run and drives it to its end. Answers the closed run.
///
/// # Errors
///
/// When the store stays away or refuses, when another run stands for it or somebody else has taken it over, and when the workers are
/// gone. Running attempts are told to stop then, and the run stays open in the store until its lease expires.
pub async fn drive(new: NewRun, seat: Seat<'_>) -> Result<Run, Error> {
    let run = Run::new(new.plan, new.run_id).with_durations(&new.durations_ms);
    let creation = Creation { origin: new.origin, once: new.once, retry_of: new.retry_of };
    let inbox = VecDeque::from([batch::Fact::Own(Event::RunCreated)]);
    let driver = Driver { creation: Some(creation), inbox, ..Driver::new(run, new.pins, new.force, seat) };
    driver.begin(batch::beginning(new.adopted)).await
}

/// Drives a run on that somebody else made or began. The caller holds its lease.
///
/// # Errors
///
/// As [`drive`].
pub async fn resume(open: OpenRun, seat: Seat<'_>) -> Result<Run, Error> {
    let run = open.run.with_durations(&open.durations_ms);
    let inbox = batch::next_facts(&run, &open.records);
    let is_waiting = run.state() == RunState::Queued && run.cancelled_by().is_none();
    let beginning = if is_waiting { batch::beginning(vec![]) } else { VecDeque::new() };
    let watch = Watch::new(&run, &open.records);
    let driver = Driver { seq: open.seq, inbox, watch, ..Driver::new(run, open.pins, open.force, seat) };
    driver.begin(beginning).await
}

/// What only the maker of a run knows.
struct Creation {
    origin: Origin,
    once: Option<Once>,
    retry_of: Option<String>,
}

struct Driver<'a> {
    pins: Arc<Pins>,
    force: bool,
    /// There until the run is made.
    creation: Option<Creation>,
    seat: Seat<'a>,
    /// Tells what is durable as metrics and spans.
    watch: Watch,
    run: Run,
    /// The number of the last durable record.
    seq: u64,
    /// What was heard and is not durable yet, oldest first.
    inbox: VecDeque<batch::Fact>,
    /// The means to stop each attempt that was handed out.
    held: BTreeMap<(TaskId, u32), watch::Sender<bool>>,
    /// The slots in which attempts run.
    places: BTreeMap<(TaskId, u32), Place>,
    /// The slots of pools that there may be for them.
    rooms: rooms::Rooms,
    asked_to_stop: bool,
    tail_at: Time,
    renew_at: Time,
}

impl<'a> Driver<'a> {
    fn new(run: Run, pins: Arc<Pins>, force: bool, seat: Seat<'a>) -> Self {
        let now = seat.clock.now();
        let renew_at = now + seat.lease_ms / 3;
        Driver {
            pins,
            force,
            creation: None,
            seat,
            watch: Watch::new(&run, &[]),
            run,
            seq: 0,
            inbox: VecDeque::new(),
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            rooms: rooms::Rooms::default(),
            asked_to_stop: false,
            tail_at: now + TAIL_MS,
            renew_at,
        }
    }

    /// Drives to the end. What begins the run is recorded at once, or when its flow allows another.
    async fn begin(mut self, beginning: VecDeque<Event>) -> Result<Run, Error> {
        match self.run.plan().limits.runs {
            Some(_) => self.rooms = rooms::Rooms::behind(beginning),
            None => self.inbox.extend(beginning.into_iter().map(batch::Fact::Own)),
        }
        self.drive_to_end().await
    }

    async fn drive_to_end(mut self) -> Result<Run, Error> {
        let driven = self.drive().await;
        self.stop_all();
        driven.map(|()| self.run)
    }

    fn stop_all(&self) {
        for stop in self.held.values() {
            stop.send_replace(true);
        }
    }
}
