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

/// What was good when the server read it need not be so when it runs.
#[test]
fn what_is_wrong_with_a_flow_ends_a_command_at_a_server_as_it_does_here() {
    let world = World::sqlite();
    let write = |name: &str, text: &str| fs::write(world.path(name), text).unwrap();
    write("flows/in.csv", "n\n1\n");
    world.flow("moved", "[sources.s]\npath = 'in.csv'\n[tasks.t]\nsql = 'select n from s'\n");
    world.flow("gone", "[sources.s]\npath = 'late.csv'\n[tasks.t]\nsql = 'select n from s'\n");
    world.flow("plain", "[tasks.t]\nsql = 'select 1 as n'\n");
    write("flows/late.csv", "n\n1\n");
    let server = world.serve(&[]);
    until("its flows", MINUTE, || ["moved", "gone", "plain"].iter().all(|name| server.says(&format!("flow `{name}`"))));
    write("flows/in.csv", "m\n1\n");
    fs::remove_file(world.path("flows/late.csv")).unwrap();
    let cases: [(&[&str], i32); 4] = [
        (&["run", "moved"], 3),
        (&["run", "gone"], 3),
        (&["run", "plain", "--select", "+nope"], 2),
        (&["run", "plain", "-p", "nope=1"], 2),
    ];
    for (args, code) in cases {
        let (there, said) = ends(&at(&world, &server, args));
        let file = format!("flows/{}.toml", args[1]);
        let mut local = args.to_vec();
        local[1] = &file;
        let here = ends(&world.command(&local).output().unwrap());
        assert_eq!((there, here.0), (Some(code), Some(code)), "{args:?}: {said} {}", here.1);
        let hint = |said: &str| said.lines().find(|line| line.contains("hint: ")).map(str::to_owned);
        assert!(hint(&said).is_some(), "{said}");
    }
}

#[test]
fn an_sql_file_is_read_again_and_the_last_good_version_stays() {
    let world = World::sqlite();
    let write = |text: &str| fs::write(world.path("flows/q.sql"), text).unwrap();
    write("select 1 as n");
    world.flow("f", "[tasks.t]\nsql_file = 'q.sql'\n");
    let server = world.serve(&[]);
    let run = || assert!(at(&world, &server, &["run", "f"]).status.success());
    let loaded = || fs::read_to_string(&server.log).unwrap().matches("flow `f`, no schedule").count();
    run();
    write("select 2 as n, 0 as o");
    until("the edit being seen", MINUTE, || loaded() == 2);
    run();
    assert_eq!(world.rows("select n from f.t"), "2");
    write("select wrong");
    until("the mistake being told", MINUTE, || server.says("q.sql:1: "));
    assert!(server.says("the last good version of the flow stays in force"));
    run();
    assert_eq!(world.rows("select n from f.t"), "2");
    write("select 3 as n");
    until("the repair being seen", MINUTE, || loaded() == 3);
    run();
    assert_eq!(world.rows("select n from f.t"), "3");
}

#[test]
fn who_shares_a_store_with_a_server_shares_its_lake() {
    let both = [Some(World::sqlite()), World::postgres()];
    for world in both.into_iter().flatten() {
        world.flow("f", "[tasks.t]\nsql = 'select 1 as x'\n");
        let mut server = world.serve(&[]);
        let elsewhere = |args: &[&str]| {
            let output = world.command(args).args(["--lake", "elsewhere"]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
            (output.status.code(), said)
        };
        let serve = ["serve", "flows", "--listen", "127.0.0.1:0"];
        let run = ["run", "flows/f.toml"];
        let cases: [(&[&str], i32); 5] =
            [(&run, 2), (&["fsck", "--repair"], 2), (&["prune", "--keep=1d"], 2), (&["doctor"], 4), (&serve, 2)];
        for (verb, exit) in cases {
            let (code, said) = elsewhere(verb);
            // A second server of an SQLite store is refused whatever its lake is.
            let why = if verb == serve && world.is_sqlite() { "does already" } else { "works on another lake" };
            assert!(code == Some(exit) && said.contains(why), "{verb:?}: {code:?} {said}");
        }
        assert!(world.command(&run).status().unwrap().success(), "the lake of the server");
        server.signal(Signal::TERM);
        until("its end", MINUTE, || server.ended().is_some());
        assert_eq!(elsewhere(&run).0, Some(0), "nobody is there who would miss anything");
    }
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
