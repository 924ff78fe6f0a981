//! What operators do beside a service: look, retry, cancel, prune.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::world::{World, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Every second a run that publishes two tables, one of them in several files.
const BUSY: &str = "[schedule]\ncron = \"* * * * * *\"\n\
    [tasks.whole]\nsql = \"select value as n, value % 3 as part from generate_series(1, 2000)\"\n\
    output = { partition_by = [\"part\"] }\n\
    [tasks.grown]\nsql = \"select $logical_time as at, count(*) as n from whole\"\noutput = { mode = \"append\" }\n";

pub fn fsck_finds_nothing_beside_a_busy_server(world: &World) {
    world.flow("busy", BUSY);
    world.flow("other", &BUSY.replace("2000", "50"));
    let server = world.serve(&[]);
    let _worker = world.worker(&server, &["--slots", "2", "--name", "w"]);
    let succeeded = || world.json(&["runs", "--state", "succeeded"]).as_array().unwrap().len();
    until("the first runs", MINUTE, || succeeded() > 1);
    for look in 0..12 {
        let args: &[&str] = if look % 2 == 0 { &["fsck"] } else { &["fsck", "--repair"] };
        let output = world.command(args).output().unwrap();
        assert!(output.status.success(), "look {look}: {output:?}");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let runs = world.json(&["runs", "-n", "1000"]);
    let failed: Vec<_> = runs.as_array().unwrap().iter().filter(|run| run["state"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:?}");
    world.is_sound();
}

pub fn a_server_removes_what_is_old(world: &World) {
    world.flow(
        "old",
        "keep = \"1s\"\n[params]\nn = { type = \"int\", default = 0 }\n[tasks.t]\nsql = \"select $n as n\"\n",
    );
    for n in 0..4 {
        let output = world.command(&["run", "flows/old.toml", "-p", &format!("n={n}")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let _server = world.serve(&[]);
    let log = world.path(".flowctl/lake/old/t/_delta_log");
    until("only the newest is left", MINUTE, || {
        world.json(&["runs"]).as_array().unwrap().len() == 1 && !log.join("00000000000000000001.json").exists()
    });
    assert_eq!(world.rows("select n from old.t"), "3");
    world.is_sound();
}

#[test]
fn a_run_is_done_again_through_the_api() {
    let world = World::sqlite();
    world.flow("f", "[tasks.a]\ncommand = [\"sh\", \"-c\", \"echo x >> ../a\"]\n[tasks.b]\ncommand = [\"sh\", \"-c\", \"echo x >> ../b\"]\nafter = [\"a\"]\n[tasks.slow]\ncommand = [\"sh\", \"-c\", \"while [ ! -e ../go ]; do sleep 0.05; done\"]\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    let again =
        |body: &str| server.request_with("Idempotency-Key: k\r\n", "POST", &format!("/v1/runs/{run}/retry"), body);
    assert_eq!(again(r#"{"from": ["b"]}"#).0, 409, "it is not over");
    fs::write(world.path("go"), "").unwrap();
    world.ended(&run, MINUTE);
    let (status, problem) = again(r#"{"from": ["c"]}"#);
    assert_eq!((status, problem["hint"].is_string()), (404, true), "{problem}");
    assert_eq!(server.post("/v1/runs/0123/retry", "{}").0, 404);
    assert_eq!(again(r#"{"form": []}"#).0, 422);
    let (status, made) = again(r#"{"from": ["b"]}"#);
    assert_eq!(status, 201, "{made}");
    let (status, same) = again(r#"{"from": ["b"]}"#);
    assert_eq!((status, &same), (200, &made), "the key means the run that is there");
    let ended = world.ended(made["run_id"].as_str().unwrap(), MINUTE);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let times = |name: &str| fs::read_to_string(world.path(name)).unwrap().lines().count();
    assert_eq!((times("a"), times("b")), (1, 2));
    world.is_sound();
}

/// A shell that ignores SIGTERM, a daemon in a session of its own, and one that has forgotten its parents.
const FAMILY: &str = "[defaults]\nkill_grace = \"1s\"\n[tasks.t]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; (setsid sh -c 'trap \\\"\\\" TERM; echo $$ > ../daemon; while :; do sleep 1; done' &) ; echo $$ > ../shell; while :; do sleep 1; done\"]\n";

fn is_living(world: &World, name: &str) -> bool {
    let id = fs::read_to_string(world.path(name)).unwrap().trim().parse().unwrap();
    test_kill_process(Pid::from_raw(id).unwrap()).is_ok()
        && fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn is_begun(world: &World) -> bool {
    ["shell", "daemon"].iter().all(|name| fs::read_to_string(world.path(name)).is_ok_and(|id| id.ends_with('\n')))
}

#[test]
fn a_cancel_ends_what_a_worker_started_and_what_that_started() {
    let world = World::sqlite();
    world.flow("f", &FAMILY.replace("[tasks.t]", "[tasks.t]\nrequires = { w = \"1\" }"));
    let server = world.serve(&[]);
    let _worker = world.worker(&server, &["--slots", "1", "--labels", "w=1", "--name", "w"]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    until("the family", MINUTE, || is_begun(&world));
    let asked = Instant::now();
    assert_eq!(server.post(&format!("/v1/runs/{run}/cancel"), "").0, 202);
    until("their end", Duration::from_secs(10), || !is_living(&world, "shell") && !is_living(&world, "daemon"));
    assert!(asked.elapsed() >= Duration::from_millis(900), "their grace was cut short");
    assert_eq!(world.ended(&run, MINUTE)["state"], "cancelled");
}

#[test]
fn a_worker_whose_server_is_gone_for_good_stops_what_it_does() {
    let world = World::sqlite();
    world.flow("f", &FAMILY.replace("[tasks.t]", "[tasks.t]\nrequires = { w = \"1\" }"));
    let server = world.serve(&[]);
    let _worker = world.worker(&server, &["--slots", "1", "--labels", "w=1", "--name", "w"]);
    world.submit(&server, r#"{"flow": "f"}"#);
    until("the family", MINUTE, || is_begun(&world));
    server.signal(Signal::KILL);
    server.wait();
    until("their end", Duration::from_secs(30), || !is_living(&world, "shell") && !is_living(&world, "daemon"));
}

/// A query that computes for hours and seldom lets go.
const HEAVY: &str = "[tasks.points]\nsql = \"select value as id, value % 1000 as g, value * 0.5 as v from generate_series(1, 300000)\"\n\
    [tasks.pairs]\nsql = \"select a.g, count(*) as n, sum(a.v * b.v) as s from points a join points b on a.v < b.v and a.id <> b.id group by a.g\"\n";

#[test]
fn a_query_that_never_ends_holds_up_nobody_and_can_be_stopped() {
    let world = World::sqlite();
    world.flow("heavy", HEAVY);
    world.flow("light", "[tasks.t]\nsql = \"select 1 as n\"\n");
    world.flow("often", "[schedule]\ncron = \"* * * * * *\"\n[tasks.t]\nsql = \"select $logical_time as at\"\n");
    let server = world.serve(&["--slots", "4"]);
    let heavy = [(); 2].map(|()| world.submit(&server, r#"{"flow": "heavy"}"#));
    for run in &heavy {
        until("the long query being under way", MINUTE, || world.task(run, "pairs")["state"] == "running");
    }
    let light = world.submit(&server, r#"{"flow": "light"}"#);
    assert_eq!(world.ended(&light, MINUTE)["state"], "succeeded", "beside them");
    let scheduled = || world.json(&["runs", "--flow", "often", "-n", "1"])[0]["run_id"].clone();
    let before = scheduled();
    until("a run by schedule beside them", MINUTE, || scheduled() != before);
    for run in &heavy {
        server.post(&format!("/v1/runs/{run}/cancel"), "{}");
        assert_eq!(world.ended(run, MINUTE)["state"], "cancelled");
    }
    let light = world.submit(&server, r#"{"flow": "light"}"#);
    assert_eq!(world.ended(&light, MINUTE)["state"], "succeeded", "after them");
}
