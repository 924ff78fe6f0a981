//! Big quiet worlds: servers, workers and flows by the thousand, and nothing that goes wrong. What is the store asked
//! then, who waits, and for how long? Run by hand, a quarter of an hour each:
//!
//! ```sh
//! cargo test --release --workspace --lib sim::scale -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `FLOWCTL_SCALE_MINUTES`, `FLOWCTL_SCALE_SERVERS`, `FLOWCTL_SCALE_WORKERS` and `FLOWCTL_SCALE_FLOWS` say how big.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flow::Time;
use flow::run::{Event, Record};
use tokio::time::sleep;

use super::asked::Asked;
use super::dice::Dice;
use super::faults::Faults;
use super::flows::FlowFile;
use super::pools::Pools;
use super::servers::Servers;
use super::size::Size;
use super::tables::{RunRow, Tables};
use super::workers::Workers;
use super::world::{World, open_runs};
use super::{in_a_world, judge, setting};

const SLOTS: usize = 8;
const TASKS: usize = 5;
/// A run is made so soon after its time.
const LATE_MAX_MS: Time = 5_000;

/// Everybody who is there.
struct Scene {
    world: Arc<World>,
    servers: Arc<Servers>,
    _workers: Workers,
}

impl Scene {
    /// Servers, workers, and flows with these schedules, all of them come in.
    async fn begin(cron: impl Fn(&mut Dice) -> String) -> Self {
        let mut dice = Dice::new(setting("FLOWCTL_SIM_SEED", 0));
        let number = |name: &str, default| setting(&format!("FLOWCTL_SCALE_{name}"), default) as usize;
        let (flows, fleet) = (number("FLOWS", 5_000), number("WORKERS", 10_000));
        let flow = |number| {
            let cron = cron(&mut dice);
            FlowFile::regular(&mut dice, number, &cron, TASKS)
        };
        let files: Vec<FlowFile> = (0..flows).map(flow).collect();
        let tables = Tables { pools: Pools::of(0), ..Tables::default() };
        let world = Arc::new(World::new(Size::BIG, Faults::default(), dice, files, tables));
        let servers = Arc::new(Servers::start(&world, number("SERVERS", 6)));
        let began = world.now();
        let workers = Workers::fleet(&world, &servers, fleet, SLOTS);
        let scene = Scene { world, servers, _workers: workers };
        while scene.world.tables().schedules.len() < flows || scene.present() < fleet {
            sleep(Duration::from_millis(100)).await;
        }
        println!("{} servers know {flows} flows and {fleet} workers", scene.servers.count);
        println!("  after {} ms", scene.world.now() - began);
        scene
    }

    fn present(&self) -> usize {
        self.servers.hosts().iter().flatten().map(|host| host.hall.workers().len()).sum()
    }

    fn asked(&self) -> Asked {
        self.world.tables().asked.clone()
    }

