//! What is said of things that wait or go on: who is wanted, what usually happens, what is held.

use std::fs;

use serde_json::Value;

use crate::MINUTE;
use crate::world::{World, until};

#[test]
fn a_task_that_no_worker_suits_names_what_is_wanted_and_what_there_is() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\ncommand = [\"true\"]\nrequires = { zone = \"a\", gpu = \"yes\" }\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    until("its task", MINUTE, || world.task(&run, "t")["state"] == "ready");
    let (url, page) = (format!("http://{}", server.address), format!("/runs/{run}/tasks/t"));
    let why = || {
        let output = world.command(&["why", &run, "t", "--json", "--server", &url]).output().unwrap();
        let why: Value = serde_json::from_slice(&output.stdout).unwrap();
        (why["reasons"][0]["kind"].clone(), why["reasons"][0]["message"].as_str().unwrap().to_owned())
    };
    let own = server.get("/health").1["name"].as_str().unwrap().to_owned();
    let wanted = "ready; no worker of this server has gpu=yes and zone=a";
    assert_eq!(why(), ("slot".into(), format!("{wanted}: `{own}` has no labels")));
    let _one = world.worker(&server, &["--labels", "zone=a", "--slots", "1", "--name", "one"]);
    let _two = world.worker(&server, &["--slots", "1", "--name", "two"]);
    let unsuited = format!("{wanted}: `one` has zone=a; `{own}` has no labels; `two` has no labels");
    until("both workers", MINUTE, || why() == ("slot".into(), unsuited.clone()));
    let (_, said) = server.called(&server.address, "", "GET", &page);
    assert!(said.contains(&unsuited), "{said}");
    let here = world.json(&["why", &run, "t"]);
    assert_eq!(
        here["reasons"][0]["message"], "ready; waits for a free slot of a worker with gpu=yes and zone=a",
        "who only has the store knows what is wanted"
    );
    let _three = world.worker(&server, &["--labels", "zone=a,gpu=yes", "--slots", "1", "--name", "three"]);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
}

#[test]
fn what_a_task_usually_takes_is_shown_once_it_is_known() {
    let world = World::sqlite();
    world.flow("f", "[tasks.slow]\ncommand = [\"sh\", \"-c\", \"sleep 0.3; while [ -e ../stay ]; do sleep 0.05; done\"]\n[tasks.gate]\nkind = \"noop\"\nafter = [\"slow\"]\n");
    let server = world.serve(&[]);
    let url = format!("http://{}", server.address);
    let expected = |run: &str, task: &str| world.task(run, task)["expected_ms"].clone();
    for args in [&["run", "flows/f.toml", "--json"][..], &["run", "f", "--json", "--server", &url]] {
        let output = world.command(args).output().unwrap();
        let last: Value =
            serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().last().unwrap()).unwrap();
        assert_eq!(last, world.show("latest"), "the last line is `show`");
        assert!((300..3_000).contains(&expected("latest", "slow").as_u64().unwrap()), "{last}");
        assert_eq!(expected("latest", "gate"), Value::Null, "what does nothing takes nothing");
    }
    fs::write(world.path("stay"), "").unwrap();
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    until("its task", MINUTE, || world.task(&run, "slow")["state"] == "running");
    let shown = world.command(&["show", &run]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("usually 3"), "{shown:?}");
    fs::remove_file(world.path("stay")).unwrap();
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
}

#[test]
fn the_page_of_a_run_says_that_its_flow_is_paused() {
    let world = World::sqlite();
    world.flow("f", "[schedule]\ncron = \"@yearly\"\n[tasks.t]\nkind = \"noop\"\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.ended(&run, MINUTE);
    let says = || server.called(&server.address, "", "GET", &format!("/runs/{run}")).1.contains("no run follows until");
    assert!(!says());
    assert_eq!(server.post("/v1/flows/f/pause", "").0, 204);
    assert!(says());
    assert_eq!(server.post("/v1/flows/f/resume", "").0, 204);
    assert!(!says());
}
