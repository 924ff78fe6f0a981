//! What is said of things that wait or go on: who is wanted, what usually happens, what is held.

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