    /// Waits until no run is open.
    async fn until_closed(&self) {
        while !open_runs(&self.world).is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
        while !self.servers.at_rest() {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// No time up to this one has been left out, and none was late.
    fn judge_times(&self, until: Time) -> Result<(), String> {
        let tables = self.world.tables();
        let mut runs: BTreeMap<(&str, Time), &RunRow> = BTreeMap::new();
        for row in tables.runs.values() {
            runs.insert((&row.head.flow, row.head.logical_time.unwrap_or_default()), row);
        }
        for (flow, standing) in &tables.schedules {
            let Some((schedule, _)) = self.world.schedule_of(flow) else { continue };
            for time in schedule.after(standing.begun).take_while(|time| *time + LATE_MAX_MS < until) {
                let row = runs.get(&(flow.as_str(), time)).ok_or_else(|| format!("{flow}: {time} has no run"))?;
                let late = row.head.created_at.saturating_sub(time);
                if late > LATE_MAX_MS {
                    return Err(format!("{flow}: the run for {time} is made {late} ms late"));
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), String> {
        judge::at_the_end(&self.world, &self.servers)?;
        self.tell_of_waits();
        self.tell_of_use();
        self.servers.kill_all();
        Ok(())
    }

    fn tell_of_waits(&self) {
        let tables = self.world.tables();
        let (mut made, mut begun, mut started) = (vec![], vec![], vec![]);
        for row in tables.runs.values() {
            made.push(row.head.created_at.saturating_sub(row.head.logical_time.unwrap_or_default()));
            begun.extend(row.head.started_at.map(|at| at.saturating_sub(row.head.created_at)));
            started.extend(waits(row));
        }
        println!("waits in ms                 number    half     99 %    most");
        for (what, mut waits) in [("from time to run", made), ("until it is driven", begun), ("for a slot", started)] {
            waits.sort_unstable();
            let part = |of_100: usize| waits.get((waits.len().max(1) - 1) * of_100 / 100).copied().unwrap_or_default();
            println!("  {what:22} {:>9} {:>7} {:>8} {:>7}", waits.len(), part(50), part(99), part(100));
        }
    }

    /// Who did how much.
    fn tell_of_use(&self) {
        let tables = self.world.tables();
        let (mut by_server, mut by_worker) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
        for row in tables.runs.values() {
            for (record, writer) in row.records.iter().zip(&row.writers) {
                if let Event::TaskStarted { worker, .. } = &record.event {
                    *by_server.entry(writer).or_default() += 1;
                    *by_worker.entry(worker).or_default() += 1;
                }
            }
        }
        println!("tasks started by server     {by_server:?}");
        let (least, most) = (by_worker.values().min(), by_worker.values().max());
        println!("workers with a task         {}, with {least:?} to {most:?}", by_worker.len());
    }
}

/// How long each task of a run waited from the end of what it needs to its start.
fn waits(row: &RunRow) -> Vec<Time> {
    let ended = |name: &str| {
        let ends = |record: &&Record| matches!(&record.event, Event::TaskSucceeded { task, .. } if task == name);
        row.records.iter().find(ends).map_or(0, |record| record.at)
    };
    let wait = |record: &Record| {
        let Event::TaskStarted { task, .. } = &record.event else { return None };
        let needs = &row.plan.tasks[row.plan.task_id(task)?].needs;
        let needed = needs.iter().map(|need| ended(&row.plan.tasks[need.task].name)).max();
        Some(record.at.saturating_sub(needed.or(row.head.started_at)?))
    };
    row.records.iter().filter_map(wait).collect()
}

fn tell(asked: &Asked, over_ms: Time) {
    let per_second = |count: u64| count as f64 * 1_000.0 / over_ms as f64;
    for (what, counts) in [("reads", &asked.reads), ("writes", &asked.writes), ("rows in `events`", &asked.rows)] {
        println!("{what:20} {:>9.1} a second", per_second(counts.values().sum()));
        for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
            println!("  {name:18} {:>9.1}", per_second(*count));
        }
    }
}

async fn live_through_a_day() -> Result<(), String> {
    // On the average 40 times a day: twice an hour or once.
    let cron = |dice: &mut Dice| {
        let (second, minute) = (dice.below(60), dice.below(30));
        let minutes = if dice.one_in(3) { format!("{}", minute * 2) } else { format!("{minute},{}", minute + 30) };
        format!("{second} {minutes} * * * *")
    };
    let scene = Scene::begin(cron).await;
    // Until as many end as begin.
    sleep(Duration::from_secs(180)).await;
    let (minutes, before) = (setting("FLOWCTL_SCALE_MINUTES", 10), scene.asked());
    for minute in 1..=minutes {
        sleep(Duration::from_secs(60)).await;
        judge::on_the_way(&scene.world, &scene.servers)?;
        println!("after {minute} minutes {} runs are open", open_runs(&scene.world).len());
    }
    tell(&scene.asked().since(&before), minutes * 60_000);
    let end = scene.world.now();
    scene.world.flows().clear();
    scene.until_closed().await;
    scene.judge_times(end)?;
    scene.end()
}

async fn live_through_a_peak() -> Result<(), String> {
    let scene = Scene::begin(|_| "0 15 * * * *".to_owned()).await;
    let count = scene.world.flows().len();
    while scene.world.tables().runs.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let (began, first) = (scene.world.now(), scene.asked());
    let (mut busiest, mut before, mut made) = (Asked::default(), first.clone(), false);
    loop {
        sleep(Duration::from_secs(1)).await;
        let (now, after) = (scene.world.now() - began, scene.asked());
        let second = after.since(&before);
        if total(&second) > total(&busiest) {
            busiest = second;
        }
        before = after;
        let runs = scene.world.tables().runs.len();
        let open = open_runs(&scene.world).len();
        if now < 20_000 || now % 10_000 == 0 {
            println!("after {now:>6} ms: {runs:>5} runs made, {open:>5} open");
        }
        if runs == count && !made {
            made = true;
            println!("after {now:>6} ms: all runs are made; so far");
            tell(&scene.asked().since(&first), now);
        }
        if made && open == 0 {
            println!("after {now:>6} ms: all is done");
            break;
        }
    }
    println!("in the busiest second:");
    tell(&busiest, 1_000);
    scene.until_closed().await;
    scene.end()
}

fn total(asked: &Asked) -> u64 {
    asked.reads.values().chain(asked.writes.values()).sum()
}

#[test]
#[ignore = "takes minutes: run by hand"]
fn a_million_tasks_a_day() {
    in_a_world(live_through_a_day()).expect("all promises are kept");
}

#[test]
#[ignore = "takes minutes: run by hand"]
fn everything_at_the_same_minute() {
    in_a_world(live_through_a_peak()).expect("all promises are kept");
}
