//! Places to put a store, and runs to put into it.

use std::process::Command;
use std::sync::Arc;

use flow::lineage::{Column, Input, Kind, Subtype};
use flow::plan::{Need, Output, Plan, Task};
use flow::run::{Event, Record, Run, RunState};
use flow::spec::Mode;
use flow::wire::{Outcome, Pins};
use store::{Created, NewRun, Origin, Store};
use tests::postgres::{rows, schema};

/// A database of its own, gone with the test.
pub struct World {
    pub setting: String,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    pub fn sqlite() -> World {
        let folder = tempfile::tempdir().unwrap();
        World { setting: folder.path().join("a/b/state.db").display().to_string(), _folder: Some(folder) }
    }

    /// A schema of its own in the database that `FLOWCTL_TEST_POSTGRES` names. Without it the test
    /// fails in CI and says elsewhere that it did not run.
    pub fn postgres() -> Option<World> {
        Some(World { setting: schema()?, _folder: None })
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.setting).await.unwrap()
    }

    /// Changes the database behind the store's back, or asks PostgreSQL for rows.
    pub fn meddle(&self, sql: &str) -> String {
        match self.setting.split_once("options[search_path]=") {
            Some((_, schema)) => rows(
                &self.setting.replace(&format!("options[search_path]={schema}"), ""),
                &format!("set search_path = {schema}; {sql}"),
            ),
            None => {
                let script =
                    "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
                run(Command::new("python3").args(["-c", script, &self.setting, sql]));
                String::new()
            }
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `a` → `b` → `c`, where `a` and `b` publish and `c` is a noop.
pub fn plan() -> Plan {
    let column = |name: &str, from: &str, of: &str| Column {
        name: name.into(),
        kind: "int".into(),
        inputs: vec![Input { dataset: from.into(), column: of.into(), kind: Kind::Direct, subtype: Subtype::Identity }],
    };
    let output = |dataset: &str, columns| Output {
        dataset: dataset.into(),
        view: false,
        mode: Mode::Overwrite,
        keys: vec![],
        predicate: None,
        partition_by: vec![],
        columns,
    };
    let task = |name: &str, kind: &str, needs: &[usize], output| Task {
        name: name.into(),
        kind: kind.into(),
        needs: needs.iter().map(|&task| Need { task, data: true }).collect(),
        output,
        ..Task::default()
    };
    let tasks = vec![
        task("a", "sql", &[], Some(output("f.a", vec![column("x", "raw", "x"), column("y", "raw", "z")]))),
        task("b", "sql", &[0], Some(output("f.b", vec![column("x", "f.a", "x")]))),
        task("c", "noop", &[1], None),
    ];
    Plan { flow: "f".into(), tasks, ..Plan::default() }
}

/// A run as its driver sees it: facts are applied, then handed to the store.
#[derive(Clone)]
pub struct Driver {
    pub run: Run,
    pub seq: u64,
    pub now: u64,
    batch: Vec<Record>,
}

impl Driver {
    pub fn new(plan: &Plan, run_id: &str) -> Driver {
        Driver { run: Run::new(Arc::new(plan.clone()), run_id), seq: 0, now: 1_000, batch: vec![] }
    }

    /// Puts a fact into the batch.
    pub fn fact(&mut self, event: Event) -> &mut Driver {
        self.seq += 1;
        self.now += 10;
        let record = Record { run_id: self.run.id().into(), seq: self.seq, at: self.now, event };
        self.run.apply(&record).unwrap_or_else(|stale| panic!("{stale:?}: {record:?}"));
        self.batch.push(record);
        self
    }

    pub fn batch(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.batch)
    }

    pub async fn append(&mut self, store: &Store) -> Result<Vec<Record>, store::Error> {
        let batch = self.batch();
        store.append(&self.run, batch).await
    }

    /// Records that all of [`plan`] succeeded.
    pub async fn succeed(&mut self, store: &Store) {
        self.fact(Event::RunStarted);
        for task in ["a", "b", "c"] {
            self.fact(started(task, 1)).fact(succeeded(task, 1, Outcome::default()));
        }
        self.fact(Event::RunClosed { state: RunState::Succeeded, error: None }).append(store).await.unwrap();
    }

    /// Records the run as created and started.
    pub async fn create(&mut self, store: &Store) -> Vec<Record> {
        self.fact(Event::RunCreated).fact(Event::RunStarted);
        self.create_as(store, &NewRun { lease: Some(("me", 60_000)), ..new_run(&Pins::default()) }).await
    }

    pub async fn create_as(&mut self, store: &Store, new: &NewRun<'_>) -> Vec<Record> {
        let batch = self.batch();
        match store.create(new, &self.run, batch).await.unwrap() {
            Created::New(records) => records,
            existing => panic!("{existing:?}"),
        }
    }
}

pub fn new_run(pins: &Pins) -> NewRun<'_> {
    NewRun::of(pins, 1_000, Origin::Run)
}

pub fn started(task: &str, attempt: u32) -> Event {
    Event::TaskStarted { task: task.into(), attempt, worker: "w".into(), token: 0 }
}

pub fn succeeded(task: &str, attempt: u32, outcome: Outcome) -> Event {
    Event::TaskSucceeded { task: task.into(), attempt, outcome: Box::new(outcome) }
}

pub fn published(dataset: &str, version: u64) -> Outcome {
    Outcome {
        dataset: Some(dataset.into()),
        version: Some(version),
        location: Some(format!("/lake/{dataset}")),
        ..Outcome::default()
    }
}

pub fn token(record: &Record) -> u64 {
    match record.event {
        Event::TaskStarted { token, .. } => token,
        _ => panic!("no attempt starts in {record:?}"),
    }
}
