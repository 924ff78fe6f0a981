//! Workers on other machines, which talk with the real [`crate::remotes`] over a network that loses things.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flow::wire::{Assignment, AttemptId, Beat, Ending, Handout, Pins, Registration, WIRE};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::attempt;
use super::flag::Flag;
use super::servers::Servers;
use super::store::Link;
use super::world::World;
use crate::remotes::LEASE;
use crate::service::Service;

type Server = Arc<Service<Link>>;

pub struct Workers {
    world: Arc<World>,
    servers: Arc<Servers>,
    list: Vec<Arc<Worker>>,
}

/// A worker's process.
struct Worker {
    world: Arc<World>,
    servers: Arc<Servers>,
    name: String,
    /// The server that it works for.
    home: usize,
    slots: usize,
    labels: BTreeMap<String, String>,
    running: Mutex<BTreeMap<AttemptId, watch::Sender<bool>>>,
    generation: AtomicU64,
    registering: tokio::sync::Mutex<()>,
    closing: AtomicBool,
    asleep: Flag,
    gone: Arc<Flag>,
}

impl Workers {
    pub fn start(world: &Arc<World>, servers: &Arc<Servers>) -> Self {
        let mut workers = Workers::none(world, servers);
        for number in 0..world.below(4) {
            workers.come(format!("w{number}"), number % servers.count);
        }
        workers
    }

    /// As many of so many slots as somebody wants.
    pub fn fleet(world: &Arc<World>, servers: &Arc<Servers>, count: usize, slots: usize) -> Self {
        let mut workers = Workers::none(world, servers);
        for number in 0..count {
            workers.join(format!("w{number:05}"), number % servers.count, BTreeMap::new(), slots);
        }
        workers
    }

    fn none(world: &Arc<World>, servers: &Arc<Servers>) -> Self {
        Workers { world: world.clone(), servers: servers.clone(), list: vec![] }
    }

    fn come(&mut self, name: String, home: usize) {
        let labels = match self.world.one_in(2) || self.world.is_calm() {
            true => BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
            false => BTreeMap::new(),
        };
        let slots = 1 + self.world.below(3);
        self.join(name, home, labels, slots);
    }

    fn join(&mut self, name: String, home: usize, labels: BTreeMap<String, String>, slots: usize) {
        let worker = Arc::new(Worker {
            world: self.world.clone(),
            servers: self.servers.clone(),
            name,
            home,
            slots,
            labels,
            running: Mutex::default(),
            generation: AtomicU64::new(0),
            registering: tokio::sync::Mutex::default(),
            closing: AtomicBool::new(false),
            asleep: Flag::default(),
            gone: Arc::default(),
        });
        for _ in 0..worker.slots {
            worker.spawn(worker.clone().keep_working());
        }
        worker.spawn(worker.clone().keep_beating());
        self.list.push(worker);
    }

    fn any(&self) -> Option<&Arc<Worker>> {
        (!self.list.is_empty()).then(|| &self.list[self.world.below(self.list.len())])
    }

    /// One is there no more; perhaps it comes again under the same name.
    pub fn vanish(&mut self) {
        let Some(worker) = self.any() else { return };
        let (name, home) = (worker.name.clone(), worker.home);
        worker.gone.set(true);
        self.list.retain(|worker| worker.name != name);
        if self.world.one_in(2) {
            self.come(name, home);
        }
    }

    /// One stops for a while.
    pub fn sleep(&self) {
        let Some(worker) = self.any().cloned() else { return };
        tokio::spawn(async move {
            worker.asleep.set(true);
            worker.world.sleep_below(16_000).await;
            worker.asleep.set(false);
        });
    }

    /// One goes home.
    pub fn leave(&mut self) {
        let Some(worker) = self.any().cloned() else { return };
        self.list.retain(|other| other.name != worker.name);
        tokio::spawn(worker.leave());
    }

    pub fn wake(&self) {
        self.list.iter().for_each(|worker| worker.asleep.set(false));
    }

