//! A service: flows that run by their schedules and on demand, driven by this process for as long as it lives, and by
//! another one afterwards.
//!
//! Everything that matters is in the store. A service takes the lease of a run that nobody drives, drives it, and
//! gives the lease back when it goes; one that goes without a word loses its leases, and its runs are taken over.

mod abandoned;
mod again;
mod compile;
mod flows;
mod followers;
mod parts;
mod retention;
mod runs;
mod schedules;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use flow::Time;
use flow::catalogue::Catalogue;
use store::{Kind, Store};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::gate::Gate;
use crate::journal::Ledger;
use crate::remotes::Remotes;
use crate::retention::Retention;
use crate::shelf::Shelf;
use crate::tls::Tls;
use crate::ui::Connections;
use crate::{Clock, Error, Hall, api, doors};
pub use compile::{Cause, Compile, Loaded, Order, Told, Trouble, Written};
pub(crate) use flows::Flow;
use flows::Flows;
pub(crate) use followers::FOLLOWERS_MAX;
use followers::Followers;
pub(crate) use followers::Following;
use parts::Parts;

/// How long a service may be silent before others take its runs over.
const LEASE_MS: Time = 3_000;

/// What a service is made of.
pub struct Setup {
    pub store: Arc<Store>,
    pub hall: Hall,
    pub compile: Arc<dyn Compile>,
    pub retention: Retention,
    /// Unique among all services, ever.
    pub name: String,
    /// Where the HTTP interface is.
    pub listener: TcpListener,
    /// What makes its connections safe.
    pub tls: Option<Arc<Tls>>,
    /// How many connections it may have at a time.
    pub connections_max: usize,
}

/// What its parts share.
pub(crate) struct Service<S = Store> {
    pub(crate) store: Arc<S>,
    pub(crate) hall: Hall,
    pub(crate) remotes: Remotes,
    pub(crate) gate: Gate,
    shelf: Shelf,
    pub(crate) compile: Arc<dyn Compile>,
    pub(crate) name: String,
    /// Which lake its runs read and write, if that can be told.
    pub(crate) lake: Option<String>,
    pub(crate) clock: Clock,
    up_since: Time,
    flows: Flows,
    /// Who follows runs that are driven here.
    pub(crate) followers: Followers,
    /// A run may wait for a driver.
    new_runs: Notify,
}

/// Serves until `stop` turns true: then no runs are made, and it ends when `drained` has, which is to empty the hall.
///
/// # Errors
/// Another service has an SQLite store for itself, the store cannot be reached at first, or a part of the service died.
pub async fn serve(setup: Setup, stop: watch::Receiver<bool>, drained: impl Future<Output = ()>) -> Result<(), Error> {
    let Setup { store, hall, compile, retention, name, listener, tls, connections_max } = setup;
    let service = Arc::new(Service::new(store, hall, compile, name, Clock::system()));
    enter(&*service.store, &service.name, service.lake.as_deref()).await?;
    service.gate.look(&service.store).await?;
    tracing::info!("{} serves {}", service.name, service.store.place());
    let listening = service.clone().listen(listener, tls, connections_max);
    let tidying = service.clone().keep_retention(retention);
    let closing = service.clone().keep_closing_abandoned();
    let beside = async { _ = tokio::join!(listening, tidying, closing) };
    service.live(beside, stop, drained).await
}

/// Says that this service is there. One that died without a word is believed to be there for a lease.
pub(crate) async fn enter(store: &impl Ledger, name: &str, lake: Option<&str>) -> Result<(), Error> {
    let patience = tokio::time::Instant::now() + Duration::from_millis(LEASE_MS * 4 / 3);
    loop {
        match store.serve(name, lake, LEASE_MS).await {
            Err(error) if error.kind == Kind::Refused && tokio::time::Instant::now() < patience => {
                bear(&error).await;
            }
            Err(error) if error.kind == Kind::Refused && planted!(ServesTwice) => return Ok(()),
            Err(error) if passes(&error) && tokio::time::Instant::now() < patience => bear(&error).await,
            entered => return Ok(entered?),
        }
    }
}

/// Says that this service is gone. What cannot be said for a lease needs no saying any more.
async fn leave(store: &impl Ledger, name: &str) -> Result<(), Error> {
    let patience = tokio::time::Instant::now() + Duration::from_millis(LEASE_MS);
    loop {
        match store.leave(name).await {
            Err(error) if passes(&error) && tokio::time::Instant::now() < patience => bear(&error).await,
            left => return Ok(left?),
        }
    }
}

