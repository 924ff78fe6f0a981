//! Runs flows in a folder of their own, task by task, without a driver or a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{At, Engine, OutputFormat, Settings};
use flow::plan::Plan;
use flow::wire::{Assignment, Ending, Outcome, Pins};
use tasks::{Compiled, Executor, Lanes, Options};
use worker::{Claim, Context, Execute, Line, Link, Log};

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub engine: Engine,
    pub token: u64,
}

/// How each task of a run ended, by name.
pub type Endings = BTreeMap<String, Ending>;

impl Lab {
    pub fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            lake: folder.path().join("lake").display().to_string(),
            memory: None,
            scratch: folder.path().join("scratch"),
            notes: folder.path().join("types"),
        };
        Lab { engine: Engine::new(&settings).unwrap(), folder, token: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub async fn compile(&self, text: &str, given: &[(&str, &str)]) -> Compiled {
        let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let options = Options { given: Some(&given), ..Options::default() };
        tasks::compile(&self.engine, &self.path("flow.toml"), text, options).await
    }

    pub async fn plan(&self, text: &str, given: &[(&str, &str)]) -> Plan {
        let compiled = self.compile(text, given).await;
        assert_eq!(compiled.diagnostics, vec![], "the flow should compile");
        assert_eq!(compiled.usage, vec![], "the parameters should fit");
        compiled.plan.unwrap()
    }

    /// Runs every task in order, as long as what it needs succeeded.
    pub async fn run(&mut self, text: &str, given: &[(&str, &str)]) -> Endings {
        let plan = self.plan(text, given).await;
        self.run_plan(plan).await
    }

    pub async fn run_plan(&mut self, plan: Plan) -> Endings {
        let pins = Arc::new(self.engine.pin(&plan, &Pins::default()).await.unwrap());
        let plan = Arc::new(plan);
        let run_id = format!("run-{}", self.token);
        let (mut versions, mut endings) = (BTreeMap::new(), Endings::new());
        for (task, spec) in plan.tasks.iter().enumerate() {
            let ready = |need: &flow::plan::Need| {
                matches!(endings.get(&plan.tasks[need.task].name), Some(Ending::Succeeded(_)))
            };
            if !spec.needs.iter().all(ready) {
                continue;
            }
            self.token += 1;
            let assignment = Assignment {
                run_id: run_id.clone(),
                plan: plan.clone(),
                pins: pins.clone(),
                task,
                attempt: 1,
                token: self.token,
                versions: versions.clone(),
                force: false,
            };
            let ending = self.execute(&assignment).await;
            if let Ending::Succeeded(Outcome { dataset: Some(dataset), version: Some(version), .. }) = &ending {
                versions.insert(dataset.clone(), *version);
            }
            endings.insert(spec.name.clone(), ending);
        }
        endings
    }

    /// An attempt of a plan's first task.
    pub async fn assignment(&self, plan: Plan, run_id: &str, attempt: u32, token: u64) -> Assignment {
        let pins = Arc::new(self.engine.pin(&plan, &Pins::default()).await.unwrap());
        let (plan, run_id) = (Arc::new(plan), run_id.to_string());
        Assignment { run_id, plan, pins, task: 0, attempt, token, versions: BTreeMap::new(), force: false }
    }

    pub async fn execute(&self, assignment: &Assignment) -> Ending {
        let lanes = Lanes::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());
        let folders = tasks::command::Folders { scratch: self.path("scratch"), artifacts: self.path("artifacts") };
        let executor = Executor::new(self.engine.clone(), lanes, folders);
        let assignment = Arc::new(assignment.clone());
        let (_stopper, stop) = tokio::sync::watch::channel(false);
        let cx = Context { stop, log: Log::new(Arc::new(Nobody), assignment.clone()) };
        executor.execute(&assignment, &cx).await
    }

    /// The rows of a query as CSV, header first.
    pub async fn query(&self, sql: &str) -> String {
        self.query_at(sql, &[]).await
    }

    pub async fn query_at(&self, sql: &str, at: &[At]) -> String {
        let mut text = vec![];
        let query = self.engine.parse_alone(sql).unwrap();
        let rows = self.engine.query(&self.engine.session(), &query, at, OutputFormat::Csv, &mut text).await;
        rows.unwrap_or_else(|error| panic!("{error:?}"));
        String::from_utf8(text).unwrap()
    }
}

pub fn outcome<'a>(endings: &'a Endings, task: &str) -> &'a Outcome {
    match endings.get(task) {
        Some(Ending::Succeeded(outcome)) => outcome,
        other => panic!("`{task}` should have succeeded: {other:?}"),
    }
}

pub fn failure<'a>(endings: &'a Endings, task: &str) -> &'a flow::wire::Failure {
    match endings.get(task) {
        Some(Ending::Failed(failure)) => failure,
        other => panic!("`{task}` should have failed: {other:?}"),
    }
}

/// Everything below a folder but logs, relative to it.
pub fn data_files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok) {
            match entry.path() {
                path if path.ends_with("_delta_log") => {}
                path if path.is_dir() => open.push(path),
                path => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

/// A link to nobody: what an attempt says is not kept.
struct Nobody;

#[async_trait::async_trait]
impl Link for Nobody {
    async fn claim(&self) -> Option<Claim> {
        None
    }

    async fn report(&self, _run_id: &str, _task: &str, _attempt: u32, _ending: Ending) {}

    async fn log(&self, _lines: Vec<Line>) {}
}
