//! Backfills: each time gets its run once, whoever else is at it and whoever dies.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::MINUTE;
use crate::world::{World, until};

/// Notes when it begins, and goes on when it may; or when the test is over.
const SLOW: &str = "[schedule]\ncron = \"@daily\"\n[tasks.t]\ncommand = [\"sh\", \"-c\", \"echo $FLOWCTL_LOGICAL_TIME >> ../times; while [ -e ../times ] && [ ! -e ../go ]; do sleep 0.05; done\"]\n\
    [tasks.rows]\nsql = \"select $logical_time as at\"\nafter = [\"t\"]\noutput = { mode = \"append\" }\n";

fn begun(world: &World) -> Vec<String> {
    fs::read_to_string(world.path("times")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A backfill that goes on. It ends with the test.
struct Backfill(Child);

impl Drop for Backfill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A backfill of so many days of January.
fn backfill(world: &World, flow: &str, days: u32, more: &[&str]) -> Backfill {
    let mut command = world.command(&["backfill", flow, "--from", "2024-01-01", "--to", &format!("2024-01-0{days}")]);
    Backfill(command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Its exit code, and what it said.
fn ended(mut backfill: Backfill) -> (Option<i32>, String) {
    let mut said = String::new();
    backfill.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (backfill.0.wait().unwrap().code(), said)
}

fn under_way(world: &World) -> usize {
    world.json(&["runs", "--state", "running"]).as_array().unwrap().len()
}

pub fn two_backfills_of_a_range_share_the_work(world: &World) {
    world.flow("f", SLOW);
    let both = [0, 1].map(|_| backfill(world, "flows/f.toml", 6, &["--parallel", "3"]));
    until("three runs", MINUTE, || begun(world).len() >= 3);
    // Both have had their turn by now: what either began, the other has met.
    let mut third = backfill(world, "flows/f.toml", 3, &["--parallel", "3", "--again"]);
    let said = tell(&mut third, 3);
    assert!(said.iter().all(|line| line.contains("under way elsewhere, and waited for")), "{said:?}");
    fs::write(world.path("go"), "").unwrap();
    for child in both {
        let (code, said) = ended(child);
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(ended(third).0, Some(0));
    let times = begun(world);
    assert_eq!((times.len(), times.iter().collect::<BTreeSet<_>>().len()), (6, 6), "each once: {times:?}");
    assert_eq!(world.rows("select count(*), count(distinct at) from f.rows"), "6,6");
    assert_eq!(world.json(&["runs"]).as_array().unwrap().len(), 6);
    world.is_sound();
}

/// The next lines of what a process says, but its first.
fn tell(backfill: &mut Backfill, lines: usize) -> Vec<String> {
    let said = BufReader::new(backfill.0.stderr.as_mut().unwrap()).lines().map_while(Result::ok);
    said.skip(1).take(lines).collect()
}

pub fn a_backfill_that_waits_takes_over_from_one_that_dies(world: &World) {
    world.flow("f", SLOW);
    let first = backfill(world, "flows/f.toml", 2, &["--parallel", "2"]);
    until("its runs", MINUTE, || begun(world).len() == 2);
    let mut second = backfill(world, "flows/f.toml", 2, &["--parallel", "2"]);
    assert!(tell(&mut second, 2).iter().all(|line| line.contains("waited for")));
    drop(first);
    until("the second's own runs", MINUTE, || begun(world).len() == 4);
    fs::write(world.path("go"), "").unwrap();
    let (code, said) = ended(second);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.rows("select count(*), count(distinct at) from f.rows"), "2,2");
    world.is_sound();
}

pub fn a_backfill_at_a_server_takes_over_from_a_process_that_dies(world: &World) {
    world.flow("f", SLOW);
    let server = world.serve(&[]);
    let here = backfill(world, "flows/f.toml", 1, &[]);
    until("its run", MINUTE, || begun(world).len() == 1);
    let mut there = backfill(world, "f", 1, &["--server", &format!("http://{}", server.address)]);
    assert!(tell(&mut there, 1).iter().all(|line| line.contains("waited for")));
    drop(here);
    until("the server's own run", MINUTE, || begun(world).len() == 2);
    fs::write(world.path("go"), "").unwrap();
    let (code, said) = ended(there);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.rows("select count(*), count(distinct at) from f.rows"), "1,1");
    world.is_sound();
}

#[test]
fn backfills_at_a_server_and_beside_it_share_the_work() {
    let world = World::sqlite();
    world.flow("f", SLOW);
    let server = world.serve(&[]);
    let url = format!("http://{}", server.address);
    let there = backfill(&world, "f", 2, &["--parallel", "2", "--server", &url]);
    until("its runs", MINUTE, || begun(&world).len() == 2);
    let mut again = backfill(&world, "f", 2, &["--parallel", "2", "--server", &url]);
    let mut here = backfill(&world, "flows/f.toml", 2, &["--parallel", "2"]);
    for child in [&mut again, &mut here] {
        assert!(tell(child, 2).iter().all(|line| line.contains("waited for")));
    }
    // Who only waits cancels nothing.
    kill_process(Pid::from_child(&again.0), Signal::INT).unwrap();
    assert_eq!(ended(again).0, Some(130));
    assert_eq!(under_way(&world), 2);
    fs::write(world.path("go"), "").unwrap();
    for child in [there, here] {
        let (code, said) = ended(child);
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(begun(&world).len(), 2);
    world.is_sound();
}

#[test]
fn a_backfill_makes_each_time_once_and_goes_on_after_its_death() {
    let world = World::sqlite();
    world.flow(
        "f",
        "[schedule]\ncron = \"@daily\"\n[tasks.t]\ncommand = [\"sh\", \"-c\", \"echo $FLOWCTL_LOGICAL_TIME >> ../times; sleep 0.1\"]\n\
        [tasks.rows]\nsql = \"select $logical_time as at\"\nafter = [\"t\"]\noutput = { mode = \"append\" }\n",
    );
    let range = ["backfill", "flows/f.toml", "--from", "2024-01-01", "--to", "2024-01-20", "--parallel", "2"];
    let mut first = world.command(&range).spawn().unwrap();
    let begun = || fs::read_to_string(world.path("times")).map_or(0, |text| text.lines().count());
    until("some runs", MINUTE, || begun() >= 6);
    first.kill().unwrap();
    first.wait().unwrap();
    let second = world.command(&range).output().unwrap();
    assert!(second.status.success(), "{second:?}");
    assert_eq!(world.rows("select count(*), count(distinct at) from f.rows"), "20,20");
    assert!((20..=23).contains(&begun()), "only what was under way is repeated: {}", begun());
    let third = world.command(&range).output().unwrap();
    assert!(String::from_utf8_lossy(&third.stderr).contains("0 runs of flow `f`; 20 left out"), "{third:?}");
}

#[test]
fn a_run_of_a_part_leaves_no_time_out() {
    let world = World::sqlite();
    world.flow(
        "f",
        "[schedule]\ncron = \"@daily\"\n[tasks.first]\nsql = \"select $logical_time as at\"\n\
        [tasks.rows]\nsql = \"select at from first\"\noutput = { mode = \"append\" }\n",
    );
    let part = ["run", "flows/f.toml", "--at", "2024-01-01", "--select", "first"];
    let ran = world.command(&part).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    for told in ["2 runs of flow `f`", "0 runs of flow `f`; 2 left out"] {
        let (code, said) = ended(backfill(&world, "flows/f.toml", 2, &[]));
        assert!(code == Some(0) && said.contains(told), "{code:?} {said}");
    }
    assert_eq!(world.rows("select count(*), count(distinct at) from f.rows"), "2,2");
}
