//! Flows that are edited while they run, and a compiler for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use flow::plan::{Input, Limits, Need, Output, Plan, Retry, Task};
use flow::schedule::Schedule;
use flow::spec::Mode;
use flow::wire::Pins;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::dice::Dice;
use super::pools::SHARED;
use super::world::World;
use crate::service::{Cause, Compile, Loaded, Order, Told, Trouble, Written};

/// A flow file.
#[derive(Clone, Debug)]
pub struct FlowFile {
    pub name: String,
    /// Grows with every edit.
    pub version: u64,
    /// Whether the present version is nonsense.
    pub broken: bool,
    pub schedule: Option<Schedule>,
    /// Whether no time may be left out.
    pub catches_up: bool,
    plan: Plan,
}

impl FlowFile {
    pub fn draw(dice: &mut Dice, number: usize) -> Self {
        let name = format!("f{number}");
        let cron = ["* * * * * *", "*/2 * * * * *", "*/5 * * * * *", "3-59/7 * * * * *"][dice.below(4)];
        let catchup = ["all", "all", "latest", "none"][dice.below(4)];
        let overlap = ["queue", "skip"][usize::from(catchup != "all" && dice.one_in(2))];
        let jitter = ["0s", "1500ms"][usize::from(dice.one_in(3))];
        let rules = format!(
            "[schedule]\ncron = \"{cron}\"\ncatchup = \"{catchup}\"\noverlap = \"{overlap}\"\njitter = \"{jitter}\"\n"
        );
        let schedule = if dice.one_in(4) { None } else { Some(schedule(&rules)) };
        let plan = draw_plan(dice, &name);
        FlowFile { name, version: 1, broken: false, schedule, catches_up: catchup == "all", plan }
    }

    /// One that runs by a clock, catches up, and has so many tasks that do something.
    pub fn regular(dice: &mut Dice, number: usize, cron: &str, tasks: usize) -> Self {
        let name = format!("f{number}");
        let schedule = schedule(&format!("[schedule]\ncron = \"{cron}\"\ncatchup = \"all\"\n"));
        let tasks = (0..tasks).map(|id| task(&name, id, "sql", draw_needs(dice, id))).collect();
        let plan = Plan { flow: name.clone(), tasks, ..Plan::default() };
        FlowFile { name, version: 1, broken: false, schedule: Some(schedule), catches_up: true, plan }
    }

    /// Somebody edits the file.
    pub fn edit(&mut self, dice: &mut Dice) {
        self.version += 1;
        self.broken = dice.one_in(2);
        if !self.broken {
            self.plan = draw_plan(dice, &self.name);
        }
    }

    pub fn mend(&mut self) {
        self.version += u64::from(self.broken);
        self.broken = false;
    }
}

fn schedule(rules: &str) -> Schedule {
    let (flow, _) = flow::spec::parse(&format!("name = \"f\"\n{rules}[tasks.t]\nkind = \"noop\"\n"));
    let spec = flow.expect("it is a flow").schedule.expect("it has a schedule");
    Schedule::of(spec.get_ref()).expect("its schedule is right")
}

fn draw_plan(dice: &mut Dice, flow: &str) -> Plan {
    let count = 1 + dice.below(5);
    let tasks = (0..count).map(|id| draw_task(dice, flow, id)).collect();
    let mut limit = || dice.one_in(4).then(|| 1 + dice.below(2) as u32);
    let limits = Limits { runs: limit(), tasks: limit() };
    Plan { flow: flow.to_owned(), tasks, limits, ..Plan::default() }
}

fn draw_task(dice: &mut Dice, flow: &str, id: usize) -> Task {
    let needs = draw_needs(dice, id);
    let kind = if dice.one_in(5) { "noop" } else { "sql" };
    let retry = Retry { attempts_max: 1 + dice.below(3) as u32, delay_ms: 200, delay_max_ms: 800, ..Retry::default() };
    let requires = if dice.one_in(4) { BTreeMap::from([("zone".to_owned(), "a".to_owned())]) } else { BTreeMap::new() };
    let pool = dice.one_in(2).then(|| SHARED.to_owned());
    let priority = dice.below(3) as i32;
    Task { retry, requires, pool, priority, ..task(flow, id, kind, needs) }
}

fn draw_needs(dice: &mut Dice, id: usize) -> Vec<Need> {
    (0..id).filter(|_| dice.one_in(2)).map(|task| Need { task, data: true }).collect()
}

fn task(flow: &str, id: usize, kind: &str, needs: Vec<Need>) -> Task {
    let inputs = needs.iter().map(|need| (format!("t{}", need.task), Input::Task(need.task))).collect();
    let output = (kind == "sql").then(|| Output {
        dataset: format!("{flow}.t{id}"),
        view: false,
        mode: Mode::Overwrite,
        keys: vec![],
        predicate: None,
        partition_by: vec![],
        columns: vec![],
    });
    Task { name: format!("t{id}"), kind: kind.to_owned(), needs, inputs, output, ..Task::default() }
}

/// The compiler of one world.
pub struct Compiler(pub Arc<World>);

#[async_trait]
impl Compile for Compiler {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        Ok(self.0.flows().keys().map(PathBuf::from).collect())
    }

    fn sql_files(&self, _: &Path, _: &str) -> Vec<PathBuf> {
        vec![]
    }

    async fn load(&self, written: &Written) -> Result<Loaded, Told> {
        self.0.delay().await;
        if written.text.starts_with("nonsense") {
            return Err(format!("{}: nonsense", written.file.display()).into());
        }
        let flow = self.0.flow(&written.file).ok_or_else(gone)?;
        Ok(Loaded { name: flow.name, schedule: flow.schedule })
    }

    async fn plan(&self, written: &Written, order: &Order) -> Result<Plan, Trouble> {
        self.0.delay().await;
        if self.0.size.compile_ms > 0 {
            sleep(Duration::from_millis(self.0.size.compile_ms)).await;
        }
        let flow = self.0.flow(&written.file).ok_or_else(|| Trouble::Flow(Cause::Mistake, gone()))?;
        // The name of the client's wish comes along, for the judge.
        let selection = order.params.get("client").cloned();
        Ok(Plan { logical_time: order.logical_time, selection, ..flow.plan })
    }

    async fn pin(&self, _: &Plan) -> Result<Pins, Trouble> {
        self.0.delay().await;
        if self.0.fault(|faults| faults.unreadable, 20) {
            return Err(Trouble::Flow(Cause::Unreadable, "a source cannot be read".to_owned().into()));
        }
        Ok(Pins::default())
    }

    async fn size(&self, _: &str) -> Option<(u64, u64)> {
        None
    }

    async fn sample(&self, _: &str, _: usize) -> Result<Vec<Map<String, Value>>, String> {
        Ok(vec![])
    }

    async fn end_leftovers(&self, _: &str) {}

    fn stamp(&self, file: &Path) -> Option<(SystemTime, u64)> {
        let version = self.0.flows().get(file.to_str()?)?.version;
        Some((SystemTime::UNIX_EPOCH + Duration::from_secs(version), version))
    }

    fn text(&self, file: &Path) -> std::io::Result<String> {
        let flow = self.0.flow(file).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(format!("{} {}", if flow.broken { "nonsense" } else { "version" }, flow.version))
    }
}

fn gone() -> Told {
    "the file is gone".to_owned().into()
}
