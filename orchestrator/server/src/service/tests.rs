//! What a service does by itself beside its runs, step by step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use flow::plan::Plan;
use flow::run::{Event, Record, Run, RunState};
use flow::wire::Pins;
use serde_json::{Map, Value};
use store::{Origin, Store};
use tokio::time::Instant;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event as Said, Level, Metadata, Subscriber};

use super::abandoned::Suspects;
use super::flows::FAULT_MS;
use super::{Compile, Loaded, Order, Service, Told, Trouble, Written};
use crate::{Clock, Hall};

/// Flow files in memory. The text of one is its flow's name, after `needs ` if it compiles only with its source.
#[derive(Default)]
struct Files {
    texts: Mutex<BTreeMap<PathBuf, (u64, String)>>,
    source_is_there: AtomicBool,
    reads: AtomicUsize,
    ended: Mutex<Vec<String>>,
}

impl Files {
    fn write(&self, file: &str, text: &str) {
        let mut texts = self.texts.lock().unwrap();
        let version = texts.get(Path::new(file)).map_or(1, |(version, _)| version + 1);
        texts.insert(file.into(), (version, text.to_owned()));
    }
}

#[async_trait]
impl Compile for Files {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let texts = self.texts.lock().unwrap();
        Ok(texts.keys().filter(|file| file.extension().is_some_and(|kind| kind == "toml")).cloned().collect())
    }

    /// The words after the first that name a file.
    fn sql_files(&self, _: &Path, text: &str) -> Vec<PathBuf> {
        text.split(' ').filter(|word| word.ends_with(".sql")).map(PathBuf::from).collect()
    }

    async fn load(&self, written: &Written) -> Result<Loaded, Told> {
        if written.sql_files.values().any(|sql| sql == "nonsense") {
            return Err("nonsense".to_owned().into());
        }
        match written.text.strip_prefix("needs ") {
            Some(_) if !self.source_is_there.load(Ordering::Relaxed) => {
                Err(format!("{}: the source is missing", written.file.display()).into())
            }
            name => Ok(Loaded { name: name.unwrap_or(&written.text).to_owned(), schedule: None }),
        }
    }

    async fn plan(&self, _: &Written, _: &Order) -> Result<Plan, Trouble> {
        unreachable!("no run is made")
    }

    async fn pin(&self, _: &Plan) -> Result<Pins, Trouble> {
        unreachable!("no run is made")
    }

    async fn size(&self, _: &str) -> Option<(u64, u64)> {
        None
    }

    async fn sample(&self, _: &str, _: usize) -> Result<Vec<Map<String, Value>>, String> {
        Ok(vec![])
    }

    async fn end_leftovers(&self, run_id: &str) {
        self.ended.lock().unwrap().push(run_id.to_owned());
    }

    fn stamp(&self, file: &Path) -> Option<(SystemTime, u64)> {
        let version = self.texts.lock().unwrap().get(file)?.0;
        Some((SystemTime::UNIX_EPOCH + Duration::from_secs(version), version))
    }

    fn text(&self, file: &Path) -> std::io::Result<String> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let texts = self.texts.lock().unwrap();
        texts.get(file).map(|(_, text)| text.clone()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Counts what is said as a warning.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Values<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, said: &Said<'_>) {
        self.0.fetch_add(usize::from(*said.metadata().level() == Level::WARN), Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A service on a store of its own, with a clock that is set by hand.
struct World {
    service: Arc<Service>,
    files: Arc<Files>,
    now: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let store = Store::open(path.to_str().expect("utf-8")).await.expect("a new store");
        let (files, now) = (Arc::new(Files::default()), Arc::new(AtomicU64::new(1_000_000)));
        let wall = now.clone();
        let clock = Clock::following(move || wall.load(Ordering::Relaxed));
        let service = Service::new(Arc::new(store), Hall::for_one_run(), files.clone(), "s".to_owned(), clock);
        World { service: Arc::new(service), files, now, _folder: folder }
    }

    async fn look(&self) -> Vec<String> {
        self.service.look_at_flows().await;
        self.service.known_flows().iter().map(|flow| flow.name.clone()).collect()
    }

    async fn look_later(&self) -> Vec<String> {
        // The clock goes on by itself, too.
        self.now.fetch_add(FAULT_MS + 10_000, Ordering::Relaxed);
        self.look().await
    }
}

#[tokio::test]
async fn a_flow_comes_back_when_what_it_needs_is_there_although_nobody_touches_its_file() {
    let world = World::new().await;
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    world.files.write("a.toml", "needs a");
    assert!(world.look().await.is_empty());
    assert!(world.look().await.is_empty());
    assert_eq!(world.files.reads.load(Ordering::Relaxed), 1, "not read again at once");
    assert!(world.look_later().await.is_empty());
    assert_eq!(world.files.reads.load(Ordering::Relaxed), 2);
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1, "the same is said once");
    world.files.source_is_there.store(true, Ordering::Relaxed);
    assert_eq!(world.look_later().await, ["a"]);
    world.look_later().await;
    assert_eq!(world.files.reads.load(Ordering::Relaxed), 3, "what is good is read when it changes");
}

