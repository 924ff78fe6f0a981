//! The service from outside: schedules, workers on other machines, crashes of all of them. Nothing is lost, nothing is
//! done twice, and everything goes on.

mod api;
mod authority;
mod backfills;
mod dashboards;
mod limits;
mod metrics;
mod operations;
mod outage;
mod pages;
mod reasons;
mod receiver;
mod remote;
mod secure;
mod site;
mod strangers;
mod topology;
mod traces;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use backfills::*;
use operations::*;
use rustix::process::Signal;
use serde_json::Value;
use world::{World, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Makes every test twice: once per database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&super::World::sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(world) = super::World::postgres() {
                    super::$name(&world);
                }
            })*
        }
    };
}

on_both!(
    schedules_fire_once_whoever_dies,
    a_server_that_comes_finishes_what_another_left,
    a_worker_that_dies_costs_no_try,
    a_worker_that_slept_too_long_publishes_nothing,
    fsck_finds_nothing_beside_a_busy_server,
    a_server_removes_what_is_old,
    two_backfills_of_a_range_share_the_work,
    a_backfill_that_waits_takes_over_from_one_that_dies,
    a_backfill_at_a_server_takes_over_from_a_process_that_dies,
);

/// Says that it has begun, and goes on when it may.
const GATED: &str = "[tasks.first]\nsql = \"select 1 as one\"\n\
    [tasks.gated]\ncommand = [\"sh\", \"-c\", \"echo x >> ../tries; touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done\"]\nafter = [\"first\"]\n\
    [tasks.last]\nsql = \"select * from first\"\nafter = [\"gated\"]\noutput = { mode = \"append\" }\n";

fn schedules_fire_once_whoever_dies(world: &World) {
    world.flow("tick", "[schedule]\ncron = \"* * * * * *\"\ncatchup = \"all\"\n[tasks.t]\nsql = \"select $logical_time as at\"\noutput = { mode = \"append\" }\n");
    let runs = || world.json(&["runs", "-n", "100"]).as_array().unwrap().clone();
    let succeeded = |least: usize| runs().iter().filter(|run| run["state"] == "succeeded").count() >= least;
    for round in 1..=3 {
        let server = world.serve(&[]);
        until("two more runs", MINUTE, || succeeded(2 * round));
        server.signal(Signal::KILL);
        server.wait();
    }
    let server = world.serve(&[]);
    until("the runs of all times since", MINUTE, || {
        let now = runs();
        succeeded(8) && now.iter().all(|run| run["state"] == "succeeded" || run == &now[0])
    });
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let mut times: Vec<String> = runs().iter().map(|run| run["logical_time"].as_str().unwrap().to_owned()).collect();
    times.reverse();
    let distinct: BTreeSet<&String> = times.iter().collect();
    assert_eq!(distinct.len(), times.len(), "a run for each time: {times:?}");
    let gaps: BTreeSet<i64> = times.windows(2).map(|two| seconds(&two[1]) - seconds(&two[0])).collect();
    assert_eq!(gaps, BTreeSet::from([1]), "no time is left out: {times:?}");
    let published = world.rows("select count(*), count(distinct at) from tick.t");
    let done = runs().iter().filter(|run| run["state"] == "succeeded").count();
    assert_eq!(published, format!("{done},{done}"));
    world.is_sound();
}

fn seconds(time: &str) -> i64 {
    flow::schedule::instant(time).unwrap() as i64 / 1000
}

fn a_server_that_comes_finishes_what_another_left(world: &World) {
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    server.signal(Signal::KILL);
    server.wait();
    fs::write(world.path("go"), "").unwrap();
    let began = Instant::now();
    let _other = world.serve(&[]);
    let ended = world.ended(&run, MINUTE);
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(world.task(&run, "first")["attempts"], 1, "what was done is not done again");
    assert_eq!(world.rows("select count(*) from f.last"), "1");
    world.is_sound();
}

fn a_worker_that_dies_costs_no_try(world: &World) {
    world.flow("f", &GATED.replace("[tasks.gated]", "[tasks.gated]\nrequires = { zone = \"a\" }"));
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    until("the first task", MINUTE, || world.task(&run, "first")["state"] == "succeeded");
    let why = world.json(&["why", &run, "gated"]);
    assert!(why["reasons"][0]["message"].as_str().unwrap().contains("a worker with zone=a"), "{why}");
    let worker = world.worker(&server, &["--labels", "zone=a", "--slots", "1", "--name", "one"]);
    world.wait_for("begun");
    worker.signal(Signal::KILL);
    worker.wait();
    fs::write(world.path("go"), "").unwrap();
    let _other = world.worker(&server, &["--labels", "zone=a,gpu=no", "--slots", "1", "--name", "two"]);
    let ended = world.ended(&run, MINUTE);
    assert_eq!(ended["state"], "succeeded", "attempts is 1 by default, and a lost worker spends none: {ended}");
    assert_eq!(world.task(&run, "gated")["attempts"], 2);
    world.is_sound();
}

