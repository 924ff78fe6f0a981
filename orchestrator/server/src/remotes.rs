//! Workers on other machines: who is there, what each was given, and who has been silent for too long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::wire::{AttemptId, Beat, Ending, Handout, Orders, Registration};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::Hall;
use crate::hall::{Receipt, Slots};

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
    state: Mutex<State>,
}

struct State {
    seen: Instant,
    /// What it was given and has not reported, and when.
    given: BTreeMap<AttemptId, Given>,
}

struct Given {
    at: Instant,
    stop: watch::Receiver<bool>,
}

/// The server does not know the worker, or has given it up.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Remote {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub fn register(&self, registration: &Registration) {
        let Registration { worker, slots, labels, .. } = registration;
        let slots = self.hall.join(worker, *slots, Some(labels.clone()));
        let state = Mutex::new(State { seen: Instant::now(), given: BTreeMap::new() });
        self.workers().insert(worker.clone(), Arc::new(Remote { slots, state }));
        tracing::info!("worker {worker} has come with {} slots", registration.slots);
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
        let given = offer.assignment;
        let task = given.plan.tasks[given.task].name.clone();
        let id = AttemptId { run_id: given.run_id.clone(), task, attempt: given.attempt };
        remote.state().given.insert(id, Given { at: Instant::now(), stop: offer.stop });
        let flow::wire::Assignment { run_id, task, attempt, token, versions, force, .. } = given;
        Ok(Some(Handout { run_id, task, attempt, token, versions, force }))
    }

    /// The worker lives. What it was given and does not know of is given up; what it should not do is to stop.
    pub fn beat(&self, worker: &str, beat: &Beat) -> Result<Orders, Unknown> {
        let remote = self.find(worker)?;
        if beat.closing {
            remote.slots.retire();
        }
        let mut state = remote.state();
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
        // A driver that is gone will hear no report.
        let over = |given: &Given| !planted!(StopsNobody) && *given.stop.borrow() || given.stop.has_changed().is_err();
        let stop = |id: &&AttemptId| state.given.get(id).is_none_or(over);
        Ok(Orders { stop: beat.attempts.iter().filter(stop).cloned().collect() })
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
                if let Some(silent) = self.workers().remove(&worker) {
                    silent.slots.leave("it was silent for too long");
                }
            }
        }
    }
}
