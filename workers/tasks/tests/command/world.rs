//! A flow's folder with one command task, and a driver that listens.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flow::plan::{Plan, Task};
use flow::wire::{Assignment, Ending, Failure, Outcome};
use rustix::process::{Pid, test_kill_process};
use tasks::command::{self, Data, Folders, Settings};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use worker::{Claim, Context, Line, Link, Log};

/// The id of the runs of this process, and of no other: who ends what a run left behind looks for it everywhere.
pub fn run_id() -> &'static str {
    static ID: LazyLock<String> = LazyLock::new(|| {
        std::env::var(RUN).unwrap_or_else(|_| format!("0192f0c1-2345-7abc-8def-{:012x}", std::process::id()))
    });
    &ID
}

/// Hands the id to a process that stands for this one.
pub const RUN: &str = "FLOWCTL_TEST_RUN";

pub struct World {
    dir: TempDir,
    pub settings: Settings,
    pub plan: Plan,
    pub attempt: u32,
    pub stopping: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
    heard: Heard,
    lines: mpsc::UnboundedReceiver<Line>,
}

/// Hears the log, and knows of no work.
#[derive(Clone)]
struct Heard(mpsc::UnboundedSender<Line>);

#[async_trait]
impl Link for Heard {
    async fn claim(&self) -> Option<Claim> {
        None
    }

    async fn report(&self, _: &str, _: &str, _: u32, _: Ending) {}

    async fn log(&self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| drop(self.0.send(line)));
    }
}

impl World {
    /// A task called `work` that runs `argv` with a grace of 100 ms.
    pub fn new(argv: &[&str]) -> World {
        let (heard, lines) = mpsc::unbounded_channel();
        let (stopping, stop) = watch::channel(false);
        let dir = tempfile::tempdir().expect("a folder");
        let tasks = vec![Task { name: "work".into(), kill_grace_ms: 100, ..Task::default() }];
        let plan = Plan { dir: dir.path().join("flow"), tasks, ..Plan::default() };
        fs::create_dir(&plan.dir).expect("the flow's folder");
        let settings = Settings { argv: argv.iter().map(|word| word.to_string()).collect(), ..Settings::default() };
        World { dir, settings, plan, attempt: 1, stopping, stop, heard: Heard(heard), lines }
    }

    /// A task that runs a shell script.
    pub fn shell(script: &str) -> World {
        World::new(&["sh", "-c", script])
    }

    pub fn grace_ms(mut self, grace_ms: u64) -> World {
        self.plan.tasks[0].kill_grace_ms = grace_ms;
        self
    }

    pub fn artifact(mut self, name: &str, path: &str) -> World {
        self.settings.artifacts.insert(name.into(), path.into());
        self
    }

    /// A file in the flow's folder.
    pub fn file(self, name: &str, text: &str, mode: u32) -> World {
        let path = self.plan.dir.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn assignment(&self) -> Assignment {
        Assignment {
            run_id: run_id().into(),
            plan: Arc::new(self.plan.clone()),
            pins: Arc::default(),
            task: 0,
            attempt: self.attempt,
            token: 0,
            versions: BTreeMap::new(),
            force: false,
        }
    }

    pub fn running(&self, data: Arc<dyn Data>) -> impl Future<Output = Ending> + Send + 'static {
        self.running_with(Arc::new(self.heard.clone()), data)
    }

    pub fn running_with(
        &self,
        link: Arc<dyn Link>,
        data: Arc<dyn Data>,
    ) -> impl Future<Output = Ending> + Send + use<> {
        let assignment = self.assignment();
        let cx = Context { stop: self.stop.clone(), log: Log::new(link, Arc::new(assignment.clone())) };
        let (settings, folders) = (self.settings.clone(), self.folders());
        async move { command::execute(&settings, &assignment, &cx, &folders, &*data).await }
    }

    pub fn folders(&self) -> Folders {
        Folders { scratch: self.path("scratch"), artifacts: self.path("artifacts") }
    }

    pub async fn run(&self) -> Ending {
        self.running(Arc::new(NoData)).await
    }

    /// Runs in the background, so that the test can wait for what the command says.
    pub fn start(&self) -> tokio::task::JoinHandle<Ending> {
        tokio::spawn(self.running(Arc::new(NoData)))
    }

    /// The next line of the log.
    pub async fn line(&mut self) -> String {
        let line = timeout(Duration::from_secs(20), self.lines.recv()).await;
        line.expect("a line within 20 seconds").expect("the log is open").text
    }

    /// Everything logged so far.
    pub fn lines(&mut self) -> VecDeque<Line> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }

    pub fn texts(&mut self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.text).collect()
    }

    /// Whether attempts have cleaned up behind themselves.
    pub fn scratch_is_empty(&self) -> bool {
        fs::read_dir(self.path("scratch")).map_or(true, |mut entries| entries.next().is_none())
    }
}

/// For commands without inputs that make no dataset.
pub struct NoData;

#[async_trait]
impl Data for NoData {
    async fn stage(&self, _: &Assignment, _: &Context, _: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
        Ok(BTreeMap::new())
    }

    async fn publish(&self, _: &Assignment, _: &Context, _: Vec<PathBuf>) -> Result<Outcome, Failure> {
        Err(Failure::internal("there is no dataset to publish"))
    }
}

/// Data that a test has a say in.
#[derive(Default)]
pub struct Scripted {
    pub inputs: BTreeMap<String, PathBuf>,
    pub published: Mutex<Vec<PathBuf>>,
    pub stage_fails: Option<Failure>,
    pub publish_fails: Option<Failure>,
}

#[async_trait]
impl Data for Scripted {
    async fn stage(&self, _: &Assignment, _: &Context, folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
        assert!(folder.is_dir(), "{folder:?} is made before it is filled");
        self.stage_fails.clone().map_or(Ok(self.inputs.clone()), Err)
    }

    async fn publish(&self, _: &Assignment, _: &Context, files: Vec<PathBuf>) -> Result<Outcome, Failure> {
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
        *self.published.lock().expect("no panic inside") = files;
        let outcome = Outcome { rows_out: Some(7), dataset: Some("etl.work".into()), ..Outcome::default() };
        self.publish_fails.clone().map_or(Ok(outcome), Err)
    }
}

pub fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("a process id")).expect("not 0")
}

/// Waits until the process is gone: there is no event for processes that are not our children.
pub async fn until_gone(pid: Pid) {
    let gone = async {
        while test_kill_process(pid).is_ok() && !is_zombie(pid) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("the process is gone within 20 seconds");
}

/// Whether nothing runs under this id: it may wait to be collected by a parent that is slow to do so.
pub fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err() || is_zombie(pid)
}

fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with('Z'))
}

pub fn failure(ending: Ending) -> Failure {
    let Ending::Failed(failure) = &ending else { unreachable!("should have failed: {ending:?}") };
    failure.clone()
}
