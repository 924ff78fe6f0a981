//! Runs: made for whoever drives them first, and driven.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flow::Time;
use flow::plan::Plan;
use flow::run::{Event, Record, Run};
use store::{Created, Kind, Origin};
use telemetry::Holder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::flows::Flow;
use super::{LEASE_MS, Order, Service, Trouble};
use crate::Error;
use crate::driver::{OpenRun, Seat, resume};
use crate::journal::Ledger;

/// How often a service looks for runs that nobody drives.
const LOOK: Duration = Duration::from_millis(250);

/// For how long it leaves a run alone that cannot be read.
const TROUBLE: Duration = Duration::from_secs(30);

/// How many runs it takes at a time.
const TAKE_MAX: u64 = 100;

impl<S: Ledger> Service<S> {
    /// Makes a run, to be driven by whoever takes it. Answers its id, or that of the run that is there already, for the
    /// same scheduled time or of the same key, and whether it is new.
    pub(crate) async fn make(&self, flow: &Flow, order: &Order, origin: Origin) -> Result<(String, bool), Trouble> {
        self.make_in_turn(flow, order, origin, None).await
    }

    /// As [`Service::make`], and moves the flow's schedule on in the same moment, if nobody else has.
    pub(super) async fn make_in_turn(
        &self,
        flow: &Flow,
        order: &Order,
        origin: Origin,
        turn: Option<(Time, Time)>,
    ) -> Result<(String, bool), Trouble> {
        let began = SystemTime::now();
        let plan = self.compile.plan(&flow.written, order).await?;
        let pins = self.compile.pin(&plan).await?;
        let key = order.key.as_ref().filter(|_| !planted!(KeyForgotten));
        let new = store::NewRun::of(&pins, self.clock.now(), origin);
        let new = store::NewRun { force: order.force, key, once: order.once, turn, ..new };
        let compiled = (began, SystemTime::now());
        let (run_id, is_new) = self.record(plan, &new, [Event::RunCreated].into_iter()).await?;
        if is_new {
            telemetry::compiled(&run_id, &flow.name, compiled, order.caller);
        }
        Ok((run_id, is_new))
    }

    /// Records a run with its first facts, to be driven by whoever takes it. Answers as [`Service::make`].
    pub(super) async fn record(
        &self,
        plan: Plan,
        new: &store::NewRun<'_>,
        facts: impl Iterator<Item = Event> + Send,
    ) -> Result<(String, bool), Trouble> {
        let run_id = new_id();
        let mut run = Run::new(Arc::new(plan), run_id.clone());
        let record = |(seq, event)| Record { run_id: run_id.clone(), seq, at: new.created_at, event };
        let records: Vec<Record> = (1..).zip(facts).map(record).collect();
        // Nothing can have come before them.
        records.iter().for_each(|record| _ = run.apply(record));
        let made = match self.store.create(new, &run, records).await {
            Err(error) if error.kind == Kind::Unknown && planted!(AcceptsUnknown) => Created::New(vec![]),
            made => made?,
        };
        self.new_runs.notify_one();
        Ok(match made {
            Created::New(_) => (run_id, true),
            Created::Existing { run_id } => (run_id, false),
        })
    }

    /// Takes runs that nobody drives, and drives each to its end.
    pub(super) async fn keep_driving(self: Arc<Self>) {
        let mut drives = JoinSet::new();
        let mut driven: HashMap<tokio::task::Id, String> = HashMap::new();
        let mut troubled: HashMap<String, Instant> = HashMap::new();
        loop {
            troubled.retain(|_, until| *until > Instant::now());
            match self.store.takeable(TAKE_MAX).await {
                Ok(open) => {
                    for head in open {
                        if !troubled.contains_key(&head.run_id) && !driven.values().any(|it| *it == head.run_id) {
                            let span = tracing::info_span!("run", run = head.run_id, flow = head.flow);
                            let task = drives.spawn(self.clone().drive(head.run_id.clone()).instrument(span));
                            driven.insert(task.id(), head.run_id);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!("failed to {error}");
                    // Leases may have run out while the store was away: those who live renew theirs first.
                    tokio::time::sleep(Duration::from_millis(LEASE_MS)).await;
                }
            }
            let _ = tokio::time::timeout(LOOK, self.new_runs.notified()).await;
            while let Some(done) = drives.try_join_next_with_id() {
                let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let run_id = driven.remove(&id).unwrap_or_default();
                match done {
                    Ok((_, true)) => {}
                    Ok((_, false)) => drop(troubled.insert(run_id, Instant::now() + TROUBLE)),
                    Err(error) => tracing::error!("the driver of run {run_id} ended badly: {error}"),
                }
            }
        }
    }

    /// False: it cannot be read, and nothing is gained by trying again soon.
    async fn drive(self: Arc<Self>, run_id: String) -> bool {
        match self.try_drive(&run_id).await {
            Ok(Some(run)) => {
                let state = format!("{:?}", run.state()).to_lowercase();
                let error = run.error().map(|error| format!(": {error}")).unwrap_or_default();
                tracing::info!("flow `{}`: run {run_id} {state}{error}", run.plan().flow);
            }
            Ok(None) => {}
            Err(Error::Store(error)) if matches!(error.kind, Kind::Corrupt | Kind::Internal) => {
                tracing::error!("failed to {error}; run {run_id} is left alone for {} s", TROUBLE.as_secs());
                return false;
            }
            // Whoever sees the lease expire goes on with the run.
            Err(error) => tracing::warn!("failed to {error}"),
        }
        true
    }

    /// `None` if somebody else was faster.
    async fn try_drive(&self, run_id: &str) -> Result<Option<Run>, Error> {
        if !self.store.acquire(run_id, &self.name, LEASE_MS).await? {
            return Ok(None);
        }
        let open = match self.open(run_id).await {
            Ok(Some(open)) => open,
            none => {
                // Nobody drives it: whoever can should not have to wait for the end of the lease.
                let released = self.store.release(run_id, &self.name).await;
                none?;
                return Ok(released.map(|()| None)?);
            }
        };
        let (_nobody, cancel) = watch::channel(None);
        let mut observer = |run: &Run, _: &[Record]| self.followers.tell(run.id());
        let seat = Seat {
            journal: &*self.store,
            clock: &self.clock,
            desk: self.hall.drive(run_id),
            cancel,
            observer: &mut observer,
            holder: &self.name,
            lease_ms: LEASE_MS,
        };
        match resume(open, seat).await {
            Err(Error::LeaseLost { .. }) => Ok(None),
            driven => driven.map(Some),
        }
    }

    /// The run as its journal tells. `None` if it is over.
    async fn open(&self, run_id: &str) -> Result<Option<OpenRun>, Error> {
        let loaded = self.store.load(run_id).await?;
        if loaded.head.state.is_terminal() {
            return Ok(None);
        }
        let durations_ms = self.store.durations(&loaded.head.flow).await?;
        let run = Run::replay(loaded.plan.into(), run_id, &loaded.records);
        let (pins, force, seq) = (Arc::new(loaded.pins), loaded.head.force, loaded.head.seq);
        if run.running().len() > 0 {
            // They are lost to the run, whatever they still do.
            self.compile.end_leftovers(run_id).await;
            telemetry::lease_lost(Holder::Run);
        }
        Ok(Some(OpenRun { run, pins, force, seq, records: loaded.records, durations_ms }))
    }
}

/// An id that no other run has; those of later runs sort behind it.
#[cfg(not(test))]
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
#[cfg(test)]
use crate::sim::new_id;
