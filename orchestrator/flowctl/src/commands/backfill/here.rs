//! A backfill in this process: it makes the runs and drives them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flow::Time;
use flow::api::Once;
use flow::run::{Record, Run};
use flow::view::rfc3339;
use server::driver::LEASE_MS;
use server::service::{Compile, Order, Trouble, Written};
use server::{Clock, Hall, NewRun, Seat, abandoned};
use store::{Origin, Store};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Done;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::print;

/// How often a run is looked at that somebody else drives.
const LOOK: Duration = Duration::from_millis(500);

/// What every run of a backfill shares.
pub struct Shared {
    pub store: Arc<Store>,
    pub compiler: Compiler,
    pub hall: Hall,
    pub clock: Clock,
    pub written: Written,
    pub params: BTreeMap<String, String>,
    pub once: Once,
    pub cancel: watch::Receiver<Option<String>>,
}

impl Shared {
    /// Makes the run of a time, or waits for one that is there, until somebody has ended it.
    pub async fn make(&self, time: Time) -> Result<Done, Error> {
        loop {
            let run_id = match self.drive(time).await {
                Ok(run) => return Ok(Done::Ended(Box::new(run))),
                Err(Refusal::Exists(run_id)) => run_id,
                Err(Refusal::Other(error)) => return Err(error),
            };
            if self.store.head(&run_id).await?.state.is_terminal() {
                return Ok(Done::Before);
            }
            print::note(&format!("{}: run {run_id} is under way elsewhere, and waited for", rfc3339(time)));
            if let Some(done) = self.wait(&run_id).await? {
                return Ok(done);
            }
        }
    }

    async fn drive(&self, time: Time) -> Result<Run, Refusal> {
        let refused = |trouble: Trouble| Refusal::Other(trouble.into());
        let order = Order { params: self.params.clone(), logical_time: Some(time), ..Order::default() };
        let began = SystemTime::now();
        let plan = self.compiler.plan(&self.written, &order).await.map_err(refused)?;
        let compiled = (began, SystemTime::now());
        let pins = self.compiler.pin(&plan).await.map_err(refused)?;
        let new = NewRun {
            run_id: uuid::Uuid::now_v7().to_string(),
            pins: Arc::new(pins),
            origin: Origin::Run,
            once: Some(self.once),
            force: false,
            retry_of: None,
            adopted: vec![],
            durations_ms: self.store.durations(&plan.flow).await.map_err(|error| Refusal::Other(error.into()))?,
            plan: Arc::new(plan),
        };
        let holder = format!("{}/{}", std::process::id(), new.run_id);
        let mut observer = |_: &Run, _: &[Record]| {};
        let seat = Seat {
            journal: &*self.store,
            clock: &self.clock,
            desk: self.hall.drive(&new.run_id),
            cancel: self.cancel.clone(),
            observer: &mut observer,
            holder: &holder,
            lease_ms: LEASE_MS,
        };
        telemetry::compiled(&new.run_id, &new.plan.flow, compiled, []);
        server::drive(new, seat).await.map_err(|error| match error {
            server::Error::Exists { run_id } => Refusal::Exists(run_id),
            error => Refusal::Other(error.into()),
        })
    }

    /// Waits for the end of a run of somebody else. `None`: its process died, and the time is free again.
    async fn wait(&self, run_id: &str) -> Result<Option<Done>, Error> {
        let mut cancel = self.cancel.clone();
        loop {
            if timeout(LOOK, cancel.wait_for(Option::is_some)).await.is_ok() {
                return Ok(Some(Done::Left));
            }
            for closed in abandoned::close(&self.store, &self.clock).await? {
                self.compiler.end_leftovers(closed.id()).await;
            }
            if self.store.head(run_id).await?.state.is_terminal() {
                let loaded = self.store.load(run_id).await?;
                let run = Run::replay(loaded.plan.into(), run_id, &loaded.records);
                return Ok((!abandoned::was(&run)).then(|| Done::Ended(Box::new(run))));
            }
        }
    }
}

/// Why there is no run of our own.
enum Refusal {
    /// This one stands for it.
    Exists(String),
    Other(Error),
}