fn a_worker_that_slept_too_long_publishes_nothing(world: &World) {
    world.flow(
        "f",
        "[tasks.t]\ncommand = [\"sh\", \"-c\", \"touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done; cp ../rows.csv $FLOWCTL_OUTPUT_DIR/\"]\n\
        output = { format = \"csv\", mode = \"append\" }\nschema = { n = \"int\" }\nrequires = { zone = \"a\" }\n",
    );
    fs::write(world.path("rows.csv"), "n\n1\n2\n").unwrap();
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    let sleeper = world.worker(&server, &["--labels", "zone=a", "--slots", "1", "--name", "sleeper"]);
    world.wait_for("begun");
    sleeper.signal(Signal::STOP);
    fs::write(world.path("go"), "").unwrap();
    let _other = world.worker(&server, &["--labels", "zone=a", "--slots", "1", "--name", "other"]);
    let ended = world.ended(&run, MINUTE);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    sleeper.signal(Signal::CONT);
    // Awake again it registers anew, and finds that its attempt is not its own any more.
    until("its return", MINUTE, || {
        let log = fs::read_to_string(world.path("worker---labels_zone=a_--slots_1_--name_sleeper.log")).unwrap();
        log.matches("registered at").count() >= 2
    });
    let next = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&next, MINUTE)["state"], "succeeded");
    assert_eq!(world.rows("select count(*), count(distinct n) from f.t"), "2,2", "one identity, rows once");
    world.is_sound();
}

