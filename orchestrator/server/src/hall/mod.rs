//! Where drivers find workers: who is there, how many slots are free, and what is under way.
//!
//! A worker joins with a number of slots. A driver takes a [`Place`] for every attempt that it is about to start, hands
//! the attempt over once its start is durable, and gives the place back by dropping it. So slots in use are places
//! held, by construction.
//!
//! Slots are handed on. Who finds none queues up, and a slot that becomes free goes to the foremost whom its worker
//! suits, before anybody else sees it. A driver that frees a slot may use it again as long as nobody is before it.

mod presence;
mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::wire::{Assignment, Ending};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(crate) use presence::{Present, Seen};
use queue::{Queue, Want};

/// What a worker offers beside its slots, and what a task asks for: `zone = "a"`.
pub type Labels = BTreeMap<String, String>;

/// The meeting place of one process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hall(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<String, Worker>,
    /// Each run's driver.
    drivers: BTreeMap<String, mpsc::UnboundedSender<Message>>,
    /// Runs that found no room.
    queue: Queue,
    /// Slots that were handed to runs that waited and have not taken them yet: the names and ids of workers.
    handed: BTreeMap<String, Vec<(String, u64)>>,
    /// Whether workers go home with the last driver.
    one_run: bool,
    /// How many workers have come so far.
    joined: u64,
    /// Whether nobody is let in any more.
    closed: bool,
    /// How many places are held.
    held: watch::Sender<usize>,
}

#[derive(Debug)]
struct Worker {
    /// Tells it from others of the same name.
    id: u64,
    slots: usize,
    /// `None`: it does whatever there is, as the only worker of a `flowctl run`.
    labels: Option<Labels>,
    busy: usize,
    offers: mpsc::UnboundedSender<Offer>,
}

/// An attempt to run.
#[derive(Debug)]
pub struct Offer {
    pub assignment: Assignment,
    /// Turns true when the attempt should stop, and closes when the driver is gone.
    pub stop: watch::Receiver<bool>,
    /// When it was handed out.
    pub at: Instant,
}

/// What a driver hears.
#[derive(Debug)]
pub(crate) enum Message {
    Report(Report),
    /// There is room again.
    Room,
    /// An attempt is given up that its worker does not know of.
    AttemptLost {
        task: String,
        attempt: u32,
        reason: String,
    },
    /// The worker went away, with everything it was doing.
    WorkerLost {
        id: u64,
        reason: String,
    },
}

/// How an attempt ended, on its way to the driver.
#[derive(Debug)]
pub(crate) struct Report {
    pub task: String,
    pub attempt: u32,
    pub ending: Ending,
    pub receipt: oneshot::Sender<Receipt>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is durable.
    Recorded,
    /// The attempt had been given up before. Nothing has changed.
    Stale,
    /// The driver is gone. Nobody will record it.
    Unheard,
}

/// A run's driver in the hall. Dropping it, the driver leaves.
#[derive(Debug)]
pub struct Desk {
    hall: Hall,
    run_id: String,
    pub(crate) mail: mpsc::UnboundedReceiver<Message>,
}

/// A worker in the hall, shared by its slots. Dropping it, the worker leaves, and what it was doing is lost.
#[derive(Debug)]
pub struct Slots {
    hall: Hall,
    worker: String,
    id: u64,
    offers: tokio::sync::Mutex<mpsc::UnboundedReceiver<Offer>>,
}

/// A worker's slot, held for one attempt. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Place {
    hall: Hall,
    pub worker: String,
    /// Which worker of that name.
    pub id: u64,
}

