//! Servers: the real service in a task of its own, which dies when it is told to, wherever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use store::{Key, Origin};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::attempt;
use super::flag::Flag;
use super::flows::Compiler;
use super::store::Link;
use super::tables::Lease;
use super::world::World;
use crate::hall::Labels;
use crate::service::{Order, Service, enter};
use crate::{Clock, Hall};

/// How long a server that ends waits for what runs.
const GRACE: Duration = Duration::from_secs(5);

pub struct Servers {
    world: Arc<World>,
    pub count: usize,
    hosts: Mutex<Vec<Option<Host>>>,
    /// How often servers have been started.
    starts: AtomicU64,
}

/// A server's process.
pub struct Host {
    pub service: Arc<Service<Link>>,
    pub hall: Hall,
    /// How far its clock is ahead of the true time.
    ahead: Arc<AtomicI64>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Turns true when it is there no more.
    gone: Arc<Flag>,
    /// Whether it has come in.
    up: Arc<Flag>,
    /// The flows that it knew when somebody looked last.
    pub known: BTreeSet<String>,
}

impl Servers {
    pub fn start(world: &Arc<World>, count: usize) -> Self {
        let hosts = Mutex::new((0..count).map(|_| None).collect());
        let servers = Servers { world: world.clone(), count, hosts, starts: AtomicU64::new(0) };
        servers.start_missing();
        servers
    }

    pub fn hosts(&self) -> MutexGuard<'_, Vec<Option<Host>>> {
        self.hosts.lock().expect("nobody panics while holding it")
    }

    pub fn start_missing(&self) {
        for index in 0..self.count {
            let mut hosts = self.hosts();
            let there = hosts[index].as_ref().is_some_and(|host| !host.gone.get());
            if !there {
                hosts[index] = Some(self.host(index));
            }
        }
        self.start_another();
    }

    /// Where a store cannot be shared somebody tries it all the same.
    fn start_another(&self) {
        if !self.world.tables().exclusive || self.world.is_calm() || !self.world.one_in(3) {
            return;
        }
        let link = Link { world: self.world.clone(), server: format!("intruder-{}", self.world.now()), index: 0 };
        let first = self.hosts()[0].as_ref().map(|host| host.up.clone());
        tokio::spawn(async move {
            let Some(up) = first else { return };
            up.until(true).await;
            let came_in = enter(&link, &link.server, None).await.is_ok();
            let is_served = link.world.tables().servers.keys().any(|name| *name != link.server);
            if came_in && up.get() && is_served {
                link.world.broken(format!("{} comes in although the store is served", link.server));
            }
            link.world.tables().servers.remove(&link.server);
        });
    }

    fn host(&self, index: usize) -> Host {
        let world = &self.world;
        let name = format!("s{index}.{}", self.starts.fetch_add(1, Ordering::Relaxed));
        let off = if world.faults.clocks { world.below(10_000) as i64 - 5_000 } else { 0 };
        let ahead = Arc::new(AtomicI64::new(off));
        let clock = {
            let (world, ahead) = (world.clone(), ahead.clone());
            Clock::following(move || world.clock(&ahead))
        };
        let hall = Hall::default();
        let link = Arc::new(Link { world: world.clone(), server: name.clone(), index });
        let compile = Arc::new(Compiler(world.clone()));
        let service = Arc::new(Service::new(link, hall.clone(), compile, name, clock));
        let (stop, stopped) = watch::channel(false);
        let (gone, up) = (Arc::<Flag>::default(), Arc::<Flag>::default());
        let slots = world.below(world.size.own_slots);
        let process = Process { world: world.clone(), service: service.clone(), hall: hall.clone(), slots };
        let task = tokio::spawn(process.live(stopped, up.clone(), gone.clone()));
        Host { service, hall, ahead, task, stop, gone, up, known: BTreeSet::new() }
    }

    fn any(&self) -> Option<(MutexGuard<'_, Vec<Option<Host>>>, usize)> {
        let chosen = self.world.below(self.count);
        let hosts = self.hosts();
        hosts[chosen].is_some().then_some((hosts, chosen))
    }

    pub fn kill_one(&self) {
        if let Some((mut hosts, chosen)) = self.any() {
            hosts[chosen].take().iter().for_each(Host::kill);
        }
    }

    /// Whether nothing runs anywhere, nor is about to.
    pub fn at_rest(&self) -> bool {
        let is_idle = |hall: &Hall| hall.held() == 0 && hall.workers().iter().all(|(_, _, busy)| *busy == 0);
        self.hosts().iter().flatten().all(|host| is_idle(&host.hall))
    }

    pub fn kill_all(&self) {
        self.hosts().drain(..).flatten().for_each(|host| host.kill());
    }

    pub fn end_one(&self) {
        if let Some((hosts, chosen)) = self.any() {
            hosts[chosen].iter().for_each(|host| _ = host.stop.send_replace(true));
        }
    }

    pub fn set_a_clock(&self) {
        let jump = self.world.below(10_000) as i64 - 5_000;
        if let Some((hosts, chosen)) = self.any() {
            hosts[chosen].iter().for_each(|host| _ = host.ahead.fetch_add(jump, Ordering::Relaxed));
        }
    }

    /// Asks a server over a network that loses questions and answers. `None`: there is no answer.
    pub async fn ask<T, F: Future<Output = T>>(
        &self,
        index: usize,
        question: impl FnOnce(Arc<Service<Link>>) -> F,
    ) -> Option<T> {
        self.world.delay().await;
        if self.world.fault(|faults| faults.lost, 20) {
            self.world.sleep_below(2_000).await;
            return None;
        }
        let (service, gone, up) = {
            let hosts = self.hosts();
            let host = hosts.get(index)?.as_ref()?;
            (host.service.clone(), host.gone.clone(), host.up.get())
        };
        if !up {
            return None;
        }
        let patience = match self.world.fault(|faults| faults.lost, 20) {
            true => Duration::from_millis(self.world.below(500) as u64),
            false => Duration::from_secs(60),
        };
        let answer = tokio::select! {
            biased;
            () = gone.until(true) => None,
            answer = timeout(patience, question(service)) => answer.ok(),
        };
        self.world.delay().await;
        answer.filter(|_| !self.world.fault(|faults| faults.lost, 20))
    }

    /// Asks a server for a run. The inner `None`: it does not know the flow, or could not make the run.
    pub async fn submit(&self, index: usize, flow: &str, key: &str) -> Option<Option<String>> {
        self.ask(index, async |service: Arc<Service<Link>>| {
            let flow = service.flow(flow)?;
            let params = BTreeMap::from([("client".to_owned(), key.to_owned())]);
            let order =
                Order { key: Some(Key { name: key.to_owned(), request: String::new() }), params, ..Order::default() };
            service.make(&flow, &order, Origin::Service).await.ok().map(|(run_id, _)| run_id)
        })
        .await
    }
}

