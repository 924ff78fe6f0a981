use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tasks::command::end_leftovers;

use crate::world::{RUN, World, is_gone, pid, run_id};

const GRACE: Duration = Duration::from_millis(100);
/// Tells this program to be the orchestrator that is going to be killed.
const DOOMED: &str = "TEST_DOOMED_SCRATCH";

/// Not a test of its own: the process that the others start and kill.
#[tokio::test]
async fn doomed() {
    let Some(scratch) = std::env::var_os(DOOMED) else { return };
    let mut world = World::shell("trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600");
    fs::remove_file(world.path("scratch")).ok();
    std::os::unix::fs::symlink(scratch, world.path("scratch")).unwrap();
    let running = world.start();
    println!("pids {}", world.line().await);
    running.await.unwrap();
}

/// An orchestrator that was killed while its command ran: the command's leader, and its child.
fn orphans(scratch: &Path) -> (Pid, Pid) {
    let mut doomed = Command::new(std::env::current_exe().expect("this program"))
        .args(["leftovers::doomed", "--exact", "--nocapture"])
        .env(DOOMED, scratch)
        .env(RUN, run_id())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(doomed.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let pids = lines.find_map(|line| line.split_once("pids ").map(|(_, pids)| pids.to_owned()));
    let pids = pids.expect("it says what it started");
    doomed.kill().expect("it runs");
    doomed.wait().expect("it is ours");
    let (leader, child) = pids.split_once(' ').expect("two processes");
    (pid(leader), pid(child))
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[tokio::test]
async fn what_a_killed_orchestrator_left_running_is_ended() {
    let scratch = tempfile::tempdir().unwrap();
    let (leader, child) = orphans(scratch.path());
    assert!(!is_gone(leader) && !is_gone(child), "it runs on");
    assert_eq!(end_leftovers(scratch.path(), "another-run", GRACE).await.unwrap(), 0);
    assert!(!is_gone(leader) && !is_gone(child), "other runs are none of its business");
    assert_eq!(end_leftovers(scratch.path(), run_id(), GRACE).await.unwrap(), 1);
    assert!(is_gone(leader) && is_gone(child));
    assert!(is_empty(scratch.path()));
    assert_eq!(end_leftovers(scratch.path(), run_id(), GRACE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_group_without_its_leader_is_known_by_its_environment() {
    let scratch = tempfile::tempdir().unwrap();
    let (leader, child) = orphans(scratch.path());
    kill_process(leader, Signal::KILL).unwrap();
    crate::world::until_gone(leader).await;
    assert!(!is_gone(child));
    assert_eq!(end_leftovers(scratch.path(), run_id(), GRACE).await.unwrap(), 1);
    assert!(is_gone(child));
}

#[tokio::test]
async fn a_group_whose_id_belongs_to_somebody_else_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let mut stranger = Stranger(Command::new("sleep").arg("600").process_group(0).spawn().unwrap());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let id = stranger.0.id();
    for (name, record) in [
        ("started-earlier", format!("{id} 1 {boot}")),
        ("another-boot", format!("{id} 1 00000000-0000-0000-0000-000000000000")),
        ("cut-short", format!("{id}")),
        ("no-record", "?".to_owned()),
    ] {
        fs::write(scratch.path().join(format!("{}.{name}.1.pgid", run_id())), record).unwrap();
    }
    assert_eq!(end_leftovers(scratch.path(), run_id(), GRACE).await.unwrap(), 0);
    assert!(stranger.0.try_wait().unwrap().is_none(), "a stranger was ended");
    assert!(is_empty(scratch.path()));
}

struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn no_scratch_folder_means_nothing_to_end() {
    assert_eq!(end_leftovers(Path::new("/nonexistent/scratch"), run_id(), GRACE).await.unwrap(), 0);
}