#[test]
fn of_two_servers_one_goes_on_when_the_other_dies() {
    let Some(world) = World::postgres() else { return };
    world.flow("f", GATED);
    let servers = [world.serve(&[]), world.serve(&[])];
    let run = world.submit(&servers[0], r#"{"flow": "f"}"#);
    world.wait_for("begun");
    let events = world.json(&["show", &run]);
    assert_eq!(events["state"], "running");
    // Which of them took it, the journal tells: the slots are named like their server.
    let (_, journal) = servers[0].get(&format!("/v1/runs/{run}/events"));
    let started =
        journal["events"].as_array().unwrap().iter().rfind(|event| event["event"] == "task_started").unwrap().clone();
    let name = |server: &world::Process| server.get("/health").1["name"].clone();
    let dying = servers.iter().position(|server| name(server) == started["worker"]).expect("one of the two");
    servers[dying].signal(Signal::KILL);
    let died = Instant::now();
    fs::write(world.path("go"), "").unwrap();
    let ended = world.ended(&run, MINUTE);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert!(died.elapsed() < Duration::from_secs(8), "it took {:?}", died.elapsed());
    world.is_sound();
}

#[test]
fn a_worker_turns_to_another_server_when_its_own_dies() {
    let Some(world) = World::postgres() else { return };
    world.flow("f", "[tasks.t]\ncommand = [\"true\"]\nrequires = { zone = \"a\" }\n");
    let servers = [world.serve(&[]), world.serve(&[])];
    let worker = world.worker_of(&[&servers[0], &servers[1]], &["--labels", "zone=a"]);
    let is_at = |server: &world::Process| worker.says(&format!("registered at http://{}", server.address));
    until("the worker's coming", MINUTE, || is_at(&servers[0]));
    servers[0].signal(Signal::KILL);
    let run = world.submit(&servers[1], r#"{"flow": "f"}"#);
    let ended = world.ended(&run, MINUTE);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert!(is_at(&servers[1]));
    world.is_sound();
}

#[test]
fn an_sqlite_store_has_one_server() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    until("it serves", MINUTE, || server.get("/v1/flows").1["flows"][0]["flow"] == "f");
    let second = world.command(&["serve", "flows", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("does already") && said.contains("PostgreSQL"), "{said}");
    let open = world.command(&["serve", "flows", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(open.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&open.stderr).contains("--insecure"));
}

#[test]
fn edits_count_when_they_compile() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\nsql = \"select 1 as n\"\n");
    let server = world.serve(&[]);
    let rows = |text: &str| {
        let run = world.submit(&server, r#"{"flow": "f"}"#);
        assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
        assert_eq!(world.rows("select n from f.t"), text);
    };
    rows("1");
    world.flow("f", "[tasks.t]\nsql = \"selec 2 as n\"\n");
    world.flow("g", "[tasks.t]\nsql = \"select 2 as n\"\n");
    let flows = || server.get("/v1/flows").1["flows"].as_array().unwrap().len();
    until("the new flow", MINUTE, || flows() == 2);
    rows("1");
    world.flow("f", "[tasks.t]\nsql = \"select 22 as n\"\n");
    fs::remove_file(world.path("flows/g.toml")).unwrap();
    until("the removal", MINUTE, || flows() == 1);
    // What is gone goes first.
    until("the edit", MINUTE, || {
        fs::read_to_string(&server.log).unwrap().matches("flow `f`, no schedule").count() == 2
    });
    rows("22");
}

#[test]
fn the_api_tells_what_is_wrong_with_a_request() {
    let world = World::sqlite();
    world.flow("f", "[params]\nn = { type = \"int\" }\n[tasks.t]\nsql = \"select $n as n\"\n");
    let server = world.serve(&[]);
    let worker = |wire: u32| format!(r#"{{"wire": {wire}, "worker": "w", "slots": 1, "labels": {{}}}}"#);
    let huge = format!(r#"{{"flow": "{}"}}"#, "x".repeat(9 << 20));
    let wrong: [(&str, &str, &str, u16, &str); 17] = [
        ("GET", "/nowhere", "", 404, "nothing at this address"),
        ("DELETE", "/v1/runs", "", 405, "does not take this method"),
        ("POST", "/v1/runs", "{", 400, "EOF"),
        ("POST", "/v1/runs", r#" ["f", {"n": 1}]"#, 400, "no JSON object"),
        ("POST", "/v1/workers/ghost/claim", "[1]", 400, "no JSON object"),
        ("POST", "/v1/workers/ghost/log", "{}", 400, "no JSON array"),
        ("POST", "/v1/runs", r#"{"flow": "f", "speed": 2}"#, 422, "unknown field `speed`"),
        ("POST", "/v1/runs", r#"{"flow": "g"}"#, 404, "there is no flow `g`"),
        ("POST", "/v1/runs", r#"{"flow": "f"}"#, 400, "parameter `n`"),
        ("POST", "/v1/runs", r#"{"flow": "f", "params": {"n": "many"}}"#, 400, "n"),
        ("POST", "/v1/runs", r#"{"flow": "f", "params": {"n": 1}, "logical_time": "soon"}"#, 400, "expected a time"),
        ("POST", "/v1/runs", &huge, 413, ""),
        ("GET", "/v1/runs?state=asleep", "", 400, "asleep"),
        ("GET", "/v1/runs/nope", "", 404, "nope"),
        ("POST", "/v1/workers", &worker(99), 409, "version 99"),
        ("POST", "/v1/workers/ghost/claim", r#"{"wait_ms": 1}"#, 410, "register again"),
        (
            "POST",
            "/v1/workers/ghost/report",
            r#"{"run_id": "r", "task": "t", "attempt": 1, "ending": "cancelled"}"#,
            410,
            "register",
        ),
    ];
    for (method, path, body, status, detail) in wrong {
        let (got, answer) = server.request(method, path, body);
        assert_eq!(got, status, "{method} {path}: {answer}");
        let said = answer["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail), "{method} {path}: {answer}");
    }
    // Replayed and reordered reports change nothing.
    assert_eq!(server.post("/v1/workers", &worker(flow::wire::WIRE)).0, 200);
    let stale = r#"{"run_id": "r", "task": "t", "attempt": 7, "ending": {"skipped": "no"}}"#;
    assert_eq!(server.post("/v1/workers/w/report", stale).1["receipt"], "unheard");
    let keyed = |body: &str| server.request_with("Idempotency-Key: monday\r\n", "POST", "/v1/runs", body);
    let again = || keyed(r#"{"flow": "f", "params": {"n": 1}}"#);
    let (first, second) = (again(), again());
    let (status, other) = keyed(r#"{"flow": "f", "params": {"n": 2}}"#);
    assert_eq!((status, other["detail"].as_str().unwrap().contains("of another request")), (422, true), "{other}");
    assert_eq!((first.0, second.0, &first.1), (201, 200, &second.1), "a request that is repeated makes no second run");
    let run = world.submit(&server, r#"{"flow": "f", "params": {"n": 1}}"#);
    assert_ne!(first.1["run_id"], *run);
    fs::rename(world.path("flows/f.toml"), world.path("away")).unwrap();
    until("the flow being gone", MINUTE, || server.get("/v1/flows").1["flows"].as_array().unwrap().is_empty());
    assert_eq!((again().0, again().1), (200, first.1), "what was made stays what it is");
    fs::rename(world.path("away"), world.path("flows/f.toml")).unwrap();
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let (status, said) = server.post(&format!("/v1/runs/{run}/cancel"), "");
    assert_eq!((status, said["detail"].as_str().unwrap().contains("succeeded")), (409, true));
}

#[test]
fn a_paused_flow_waits_and_a_cancel_reaches_its_run() {
    let world = World::sqlite();
    world.flow("tick", "[schedule]\ncron = \"* * * * * *\"\n[tasks.t]\ncommand = [\"sleep\", \"600\"]\n");
    let server = world.serve(&[]);
    let runs = || world.json(&["runs"]).as_array().unwrap().clone();
    until("a run", MINUTE, || runs().iter().any(|run| run["state"] == "running"));
    assert_eq!(server.post("/v1/flows/tick/pause", "").0, 204);
    let run = runs()[0]["run_id"].as_str().unwrap().to_owned();
    until("its task", MINUTE, || world.task(&run, "t")["state"] == "running");
    assert_eq!(server.post(&format!("/v1/runs/{run}/cancel"), "").0, 202);
    let asked = Instant::now();
    assert_eq!(world.ended(&run, MINUTE)["state"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    let paused: Value = server.get("/v1/flows").1["flows"][0]["paused"].clone();
    assert_eq!((paused, runs().len()), (Value::Bool(true), 1));
    assert_eq!(server.post("/v1/flows/tick/resume", "").0, 204);
    until("another run", MINUTE, || runs().len() == 2);
}

#[test]
fn a_server_that_ends_starts_nothing_new() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    server.signal(Signal::TERM);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(world.task(&run, "gated")["state"], "succeeded", "what ran was waited for");
    let last = world.task(&run, "last");
    assert_eq!((&last["state"], &last["attempts"]), (&Value::from("ready"), &Value::from(0)));
    let _other = world.serve(&[]);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    assert_eq!(world.task(&run, "last")["attempts"], 1);
}

#[test]
fn a_flow_keeps_its_name_and_goes_with_its_file() {
    let world = World::sqlite();
    let file = |name: &str, n: u32| {
        fs::write(world.path("flows").join(name), format!("name = \"f\"\n[tasks.t]\nsql = \"select {n} as n\"\n"))
            .unwrap();
    };
    file("m.toml", 1);
    let server = world.serve(&[]);
    let flows = || server.get("/v1/flows").1["flows"].clone();
    until("the flow", MINUTE, || flows()[0]["flow"] == "f");
    file("a.toml", 2);
    let log = world.path(&format!("serve-{}.log", server.id()));
    until("a warning", MINUTE, || {
        fs::read_to_string(&log).unwrap_or_default().contains("a.toml: another file has a flow `f`")
    });
    assert!(flows()[0]["file"].as_str().unwrap().ends_with("m.toml") && flows().as_array().unwrap().len() == 1);
    fs::remove_file(world.path("flows/m.toml")).unwrap();
    until("its turn", MINUTE, || flows()[0]["file"].as_str().is_some_and(|file| file.ends_with("a.toml")));
    fs::remove_file(world.path("flows/a.toml")).unwrap();
    until("no flow", MINUTE, || flows().as_array().unwrap().is_empty());
}

#[test]
fn servers_and_workers_that_end_wait_for_what_runs_elsewhere() {
    let world = World::sqlite();
    world.flow("f", &GATED.replace("[tasks.gated]", "[tasks.gated]\nrequires = { zone = \"a\" }"));
    let server = world.serve(&[]);
    let worker = world.worker(&server, &["--labels", "zone=a", "--slots", "4", "--name", "one"]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    // The worker goes home when its task is done, and meanwhile gets nothing new although it has free slots.
    worker.signal(Signal::TERM);
    let log = world.path("worker---labels_zone=a_--slots_4_--name_one.log");
    until("the drain", MINUTE, || fs::read_to_string(&log).unwrap_or_default().contains("no more work is taken"));
    fs::remove_file(world.path("begun")).unwrap();
    let other = world.submit(&server, r#"{"flow": "f"}"#);
    until("the second run", MINUTE, || world.task(&other, "first")["state"] == "succeeded");
    assert_eq!(world.task(&other, "gated")["state"], "ready", "no worker with the label takes work");
    let log = world.path(&format!("serve-{}.log", server.id()));
    server.signal(Signal::TERM);
    until("its drain", MINUTE, || fs::read_to_string(&log).unwrap_or_default().contains("waiting for what is running"));
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(worker.wait(), Some(0));
    let gated = world.task(&run, "gated");
    assert_eq!((&gated["state"], &gated["attempts"]), (&Value::from("succeeded"), &Value::from(1)));
    world.is_sound();
}