impl Host {
    fn kill(&self) {
        self.gone.set(true);
        self.up.set(false);
        self.task.abort();
    }

    pub fn is_up(&self) -> bool {
        self.up.get()
    }
}

struct Process {
    world: Arc<World>,
    service: Arc<Service<Link>>,
    hall: Hall,
    slots: usize,
}

impl Process {
    async fn live(self, stop: watch::Receiver<bool>, up: Arc<Flag>, gone: Arc<Flag>) {
        let Process { world, service, hall, slots } = self;
        let name = service.name.clone();
        if enter(&*service.store, &name, None).await.is_ok() {
            up.set(true);
            let mut hands = JoinSet::new();
            if slots > 0 {
                let place = Arc::new(hall.join(&format!("{name}/slots"), slots, Some(Labels::new())));
                // More hands than slots: only the drivers keep the limit.
                let busy = Arc::new(attempt::Busy::new(slots));
                for _ in 0..2 * slots {
                    hands.spawn(attempt::work_here(world.clone(), place.clone(), busy.clone()));
                }
            }
            let watching = service.clone();
            let listening = async move { watching.remotes.keep_watch().await };
            let closing = hall.clone();
            let drained = async move {
                closing.close();
                let _late = timeout(GRACE, closing.idle()).await;
            };
            let ended = service.live(listening, stop, drained).await;
            up.set(false);
            if ended.is_ok() {
                let (now, tables) = (world.store_now(), world.tables());
                let kept = |(run_id, lease): (&String, &Lease)| lease.holder == name && tables.is_held(run_id, now);
                let left = tables.servers.contains_key(&name) || tables.leases.iter().any(kept);
                drop(tables);
                if left {
                    world.broken(format!("{name} has ended and keeps what others need"));
                }
            } else if world.is_calm() {
                world.broken(format!("{name} ends with {ended:?}"));
            }
        }
        gone.set(true);
    }
}
