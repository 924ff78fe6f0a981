//! Workers on other machines: who is there, what each was given, and who has been silent for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::wire::{Assignment, AttemptId, Beat, Ending, Handout, Memory, Orders, Registration, WORKS_MAX, Work};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::Hall;
use crate::hall::{Offer, Receipt, Slots};

/// How long a worker may be silent before its attempts are given to others.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The workers of a server that are not in its process.
pub(crate) struct Remotes {
    hall: Hall,
    workers: Mutex<BTreeMap<String, Arc<Remote>>>,
}

struct Remote {
    slots: Slots,
    /// See [`Registration`].
    instance: String,
    state: Mutex<State>,
    /// It was given something.
    handed: Notify,
}

struct State {
    seen: Instant,
    /// What it was given and has not reported, and when.
    given: BTreeMap<AttemptId, Given>,
    memory: Option<Memory>,
    /// The runs whose work it was given. It keeps that of the latest, and so does this.
    works: BTreeSet<String>,
}

struct Given {
    at: Instant,
    stop: watch::Receiver<bool>,
}

/// Another process has the worker's name, and lives.
#[derive(Debug)]
pub(crate) struct Namesake;

/// The server does not know the worker, or has given it up.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Remote {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an offer is on the wire. From now on the worker should know of it.
    fn hand(&self, offer: Offer) -> Handout {
        let Assignment { run_id, plan, pins, task, attempt, token, versions, force } = offer.assignment;
        let id = AttemptId { run_id: run_id.clone(), task: plan.tasks[task].name.clone(), attempt };
        let mut state = self.state();
        state.given.insert(id, Given { at: Instant::now(), stop: offer.stop });
        let is_known = state.works.contains(&run_id);
        if !is_known {
            // As the worker does it.
            while state.works.len() >= WORKS_MAX {
                state.works.pop_first();
            }
            state.works.insert(run_id.clone());
        }
        let work = (!is_known).then_some(Work { plan, pins });
        self.handed.notify_one();
        Handout { run_id, work, task, attempt, token, versions, force }
    }

    /// What is to stop and does not yet: of what the worker does and was not given (any more), and of what it was given.
    fn orders(&self, beat: &Beat) -> Orders {
        let state = self.state();
        let unknown = beat.attempts.iter().filter(|id| !state.given.contains_key(id));
        let is_over = |given: &Given| given.is_over() && !planted!(StopsNobody);
        let over = state.given.iter().filter(|(_, given)| is_over(given)).map(|(id, _)| id);
        Orders { stop: unknown.chain(over).filter(|id| !beat.stopping.contains(id)).cloned().collect() }
    }

    /// Waits until something else may be to stop.
    async fn changed(&self, beat: &Beat) {
        let mut stops = {
            let state = self.state();
            let news = state.given.iter().filter(|(id, given)| !given.is_over() && !beat.stopping.contains(id));
            let stop = |mut stop: watch::Receiver<bool>| async move { _ = stop.changed().await };
            news.map(|(_, given)| Box::pin(stop(given.stop.clone()))).collect::<FuturesUnordered<_>>()
        };
        tokio::select! {
            Some(()) = stops.next() => {}
            () = self.handed.notified() => {}
        }
    }
}

