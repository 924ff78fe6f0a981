//! Retry, pause and resume through a server: what they do, what they say, and how they end.

use std::fs;
use std::process::Output;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::MINUTE;
use crate::world::{Process, World, until};

/// Fails until there is a file `ok`; and goes on for as long as there is a file `stay`.
const FLOW: &str = "[schedule]\ncron = \"@yearly\"\n[tasks.a]\ncommand = [\"sh\", \"-c\", \"echo x >> ../a; while [ -e ../stay ]; do sleep 0.05; done\"]\n\
    [tasks.b]\ncommand = [\"sh\", \"-c\", \"echo x >> ../b; test -e ../ok\"]\nafter = [\"a\"]\n";

fn at(world: &World, server: &Process, args: &[&str]) -> Output {
    world.command(args).args(["--server", &format!("http://{}", server.address)]).output().unwrap()
}

/// How it ends, and what it says on standard error.
fn ends(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn times(world: &World, name: &str) -> usize {
    fs::read_to_string(world.path(name)).unwrap_or_default().lines().count()
}

/// Each of these commands is refused with the exit code and the words.
fn refuses(world: &World, server: &Process, cases: &[(&[&str], i32, &str)]) {
    for (args, code, words) in cases {
        let (ended, said) = ends(&at(world, server, args));
        assert!(ended == Some(*code) && said.contains(words), "{args:?}: {ended:?} {said}");
    }
}

#[test]
fn a_retry_at_a_server_does_the_rest_and_says_how_it_went() {
    let world = World::sqlite();
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    let failed = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&failed, MINUTE)["state"], "failed");
    assert_eq!(at(&world, &server, &["retry", &failed]).status.code(), Some(1), "it fails again");
    assert_eq!(world.show("latest")["retry_of"], *failed);
    fs::write(world.path("ok"), "").unwrap();
    let again = at(&world, &server, &["retry", "latest", "--json"]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let last: Value = serde_json::from_str(String::from_utf8_lossy(&again.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(last, world.show("latest"), "the last line is `show`");
    assert_eq!((&last["state"], &last["tasks"][0]["attempts"]), (&json!("succeeded"), &json!(0)), "a is adopted");
    assert_eq!((times(&world, "a"), times(&world, "b")), (1, 3));
    // Of one that succeeded only what is named, with all that comes after it.
    let text = at(&world, &server, &["retry", "latest", "--from", "a"]);
    assert!(text.status.success() && String::from_utf8_lossy(&text.stdout).contains("succeeded in"), "{text:?}");
    assert_eq!((times(&world, "a"), times(&world, "b")), (2, 4));
    world.is_sound();
}

#[test]
fn a_retry_at_a_server_is_refused_with_a_reason() {
    let world = World::sqlite();
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    refuses(&world, &server, &[(&["retry", "latest"], 5, "find run `latest`")]);
    fs::write(world.path("stay"), "").unwrap();
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    until("its first task", MINUTE, || times(&world, "a") == 1);
    refuses(&world, &server, &[(&["retry", &run], 2, "it is not over"), (&["retry", "nope"], 5, "find run `nope`")]);
    fs::remove_file(world.path("stay")).unwrap();
    assert_eq!(world.ended(&run, MINUTE)["state"], "failed");
    refuses(&world, &server, &[(&["retry", &run, "--from", "aa"], 5, "did you mean `a`?")]);
    assert_eq!(world.json(&["runs"]).as_array().unwrap().len(), 1, "no run was made");
    world.token("reader", "read", &[]);
    until("the service is closed", MINUTE, || server.get("/v1/runs").0 == 401);
    refuses(&world, &server, &[(&["retry", &run], 4, "wants a token")]);
}

#[test]
fn a_schedule_is_held_and_let_go_at_a_server() {
    let world = World::sqlite();
    world.flow("f", FLOW);
    world.flow("plain", "[tasks.t]\nkind = \"noop\"\n");
    let server = world.serve(&[]);
    let is_paused = || server.get("/v1/flows").1["flows"][0]["paused"].clone();
    let said = |verb: &str, json: &[&str]| {
        let output = at(&world, &server, &[&[verb, "f"], json].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(
        said("pause", &[]),
        (String::new(), "flow `f` is paused; `flowctl resume f` lets it go on\n".to_owned())
    );
    assert_eq!(is_paused(), true);
    assert_eq!(said("pause", &["--json"]).0, "{\"flow\":\"f\",\"paused\":true}\n", "to hold it twice is to hold it");
    let next = at(&world, &server, &["next", "f", "-n", "1", "--json"]);
    assert!(String::from_utf8_lossy(&next.stderr).contains("paused: nothing runs by itself"), "{next:?}");
    assert!(String::from_utf8_lossy(&at(&world, &server, &["next", "f"]).stderr).contains("flowctl resume f"));
    assert_eq!(said("resume", &[]), (String::new(), "flow `f` goes on by its schedule\n".to_owned()));
    assert_eq!(is_paused(), false);
    assert_eq!(said("resume", &["--json"]).0, "{\"flow\":\"f\",\"paused\":false}\n");
    for verb in ["pause", "resume"] {
        let cases: [(&[&str], i32, &str); 4] = [
            (&[verb, "ff"], 5, "did you mean `f`?"),
            (&[verb, "plain"], 2, "flow `plain` has no schedule"),
            (&[verb, "flows/f.toml"], 2, "knows flows by their names"),
            (&[verb, "nothing-like-it"], 5, "there is no flow `nothing-like-it` here"),
        ];
        refuses(&world, &server, &cases);
    }
    assert_eq!(is_paused(), false);
}

#[test]
fn a_worker_with_another_lake_or_a_name_that_is_taken_is_not_let_in() {
    let world = World::sqlite();
    let server = world.serve(&[]);
    let first = world.worker(&server, &["--name", "same"]);
    until("the first being there", MINUTE, || first.says("registered at"));
    let mut second = world.worker(&server, &["--name", "same", "--slots", "1"]);
    until("the second being refused", MINUTE, || {
        second.says("is here and lives; give each worker a --name of its own")
    });
    let astray = world.worker(&server, &["--name", "astray", "--lake", "elsewhere"]);
    until("the third being refused", MINUTE, || astray.says("the worker's lake is not the one of this server"));
    second.signal(Signal::TERM);
    until("the second being gone", MINUTE, || second.ended().is_some());
    assert!(!server.says("worker same has gone"), "that was another");
    assert!(!second.says("registered at") && !astray.says("registered at"));
}
