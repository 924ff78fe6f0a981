//! A world: what is shared, what happens, and when it becomes calm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flow::Time;
use flow::schedule::Schedule;
use tokio::time::{Instant, sleep};

use super::dice::Dice;
use super::faults::Faults;
use super::flows::FlowFile;
use super::judge;
use super::lake::Lake;
use super::pools::Pools;
use super::servers::Servers;
use super::size::Size;
use super::tables::Tables;
use super::workers::Workers;

/// When worlds begin: `2023-11-14T22:13:20Z`.
const BEGIN: Time = 1_700_000_000_000;
/// Within this time something happens once nothing goes wrong any more, as long as a run is open: a worker's lease and two
/// looks at it, a server's lease, what is left of an outage, and the work itself.
const CALM_MS: Time = 25_000;
/// And within this time everything closes.
const END_MS: Time = 200_000;

/// What all its parts share. Nothing holds a lock across an await.
pub struct World {
    pub faults: Faults,
    pub size: Size,
    calm: AtomicBool,
    begin: Instant,
    /// How much has happened.
    steps: AtomicU64,
    /// How often a clock was looked at since something happened.
    looks: AtomicU64,
    dice: Mutex<Dice>,
    flows: Mutex<BTreeMap<String, FlowFile>>,
    /// By flow: its schedule, and whether no time may be left out.
    schedules: BTreeMap<String, (Schedule, bool)>,
    tables: Mutex<Tables>,
    lake: Mutex<Lake>,
    seen: Mutex<Seen>,
    /// How far the store's clock is ahead of the true time.
    pub store_ahead: AtomicI64,
    /// Which servers do not reach the store, by their number.
    cut: Mutex<BTreeSet<usize>>,
}

/// What was seen from outside.
#[derive(Default)]
pub struct Seen {
    /// What should never have happened.
    pub broken: Vec<String>,
    /// Runs that a client was told of, by the key that it gave.
    pub accepted: BTreeMap<String, String>,
    /// Runs of which an attempt does not end by itself.
    pub hanging: BTreeSet<String>,
    /// How attempts ended whose report is durable, as their workers were told.
    pub recorded: BTreeMap<(String, String, u32), &'static str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

impl World {
    pub fn new(size: Size, faults: Faults, dice: Dice, flows: Vec<FlowFile>, tables: Tables) -> Self {
        let scheduled = |flow: &FlowFile| Some((flow.name.clone(), (flow.schedule.clone()?, flow.catches_up)));
        World {
            faults,
            size,
            calm: AtomicBool::new(false),
            begin: Instant::now(),
            steps: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            dice: Mutex::new(dice),
            schedules: flows.iter().filter_map(scheduled).collect(),
            flows: Mutex::new(flows.into_iter().map(|flow| (format!("{}.toml", flow.name), flow)).collect()),
            tables: Mutex::new(tables),
            lake: Mutex::default(),
            seen: Mutex::default(),
            store_ahead: AtomicI64::new(0),
            cut: Mutex::default(),
        }
    }

    pub fn now(&self) -> Time {
        BEGIN + self.begin.elapsed().as_millis() as Time
    }

    pub fn store_now(&self) -> Time {
        self.now().saturating_add_signed(self.store_ahead.load(Ordering::Relaxed))
    }

    pub fn below(&self, end: usize) -> usize {
        lock(&self.dice).below(end)
    }

    pub fn one_in(&self, chances: usize) -> bool {
        lock(&self.dice).one_in(chances)
    }

    pub fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    pub fn flows(&self) -> MutexGuard<'_, BTreeMap<String, FlowFile>> {
        lock(&self.flows)
    }

    pub fn flow(&self, file: &Path) -> Option<FlowFile> {
        self.flows().get(file.to_str()?).cloned()
    }