impl Given {
    /// Whether it should stop. A driver that is gone will hear no report.
    fn is_over(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

impl Remotes {
    pub fn new(hall: Hall) -> Self {
        Remotes { hall, workers: Mutex::default() }
    }

    fn workers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Remote>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, worker: &str) -> Result<Arc<Remote>, Unknown> {
        let found = self.workers().get(worker).cloned().ok_or(Unknown)?;
        found.state().seen = Instant::now();
        Ok(found)
    }

    pub fn register(&self, registration: &Registration) -> Result<(), Namesake> {
        let Registration { worker, slots, labels, instance, .. } = registration;
        let namesake =
            self.workers().get(worker).cloned().filter(|it| !instance.is_empty() && it.instance != *instance);
        if namesake.is_some_and(|it| it.state().seen.elapsed() < LEASE / 2) {
            return Err(Namesake);
        }
        let slots = self.hall.join(worker, *slots, Some(labels.clone()));
        let state =
            Mutex::new(State { seen: Instant::now(), given: BTreeMap::new(), memory: None, works: BTreeSet::new() });
        self.workers().insert(
            worker.clone(),
            Arc::new(Remote { slots, instance: instance.clone(), state, handed: Notify::new() }),
        );
        tracing::info!("worker {worker} has come with {} slots", registration.slots);
        Ok(())
    }

    /// Work for a worker, which may take a while to come.
    pub async fn claim(&self, worker: &str, wait: Duration) -> Result<Option<Handout>, Unknown> {
        let remote = self.find(worker)?;
        // That its question still waits here does not say that it lives: only a beat does.
        let offer = match timeout(wait, remote.slots.claim()).await {
            Ok(Some(offer)) => offer,
            Err(_) => return Ok(None),
            Ok(None) => {
                // This server is ending: asking again at once would find nothing else.
                tokio::time::sleep(wait.min(LEASE / 4)).await;
                return Ok(None);
            }
        };
        Ok(Some(remote.hand(offer)))
    }

    /// The worker lives. What it was given and does not know of is given up; what it should not do is to stop, and for
    /// the answer that nothing is it waits as long as it says. That it waits does not say that it lives.
    pub async fn beat(&self, worker: &str, beat: &Beat, wait: Duration) -> Result<Orders, Unknown> {
        let remote = self.hear(worker, beat)?;
        let over = Instant::now() + wait;
        loop {
            let orders = remote.orders(beat);
            if !orders.stop.is_empty() || timeout_at(over, remote.changed(beat)).await.is_err() {
                return Ok(orders);
            }
        }
    }

    fn hear(&self, worker: &str, beat: &Beat) -> Result<Arc<Remote>, Unknown> {
        let remote = self.find(worker)?;
        if beat.closing {
            remote.slots.retire();
        }
        let mut state = remote.state();
        state.memory = beat.memory.or(state.memory);
        let unheard = |id: &AttemptId, given: &Given| {
            given.at.elapsed() > LEASE / 2 && !beat.attempts.contains(id) && !planted!(LostHandoutKept)
        };
        let lost: Vec<AttemptId> =
            state.given.iter().filter(|(id, given)| unheard(id, given)).map(|(id, _)| id.clone()).collect();
        for id in lost {
            state.given.remove(&id);
            let reason = format!("worker {worker} does not know of it");
            self.hall.lose_attempt(&id.run_id, &id.task, id.attempt, &reason);
        }
        drop(state);
        Ok(remote)
    }

    /// How an attempt ended at a worker. Answers when that is durable.
    pub async fn report(&self, worker: &str, id: &AttemptId, ending: Ending) -> Result<Receipt, Unknown> {
        let remote = self.find(worker)?;
        let receipt = remote.slots.report(&id.run_id, &id.task, id.attempt, ending).await;
        remote.state().given.remove(id);
        Ok(receipt)
    }

    pub fn leave(&self, worker: &str) {
        let left = self.workers().remove(worker);
        if let Some(left) = left.filter(|_| !planted!(GoodbyeIgnored)) {
            left.slots.leave("it went away");
            tracing::info!("worker {worker} has gone");
        }
    }

    /// Whether a worker has said nothing for so long that it may be given up.
    pub fn is_silent(&self, worker: &str) -> bool {
        self.workers().get(worker).is_some_and(|remote| remote.state().seen.elapsed() > LEASE / 2)
    }

    /// The memory of all workers that count theirs.
    pub fn memory(&self) -> Option<Memory> {
        let workers: Vec<Arc<Remote>> = self.workers().values().cloned().collect();
        workers.iter().filter_map(|remote| remote.state().memory).reduce(std::ops::Add::add)
    }

    /// Gives up workers that have been silent for too long.
    pub async fn keep_watch(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let silent = |remote: &Remote| remote.state().seen.elapsed() > LEASE && !planted!(SilenceBorne);
            let lost: Vec<String> = {
                let workers = self.workers();
                workers.iter().filter(|(_, remote)| silent(remote)).map(|(name, _)| name.clone()).collect()
            };
            for worker in lost {
                tracing::warn!("worker {worker} has been silent for {} s: what it did is given up", LEASE.as_secs());
                telemetry::lease_lost(telemetry::Holder::Worker);
                if let Some(silent) = self.workers().remove(&worker) {
                    silent.slots.leave("it was silent for too long");
                }
            }
        }
    }
}