impl Hall {
    /// A hall for one run: its workers go home when its driver does.
    pub fn for_one_run() -> Self {
        Hall(Arc::new(Mutex::new(State { one_run: true, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A driver comes for its run.
    pub fn drive(&self, run_id: &str) -> Desk {
        let (sender, mail) = mpsc::unbounded_channel();
        self.state().drivers.insert(run_id.to_owned(), sender);
        Desk { hall: self.clone(), run_id: run_id.to_owned(), mail }
    }

    /// A worker comes, with slots, and labels that tasks may require. One of the same name that was there is gone.
    pub fn join(&self, worker: &str, slots: usize, labels: Option<Labels>) -> Slots {
        let (sender, offers) = mpsc::unbounded_channel();
        let mut state = self.state();
        if state.workers.contains_key(worker) && !planted!(NamesakeForgotten) {
            state.lose(worker, "a worker of the same name took its place");
        }
        state.joined += 1;
        let id = state.joined;
        if !state.closed {
            state.workers.insert(worker.to_owned(), Worker { id, slots, labels, busy: 0, offers: sender });
            state.hand_on(worker);
        }
        Slots { hall: self.clone(), worker: worker.to_owned(), id, offers: tokio::sync::Mutex::new(offers) }
    }

    /// An attempt is given up.
    pub(crate) fn lose_attempt(&self, run_id: &str, task: &str, attempt: u32, reason: &str) {
        if let Some(driver) = self.state().drivers.get(run_id) {
            let (task, reason) = (task.to_owned(), reason.to_owned());
            let _left = driver.send(Message::AttemptLost { task, attempt, reason });
        }
    }

    /// Nothing new starts: claims answer `None` from now on. What runs can still be reported.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.workers.clear();
    }

    /// Waits until nothing runs.
    pub async fn idle(&self) {
        let mut held = self.state().held.subscribe();
        // The hall holds the other end.
        let _ = held.wait_for(|held| *held == 0).await;
    }
}

impl Worker {
    fn free(&self) -> usize {
        self.slots.saturating_sub(self.busy)
    }

    fn has(&self, requires: &Labels) -> bool {
        let Some(labels) = &self.labels else { return true };
        requires.iter().all(|(label, value)| labels.get(label) == Some(value))
    }

    fn suits(&self, want: &Want) -> bool {
        matches!(want, Want::Slot(requires) if self.has(requires))
    }
}

impl State {
    /// Hands free slots of a worker to those who wait for them.
    fn hand_on(&mut self, name: &str) {
        let State { workers, drivers, queue, handed, .. } = self;
        let Some(worker) = workers.get_mut(name) else { return };
        while worker.free() > 0 {
            let Some(run_id) = queue.pop(|want| worker.suits(want)) else { return };
            if let Some(driver) = drivers.get(&run_id) {
                worker.busy += 1;
                handed.entry(run_id).or_default().push((name.to_owned(), worker.id));
                let _left = driver.send(Message::Room);
            }
        }
    }

    /// A slot of a worker that may have left meanwhile is free.
    fn free(&mut self, name: &str, id: u64) {
        if let Some(worker) = self.workers.get_mut(name).filter(|worker| worker.id == id) {
            worker.busy = worker.busy.saturating_sub(1);
            self.hand_on(name);
        }
    }

    /// Finds a slot: one that was handed to the run, or else one of the worker with most room.
    fn find(&mut self, run_id: &str, requires: &Labels) -> Option<(String, u64)> {
        if let Some(handed) = self.handed.get_mut(run_id) {
            let workers = &self.workers;
            let fits = |(name, id): &(String, u64)| {
                workers.get(name).is_some_and(|worker| worker.id == *id && worker.slots > 0 && worker.has(requires))
            };
            if let Some(index) = handed.iter().position(fits) {
                return Some(handed.swap_remove(index));
            }
        }
        let found = self.workers.iter_mut().filter(|(_, worker)| worker.free() > 0 && worker.has(requires));
        let (name, worker) = found.max_by_key(|(_, worker)| worker.free())?;
        worker.busy += 1;
        Some((name.clone(), worker.id))
    }

    fn lose(&mut self, worker: &str, reason: &str) {
        let Some(Worker { id, .. }) = self.workers.remove(worker) else { return };
        if self.one_run && self.workers.is_empty() {
            // A driver that hears nobody any more knows that nobody is left.
            self.drivers.clear();
        }
        for driver in self.drivers.values() {
            let _left = driver.send(Message::WorkerLost { id, reason: reason.to_owned() });
        }
    }
}

impl Desk {
    /// Holds a slot of a worker that has everything that is required. `None`: the driver will be told when it gets one,
    /// which is the sooner the higher the priority is and the longer it waits.
    pub(crate) fn take(&self, requires: &Labels, priority: i32) -> Option<Place> {
        let mut state = self.hall.state();
        let want = Want::Slot(requires.clone());
        let Some((worker, id)) = state.find(&self.run_id, requires) else {
            state.queue.wait(&self.run_id, want, priority);
            return None;
        };
        state.queue.served(&self.run_id, &want);
        state.held.send_modify(|held| *held += 1);
        Some(Place { hall: self.hall.clone(), worker, id })
    }

    /// Whether the run may use a slot again that it holds: it has everything that is required, and nobody who waits
    /// for such a one comes first.
    pub(crate) fn keeps(&self, place: &Place, requires: &Labels, priority: i32) -> bool {
        let mut state = self.hall.state();
        let Some(worker) = state.workers.get(&place.worker).filter(|worker| worker.id == place.id) else {
            return false;
        };
        let want = Want::Slot(requires.clone());
        let behind = state.queue.is_behind(&self.run_id, &want, priority, |other| worker.suits(other));
        if behind && !planted!(TurnOverlooked) || worker.slots == 0 || !worker.has(requires) {
            return false;
        }
        state.queue.served(&self.run_id, &want);
        true
    }

    /// Gives back what the run was handed and has no use for any more.
    pub(crate) fn settle(&self) {
        let mut state = self.hall.state();
        for (worker, id) in state.handed.remove(&self.run_id).unwrap_or_default() {
            state.free(&worker, id);
        }
    }

    /// Asks to be told when somebody in this process gives back a slot of the pool.
    pub(crate) fn wait_for_pool(&self, pool: &str, priority: i32) {
        self.hall.state().queue.wait(&self.run_id, Want::Pool(pool.to_owned()), priority);
    }

    /// Tells whoever waits longest for the pool that it has a free slot.
    pub(crate) fn free_pool(&self, pool: &str) {
        let mut state = self.hall.state();
        let next = state.queue.pop(|want| matches!(want, Want::Pool(wanted) if wanted == pool));
        if let Some(driver) = next.and_then(|run_id| state.drivers.get(&run_id)) {
            let _left = driver.send(Message::Room);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let mut state = self.hall.state();
        state.drivers.remove(&self.run_id);
        state.queue.forget(&self.run_id);
        for (worker, id) in state.handed.remove(&self.run_id).unwrap_or_default() {
            state.free(&worker, id);
        }
        if state.one_run {
            state.workers.clear();
        }
    }
}

impl Place {
    /// Gives the attempt to the worker. A worker that has left meanwhile is told of to all drivers.
    pub fn hand(&self, offer: Offer) {
        let state = self.hall.state();
        if let Some(worker) = state.workers.get(&self.worker).filter(|worker| worker.id == self.id) {
            let _left = worker.offers.send(offer);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.hall.state();
        state.held.send_modify(|held| *held -= 1);
        state.free(&self.worker, self.id);
    }
}

impl Slots {
    /// Waits for work. `None` when there will be no more.
    pub async fn claim(&self) -> Option<Offer> {
        let offer = self.offers.lock().await.recv().await;
        offer.inspect(|offer| telemetry::dispatched(offer.at.elapsed()))
    }

    /// Takes no more work, and gives up what was offered and not claimed yet.
    pub(crate) fn retire(&self) {
        if let Some(worker) = self.hall.state().workers.get_mut(&self.worker).filter(|worker| worker.id == self.id) {
            worker.slots = 0;
        }
        // While somebody waits for an offer there is none.
        let Ok(mut offers) = self.offers.try_lock() else { return };
        while let Ok(Offer { assignment, .. }) = offers.try_recv() {
            let task = &assignment.plan.tasks[assignment.task].name;
            self.hall.lose_attempt(&assignment.run_id, task, assignment.attempt, "its worker was going home");
        }
    }

    /// Hands in how an attempt ended and waits until that is durable.
    pub async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending) -> Receipt {
        let (receipt, answer) = oneshot::channel();
        let report = Message::Report(Report { task: task.to_owned(), attempt, ending, receipt });
        let Some(driver) = self.hall.state().drivers.get(run_id).cloned() else { return Receipt::Unheard };
        if driver.send(report).is_err() {
            return Receipt::Unheard;
        }
        answer.await.unwrap_or(Receipt::Unheard)
    }

    /// The worker leaves, whoever still waits for an offer in its name.
    pub(crate) fn leave(&self, reason: &str) {
        let mut state = self.hall.state();
        if state.workers.get(&self.worker).is_some_and(|worker| worker.id == self.id) {
            state.lose(&self.worker, reason);
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.leave("it went away");
    }
}

#[cfg(test)]
mod tests;
