//! What a service does while its database is away or damaged, and afterwards.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tests::postgres::Cluster;
use tests::succeed;

use crate::world::{World, until};
use crate::{GATED, MINUTE};

#[test]
fn pages_and_api_say_that_the_store_is_away_and_recover_by_themselves() {
    let Some(cluster) = Cluster::start() else { return };
    let world = World::at(cluster.url());
    world.flow("f", "[schedule]\ncron = \"@yearly\"\n[tasks.t]\nsql = \"select 1 as n\"\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let (of_run, of_task, shown) = (format!("/runs/{run}"), format!("/runs/{run}/tasks/t"), format!("/v1/runs/{run}"));
    let pages = ["/", "/flows", "/flows/f", "/runs", &of_run, &of_task, "/datasets", "/datasets/f.t", "/lineage/f.t"];
    let pages = [&pages[..], &["/workers", "/limits", "/events"]].concat();
    let api = ["/v1/runs", &shown, "/v1/flows", "/v1/datasets"];
    let ask = |path: &str| {
        server.called(&server.address, if path.starts_with("/v1") { "" } else { "Accept: text/html\r\n" }, "GET", path)
    };
    let all = || -> Vec<(&str, u16, String)> {
        let ask = |path| {
            let (status, said) = ask(path);
            (path, status, said)
        };
        thread::scope(|scope| {
            let asked: Vec<_> = pages.iter().chain(&api).copied().map(|path| scope.spawn(move || ask(path))).collect();
            asked.into_iter().map(|answer| answer.join().unwrap()).collect()
        })
    };
    assert!(all().iter().all(|(path, status, _)| *status == 200 || panic!("{path}: {status}")));
    cluster.stop();
    let began = Instant::now();
    for (path, status, said) in all() {
        assert_eq!(status, 503, "{path}: {said}");
        assert!(said.contains("check that the database runs"), "{path} says what to do: {said}");
        assert!(said.to_ascii_lowercase().contains("retry-after: 5"), "{path}: {said}");
        let is_page =
            said.contains("<h1>The store does not answer") && said.contains("This page tries again by itself");
        assert!(is_page || path.starts_with("/v1") && said.contains("application/problem+json"), "{path}: {said}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    assert_eq!(server.post("/v1/runs", r#"{"flow": "f"}"#).0, 503);
    assert_eq!(server.get("/health").0, 200, "the server itself is well");
    cluster.go_on();
    until("all of it again", Duration::from_secs(20), || all().iter().all(|(_, status, _)| *status == 200));
    let next = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&next, MINUTE)["state"], "succeeded");
    world.is_sound();
}

/// Does something to the store's file, with a reader that is not ours. Answers what is printed.
fn tamper(world: &World, sql: &str) -> String {
    let mut python = Command::new("python3");
    let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], timeout=30)\nprint(db.execute(sys.argv[2]).fetchall())\ndb.commit()";
    python.args(["-c", script]).arg(world.path(".flowctl/state.db")).arg(sql);
    succeed(python).trim().to_owned()
}

#[test]
fn a_run_that_cannot_be_read_is_nobodys_until_it_can() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    drop(server);
    std::fs::write(world.path("go"), "").unwrap();
    tamper(&world, "update events set event = '?' || event where seq = 1");
    let server = world.serve(&[]);
    until("the complaint", MINUTE, || server.says(&format!("run {run} is left alone for 30 s")));
    let leases = || tamper(&world, "select count(*) from leases");
    until("its lease is given back", Duration::from_secs(1), || leases() == "[(0,)]");
    let other = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&other, MINUTE)["state"], "succeeded", "others are driven");
    assert_eq!(leases(), "[(0,)]", "it is not tried again all the time");
    tamper(&world, "update events set event = substr(event, 2) where seq = 1 and event like '?%'");
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    world.is_sound();
}