/// Whether it may help to say the same again, which does no harm.
fn passes(error: &store::Error) -> bool {
    matches!(error.kind, Kind::Busy | Kind::Unknown | Kind::Unreachable)
}

async fn bear(error: &store::Error) {
    tracing::debug!("failed to {error}; trying again");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

impl<S: Ledger> Service<S> {
    pub(crate) fn new(store: Arc<S>, hall: Hall, compile: Arc<dyn Compile>, name: String, clock: Clock) -> Self {
        let up_since = clock.now();
        Service {
            store,
            remotes: Remotes::new(hall.clone()),
            hall,
            gate: Gate::default(),
            shelf: Shelf::default(),
            lake: compile.lake(),
            compile,
            name,
            clock,
            up_since,
            flows: Flows::default(),
            followers: Followers::default(),
            new_runs: Notify::new(),
        }
    }

    /// Does what a service does, beside what is given, from the moment that it has entered until it has left.
    pub(crate) async fn live(
        self: Arc<Self>,
        beside: impl Future<Output = ()> + Send + 'static,
        mut stop: watch::Receiver<bool>,
        drained: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        self.look_at_flows().await;
        let (mut makers, mut drives, mut presence) = (Parts::default(), Parts::default(), Parts::default());
        makers.spawn("reading flows", self.clone().keep_looking_at_flows());
        makers.spawn("schedules", self.clone().keep_schedules());
        drives.spawn("driving runs", self.clone().keep_driving());
        presence.spawn("presence", self.clone().stay());
        presence.spawn("the HTTP interface and retention", beside);
        let asked_to_end = async {
            // A sender that is gone can say no more.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            biased;
            () = asked_to_end => {}
            died = makers.death() => return Err(died),
            died = drives.death() => return Err(died),
            died = presence.death() => return Err(died),
        }
        makers.shutdown().await;
        tokio::select! {
            biased;
            () = drained => {}
            died = drives.death() => return Err(died),
            died = presence.death() => return Err(died),
        }
        drives.shutdown().await;
        presence.shutdown().await;
        if !planted!(LeavesNothing) {
            leave(&*self.store, &self.name).await?;
        }
        Ok(())
    }

    /// The flow called `name`.
    pub(crate) fn flow(&self, name: &str) -> Option<Arc<Flow>> {
        self.flows.all().into_iter().find(|flow| flow.name == name)
    }

    /// Every flow that is in force.
    pub(crate) fn known_flows(&self) -> Vec<Arc<Flow>> {
        self.flows.all()
    }

    /// Whether a worker is in the hall.
    #[cfg(test)]
    pub(crate) fn counts_on(&self, worker: &str) -> bool {
        self.hall.workers().iter().any(|(name, ..)| name == worker)
    }

    /// Keeps saying that this service is there, sooner again when it could not.
    async fn stay(self: Arc<Self>) {
        let mut pause_ms = LEASE_MS / 3;
        loop {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = match self.store.serve(&self.name, self.lake.as_deref(), LEASE_MS).await {
                Ok(()) => LEASE_MS / 3,
                // It slept for so long that another came in which cannot be here at the same time.
                Err(error) if error.kind == Kind::Refused => return tracing::error!("failed to {error}"),
                Err(error) => {
                    tracing::warn!("failed to {error}");
                    LEASE_MS / 10
                }
            };
        }
    }
}

impl Service {
    /// Every dataset, and how they hang together.
    pub(crate) async fn catalogue(&self) -> Result<Arc<Catalogue>, store::Error> {
        self.shelf.catalogue(&self.store).await
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, tls: Option<Arc<Tls>>, connections_max: usize) {
        let freshness = async {
            match &tls {
                Some(tls) => tls.keep_fresh().await,
                None => std::future::pending().await,
            }
        };
        // Nobody says where it is: then it trusts as few as it can.
        let listening = listener.local_addr().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
        let by = if tls.is_some() { Connections::Safe } else { Connections::Plain };
        tokio::join!(
            doors::serve(listener, tls.clone(), api::router(self.clone(), by, listening), connections_max),
            freshness,
            self.remotes.keep_watch(),
            self.gate.keep_looking(&self.store),
        );
    }
}