#[tokio::test]
async fn an_edit_comes_into_force_when_what_it_needs_is_there() {
    let world = World::new().await;
    world.files.write("a.toml", "a");
    assert_eq!(world.look().await, ["a"]);
    world.files.write("a.toml", "needs b");
    assert_eq!(world.look().await, ["a"]);
    world.files.source_is_there.store(true, Ordering::Relaxed);
    assert_eq!(world.look_later().await, ["b"]);
}

#[tokio::test]
async fn sql_files_belong_to_the_flow_that_names_them() {
    let world = World::new().await;
    world.files.write("q.sql", "select 1");
    world.files.write("a.toml", "a q.sql");
    world.look().await;
    let in_force = || world.service.known_flows()[0].written.sql_files[Path::new("q.sql")].clone();
    assert_eq!(in_force(), "select 1");
    world.files.write("q.sql", "select 2");
    world.look().await;
    assert_eq!(in_force(), "select 2", "an edit of it is an edit of the flow");
    world.files.write("q.sql", "nonsense");
    world.look().await;
    assert_eq!(in_force(), "select 2", "the last good version stays, of both");
    world.files.write("q.sql", "select 3");
    world.look().await;
    assert_eq!(in_force(), "select 3", "what is mended is seen at once");
}

#[tokio::test]
async fn a_flow_whose_name_was_taken_comes_back_when_the_other_is_called_otherwise() {
    let world = World::new().await;
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    world.files.write("a.toml", "a");
    world.files.write("b.toml", "a");
    assert_eq!(world.look().await, ["a"]);
    world.files.write("a.toml", "other");
    world.look().await;
    assert_eq!(world.look_later().await, ["other", "a"]);
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}

/// Records a run of a `flowctl run` that is gone.
async fn leave_a_run(store: &Store, run_id: &str) {
    let mut run = Run::new(Arc::new(Plan { flow: "f".to_owned(), ..Plan::default() }), run_id);
    let record = |(seq, event)| Record { run_id: run_id.to_owned(), seq, at: 1_000, event };
    let records: Vec<Record> = (1..).zip([Event::RunCreated, Event::RunStarted]).map(record).collect();
    run.read(&records);
    let pins = Pins::default();
    let new = store::NewRun::of(&pins, 1_000, Origin::Run);
    store.create(&new, &run, records).await.expect("made");
}

#[tokio::test]
async fn a_run_whose_process_died_is_closed_and_what_it_left_is_ended() {
    let World { service, files, now: _, _folder } = World::new().await;
    leave_a_run(&service.store, "dead").await;
    leave_a_run(&service.store, "slow").await;
    let suspects = service.close_abandoned(Suspects::new()).await;
    assert_eq!(suspects.len(), 2);
    let state = async |run_id| service.store.head(run_id).await.expect("there").state;
    assert_eq!(state("dead").await, RunState::Running, "not at once: its process may be about to renew its lease");
    assert!(service.store.acquire("slow", "its process", 60_000).await.expect("writable"));
    let due: Suspects = suspects.into_keys().map(|run_id| (run_id, Instant::now())).collect();
    service.close_abandoned(due).await;
    assert_eq!((state("dead").await, state("slow").await), (RunState::Failed, RunState::Running));
    assert_eq!(*files.ended.lock().unwrap(), ["dead"]);
    assert!(service.close_abandoned(Suspects::new()).await.is_empty());
}