    /// The schedule that a flow has, or had, and whether no time of it may be left out.
    pub fn schedule_of(&self, flow: &str) -> Option<(Schedule, bool)> {
        self.schedules.get(flow).cloned()
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    pub fn lake(&self) -> MutexGuard<'_, Lake> {
        lock(&self.lake)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    pub fn broken(&self, what: String) {
        self.seen().broken.push(what);
    }

    /// Whether a fault happens now that is switched on.
    pub fn fault(&self, of: impl FnOnce(&Faults) -> bool, chances: usize) -> bool {
        of(&self.faults) && !self.is_calm() && self.one_in(chances)
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub fn is_cut(&self, server: usize) -> bool {
        lock(&self.cut).contains(&server)
    }

    fn cut(&self, servers: impl IntoIterator<Item = usize>, cut: bool) {
        let mut set = lock(&self.cut);
        for server in servers {
            if cut {
                set.insert(server)
            } else {
                set.remove(&server)
            };
        }
    }

    pub async fn sleep_below(&self, end_ms: usize) {
        let pause = self.below(end_ms);
        sleep(Duration::from_millis(pause as u64)).await;
    }

    /// What a server's clock shows that is so far ahead. Who asks for ever without waiting dies.
    pub fn clock(&self, ahead: &AtomicI64) -> Time {
        if self.looks.fetch_add(1, Ordering::Relaxed) > self.size.looks_max {
            self.broken("somebody spins without waiting for anything".to_owned());
            panic!("it spins");
        }
        self.now().saturating_add_signed(ahead.load(Ordering::Relaxed))
    }

    /// A moment, or none, in which others may do something. Who spins for ever stays here.
    pub async fn delay(&self) {
        self.looks.store(0, Ordering::Relaxed);
        if self.steps.fetch_add(1, Ordering::Relaxed) > self.size.steps_max {
            self.broken("somebody spins".to_owned());
            std::future::pending::<()>().await;
        }
        match self.below(3) {
            0 => self.sleep_below(self.size.moment_ms).await,
            _ => tokio::task::yield_now().await,
        }
    }

    pub async fn store_delay(&self) {
        match self.fault(|faults| faults.slow, 150) {
            true => self.sleep_below(6_000).await,
            false => self.delay().await,
        }
    }
}

/// Lives through the world of a seed. Answers a digest of what is durable at its end.
///
/// # Errors
/// The first broken promise.
pub async fn live(seed: u64) -> Result<String, String> {
    let mut dice = Dice::new(seed);
    let exclusive = dice.one_in(4);
    let faults = Faults::draw(&mut dice, !exclusive);
    let count = if exclusive { 1 } else { 1 + dice.below(3) };
    let flows = (0..1 + dice.below(3)).map(|number| FlowFile::draw(&mut dice, number));
    let flows: Vec<FlowFile> = flows.collect();
    let pools = Pools::of(1 + dice.below(3) as u32);
    let tables = Tables { exclusive, pools, ..Tables::default() };
    let world = Arc::new(World::new(Size::SMALL, faults, dice, flows, tables));
    let servers = Arc::new(Servers::start(&world, count));
    let mut workers = Workers::start(&world, &servers);
    for _ in 0..12 + world.below(30) {
        world.sleep_below(1_000).await;
        trouble(&world, &servers, &mut workers).await;
        judge::on_the_way(&world, &servers)?;
    }
    calm_down(&world, &servers, &mut workers).await;
    judge::at_the_end(&world, &servers)?;
    drop(workers);
    servers.kill_all();
    Ok(judge::digest(&world))
}

/// Something happens.
async fn trouble(world: &Arc<World>, servers: &Arc<Servers>, workers: &mut Workers) {
    let faults = world.faults.clone();
    match world.below(14) {
        0 if faults.kills => servers.kill_one(),
        1 if faults.ends => servers.end_one(),
        2 | 3 => servers.start_missing(),
        4 if faults.outages => outage(world, servers.count),
        5 if faults.store_clock => {
            // Back by less than what a lease is believed for, ahead by more.
            let jump = world.below(8_000) as i64 - 1_500;
            world.store_ahead.fetch_add(jump, Ordering::Relaxed);
        }
        6 if faults.clocks => servers.set_a_clock(),
        7 if faults.vanish => workers.vanish(),
        8 if faults.sleeps => workers.sleep(),
        9 if faults.goodbyes => workers.leave(),
        10 if faults.edits => edit(world),
        11 if faults.holds => hold(world),
        12 if faults.cancels => cancel_one(world),
        _ => _ = tokio::spawn(submit(world.clone(), servers.clone())),
    }
}

/// Some servers lose sight of the store, or all.
fn outage(world: &Arc<World>, servers: usize) {
    let chosen = if world.one_in(2) {
        0..servers
    } else {
        let one = world.below(servers);
        one..one + 1
    };
    let world = world.clone();
    tokio::spawn(async move {
        world.cut(chosen.clone(), true);
        world.sleep_below(6_000).await;
        world.cut(chosen, false);
    });
}

fn edit(world: &World) {
    let mut flows = world.flows();
    let mut dice = world.dice();
    let chosen = dice.below(flows.len());
    if let Some(flow) = flows.values_mut().nth(chosen) {
        flow.edit(&mut dice);
    }
}

fn hold(world: &World) {
    let (now, release) = (world.now(), world.one_in(2));
    for row in world.tables().schedules.values_mut() {
        row.held = if release { None } else { row.held.or(Some(now)) };
    }
}

fn cancel_one(world: &World) {
    let open: Vec<String> = open_runs(world);
    if !open.is_empty() {
        let chosen = &open[world.below(open.len())];
        let at = world.now();
        world.tables().request_cancel(chosen, at);
    }
}

pub fn open_runs(world: &World) -> Vec<String> {
    let tables = world.tables();
    tables.runs.values().filter(|row| !row.head.state.is_terminal()).map(|row| row.head.run_id.clone()).collect()
}

/// A client asks for a run until it has an answer.
async fn submit(world: Arc<World>, servers: Arc<Servers>) {
    let key = format!("key-{}-{}", world.now(), world.below(1_000_000));
    let flow = format!("f{}", world.below(world.flows().len()));
    for _ in 0..10 {
        let index = world.below(servers.count);
        if let Some(Some(run_id)) = servers.submit(index, &flow, &key).await {
            world.seen().accepted.insert(key, run_id);
            return;
        }
        world.sleep_below(2_000).await;
    }
}

/// Nothing goes wrong any more, and no flow has a time to come: what is open closes.
async fn calm_down(world: &Arc<World>, servers: &Arc<Servers>, workers: &mut Workers) {
    world.calm.store(true, Ordering::Relaxed);
    world.cut(0..servers.count, false);
    world.flows().values_mut().for_each(FlowFile::mend);
    world.tables().schedules.values_mut().for_each(|row| row.held = None);
    servers.start_missing();
    workers.wake();
    workers.one_per_server();
    // What the last times left is made up for before the flows go.
    sleep(Duration::from_secs(5)).await;
    world.flows().clear();
    let (end, mut patience, mut known) = (world.now() + END_MS, world.now() + CALM_MS, 0);
    while world.seen().broken.is_empty() && !open_runs(world).is_empty() && world.now() < patience.min(end) {
        let recorded: usize = world.tables().runs.values().map(|row| row.records.len()).sum();
        if recorded > known {
            (known, patience) = (recorded, world.now() + CALM_MS);
        }
        let hanging: Vec<String> = world.seen().hanging.iter().cloned().collect();
        for run_id in hanging {
            let at = world.now();
            let mut tables = world.tables();
            let asked = |record: &flow::run::Record| matches!(record.event, flow::run::Event::CancelRequested { .. });
            if tables.runs.get(&run_id).is_some_and(|row| !row.records.iter().any(asked)) {
                tables.request_cancel(&run_id, at);
            }
        }
        servers.start_missing();
        sleep(Duration::from_millis(100)).await;
    }
    if let Some(open) = open_runs(world).first() {
        let told = judge::open_run(world, servers, open);
        world
            .broken(format!("{open} is open, and nothing happens for {CALM_MS} ms or everything for {END_MS}: {told}"));
    }
    // Reports that are on their way come in, and slots become free.
    for _ in 0..120 {
        if !servers.at_rest() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}
