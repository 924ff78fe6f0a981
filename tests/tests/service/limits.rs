//! Pools and limits with real processes: the commands themselves see whether too many run.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use crate::MINUTE;
use crate::world::{World, until};

/// A command that takes one of `slots` locks, which the kernel frees whatever becomes of it, and says so if there is none.
fn counting(slots: usize, seconds: &str) -> String {
    // Doubled braces: a single one is a placeholder of the flow file.
    let take = |slot| format!("{{{{ exec 9>../lock{slot} && flock -n 9; }}}}");
    let tries: Vec<String> = (0..slots).map(take).collect();
    format!("{} || echo over >> ../over; echo x >> ../ran; sleep {seconds}", tries.join(" || "))
}

/// Tasks side by side that need the same.
fn side_by_side(count: usize, script: &str, needs: &str) -> String {
    let task = |id| format!("[tasks.t{id}]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{needs}\n");
    (0..count).map(task).collect()
}

fn ran(world: &World) -> usize {
    fs::read_to_string(world.path("ran")).map_or(0, |text| text.lines().count())
}

#[test]
fn servers_share_a_pool_and_one_that_is_killed_does_not_break_it() {
    let Some(world) = World::postgres() else { return };
    fs::write(world.path("flowctl.toml"), "[pools]\ntwo = 2\n").unwrap();
    world.flow("f", &side_by_side(6, &counting(2, "0.3"), "pool = \"two\""));
    let (one, other) = (world.serve(&[]), world.serve(&[]));
    let runs: Vec<String> = (0..4).map(|n| world.submit([&one, &other][n % 2], r#"{"flow": "f"}"#)).collect();
    until("some tasks", MINUTE, || ran(&world) >= 5);
    one.signal(Signal::KILL);
    one.wait();
    for run in &runs {
        assert_eq!(world.ended(run, MINUTE)["state"], "succeeded");
    }
    assert!(!world.path("over").exists(), "more than two ran at the same time");
    assert!((24..=26).contains(&ran(&world)), "{} attempts of 24 tasks", ran(&world));
    world.is_sound();
}

#[test]
fn processes_share_a_pool() {
    let world = World::sqlite();
    fs::write(world.path("flowctl.toml"), "[pools]\none = 1\n").unwrap();
    let tasks =
        side_by_side(3, &counting(1, "0.1"), "").replace("[tasks.t0]", "[defaults]\npool = \"one\"\n[tasks.t0]");
    world.flow("f", &tasks);
    world.flow("g", &tasks);
    let run = |flow: &str| world.command(&["run", flow]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut runs = [run("flows/f.toml"), run("flows/g.toml"), run("flows/f.toml")];
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    assert!(!world.path("over").exists(), "two ran at the same time");
    assert_eq!(ran(&world), 9);
    world.is_sound();
}

#[test]
fn what_waits_for_a_limit_says_for_whom() {
    let world = World::sqlite();
    fs::write(world.path("flowctl.toml"), "[pools]\none = 1\n").unwrap();
    let gated = "touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done";
    world.flow("f", &format!("[limits]\nruns = 1\n{}", side_by_side(2, gated, "pool = \"one\"")));
    let server = world.serve(&[]);
    let first = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    let second = world.submit(&server, r#"{"flow": "f"}"#);
    until("the second run is seen", MINUTE, || world.json(&["why", &second])["reasons"][0]["kind"] == "limit");
    let why = world.json(&["why", &second]);
    assert_eq!((&why["state"], &why["reasons"][0]["blocking"][0]), (&"queued".into(), &first.as_str().into()));
    let waits = if world.task(&first, "t0")["state"] == "running" { ("t1", "t0") } else { ("t0", "t1") };
    let why = world.json(&["why", &first, waits.0]);
    assert_eq!(why["reasons"][0]["kind"], "pool", "{why}");
    assert_eq!(why["reasons"][0]["blocking"][0], format!("{first}/{}", waits.1));
    fs::write(world.path("go"), "").unwrap();
    for run in [&first, &second] {
        assert_eq!(world.ended(run, MINUTE)["state"], "succeeded");
    }
    world.is_sound();
}