    /// For every server comes one more that can do everything.
    pub fn one_per_server(&mut self) {
        for home in 0..self.servers.count {
            self.come(format!("more-{home}"), home);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.list.iter().for_each(|worker| worker.gone.set(true));
    }
}

impl Worker {
    /// Does something for as long as the process is there.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = gone.until(true) => {}
                () = work => {}
            }
        });
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<AttemptId, watch::Sender<bool>>> {
        self.running.lock().expect("nobody panics while holding it")
    }

    async fn awake(&self) {
        self.asleep.until(false).await;
    }

    async fn ask<T, F: Future<Output = T>>(&self, question: impl FnOnce(Server) -> F) -> Option<T> {
        self.awake().await;
        let answer = self.servers.ask(self.home, question).await;
        self.awake().await;
        if answer.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
        answer
    }

    async fn register(&self, known: u64) {
        let _one_at_a_time = self.registering.lock().await;
        if self.generation.load(Ordering::Relaxed) != known {
            return;
        }
        let (worker, labels) = (self.name.clone(), self.labels.clone());
        let (instance, lake) = (String::new(), None);
        let registration = Registration { wire: WIRE, worker, slots: self.slots, labels, instance, lake };
        if self.ask(async |server: Server| server.remotes.register(&registration)).await.is_some() {
            self.generation.fetch_add(1, Ordering::Relaxed);
            // What it was doing before is not its business any more.
            self.running().values().for_each(|stop| _ = stop.send_replace(true));
        }
    }

    async fn keep_working(self: Arc<Self>) {
        while !self.closing.load(Ordering::Relaxed) {
            let known = self.generation.load(Ordering::Relaxed);
            if known == 0 {
                self.register(known).await;
                continue;
            }
            let claim = self.ask(async |server: Server| server.remotes.claim(&self.name, 2 * LEASE).await);
            match claim.await {
                Some(Ok(Some(handout))) => self.work(handout).await,
                Some(Ok(None)) => tokio::task::yield_now().await,
                Some(Err(_)) => self.register(known).await,
                None => {}
            }
        }
    }

    async fn work(&self, handout: Handout) {
        if self.world.fault(|faults| faults.lost, 20) {
            return; // It gets no plan.
        }
        let Handout { run_id, work: _, task, attempt, token, versions, force } = handout;
        let Some(plan) = self.world.tables().runs.get(&run_id).map(|row| row.plan.clone()) else { return };
        let id = AttemptId { run_id: run_id.clone(), task: plan.tasks[task].name.clone(), attempt };
        let (stop, stopped) = watch::channel(false);
        self.running().insert(id.clone(), stop);
        let pins = Arc::new(Pins::default());
        let assignment = Assignment { run_id, plan, pins, task, attempt, token, versions, force };
        let ending = attempt::execute(&self.world, &assignment, stopped, &self.asleep).await;
        self.report(&assignment, &id, ending).await;
        self.running().remove(&id);
    }

    async fn report(&self, assignment: &Assignment, id: &AttemptId, ending: Ending) {
        let label = attempt::label(&ending);
        let mut repeats = usize::from(self.world.fault(|faults| faults.repeats, 6));
        loop {
            let report = self.ask(async |server: Server| server.remotes.report(&self.name, id, ending.clone()).await);
            match report.await {
                Some(Ok(receipt)) => attempt::note(&self.world, assignment, label, receipt),
                Some(Err(_)) => return,
                None => continue,
            }
            if repeats == 0 {
                return;
            }
            repeats -= 1;
        }
    }

    async fn keep_beating(self: Arc<Self>) {
        loop {
            let heard = self.beat(LEASE / 4).await;
            sleep(if heard { Duration::from_millis(100) } else { LEASE / 4 }).await;
        }
    }

    async fn beat(&self, wait: Duration) -> bool {
        let known = self.generation.load(Ordering::Relaxed);
        let attempts: Vec<AttemptId> = self.running().keys().cloned().collect();
        let stopping = self.running().iter().filter(|(_, stop)| *stop.borrow()).map(|(id, _)| id.clone()).collect();
        let beat = Beat { attempts, stopping, closing: self.closing.load(Ordering::Relaxed), ..Beat::default() };
        // Orders that come too late are of no use.
        let asked = self.ask(async |server: Server| server.remotes.beat(&self.name, &beat, wait).await);
        match timeout(wait + LEASE / 4, asked).await {
            Ok(Some(Ok(orders))) => {
                let running = self.running();
                orders.stop.iter().filter_map(|id| running.get(id)).for_each(|stop| _ = stop.send_replace(true));
                return true;
            }
            Ok(Some(Err(_))) if !beat.closing => self.register(known).await,
            _ => {}
        }
        false
    }

    async fn leave(self: Arc<Self>) {
        self.closing.store(true, Ordering::Relaxed);
        self.beat(Duration::ZERO).await;
        for _ in 0..30 {
            if !self.running().is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        }
        let left = self.ask(async |server: Server| {
            server.remotes.leave(&self.name);
            server.counts_on(&self.name)
        });
        if left.await == Some(true) {
            self.world.broken(format!("{} has said goodbye and is still counted on", self.name));
        }
        self.gone.set(true);
    }
}
