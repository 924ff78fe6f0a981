//! The HTTP interface and the command line over it: what it says is what the store says, what it describes is what it
//! does, and no request makes it stumble.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::time::Duration;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::outside::tool;
use tests::succeed;

use super::world::{Process, World, until};
use super::{GATED, MINUTE};

const FLOW: &str = "[schedule]\ncron = \"0 6 * * *\"\ntimezone = \"Europe/Berlin\"\n\
    [params]\nn = { type = \"int\", default = 3 }\n[sources.raw]\npath = \"../raw.csv\"\n\
    [tasks.a]\nsql = \"select k, k + $n as m from raw\"\nchecks = [{ between = { column = \"m\", min = 5 }, severity = \"warn\" }]\n\
    [tasks.b]\nsql = \"select sum(m) as total from a where k > 1\"\n\
    [tasks.say]\ncommand = [\"sh\", \"-c\", \"echo one; echo two >&2; exit 3\"]\nafter = [\"b\"]\n\
    [tasks.last]\nkind = \"noop\"\nafter = [\"say\"]\n";

fn url(server: &Process) -> String {
    format!("http://{}", server.address)
}

/// A world with a run that failed, and its server.
fn world() -> (World, Process) {
    let world = World::sqlite();
    fs::write(world.path("raw.csv"), "k\n1\n2\n").unwrap();
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    (world, server)
}

fn at(world: &World, server: &str, args: &[&str]) -> Output {
    world.command(args).args(["--server", server]).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let ago = Regex::new(r"just now|\d+ (s|min) ago").unwrap();
    let text = |bytes: &[u8]| ago.replace_all(&String::from_utf8_lossy(bytes), "AGO").into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_say_the_same_of_a_server_and_of_its_store() {
    let (world, server) = world();
    let ran = at(&world, &url(&server), &["run", "f", "-p", "n=4", "--json"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let lines: Vec<Value> =
        String::from_utf8_lossy(&ran.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["seq"]), (&Value::from("run_created"), &Value::from(1)));
    assert_eq!(lines.last(), Some(&world.show("latest")), "the last line is `show`");
    let commands: [&[&str]; 13] = [
        &["runs"],
        &["runs", "--flow", "f", "--state", "failed", "-n", "1"],
        &["show", "latest"],
        &["show", "nope"],
        &["why", "latest"],
        &["why", "latest", "lost"],
        &["logs", "latest", "say", "--follow"],
        &["logs", "latest", "nope"],
        &["lineage", "b"],
        &["lineage", "raw.k", "--down"],
        &["impact", "a.m"],
        &["impact", "a.x"],
        &["datasets"],
    ];
    for command in commands {
        for json in [None, Some("--json")] {
            let args: Vec<&str> = command.iter().copied().chain(json).collect();
            let here = said(&world.command(&args).output().unwrap());
            let there = said(&at(&world, &url(&server), &args));
            assert_eq!(here, there, "{args:?}");
        }
    }
    let next = ["--from", "2024-03-29", "-n", "4", "--json"];
    let here = world.command(&["next", "flows/f.toml"]).args(next).output().unwrap();
    let there = world.command(&["next", "f", "--server", &url(&server)]).args(next).output().unwrap();
    assert_eq!(said(&here), said(&there));
    let cancel = at(&world, &url(&server), &["cancel", "latest"]);
    assert_eq!(cancel.status.code(), Some(2), "it is over: {cancel:?}");
}

#[test]
fn what_is_no_server_is_told_apart() {
    let (world, server) = world();
    let said = |server: &str, args: &[&str]| {
        let output = at(&world, server, args);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let html = answering("200 OK", "Content-Type: text/html\r\n", "<html>Welcome</html>");
    let moved = answering("301 Moved Permanently", "Location: http://elsewhere/\r\n", "");
    let older = answering("200 OK", "Content-Type: application/json\r\nServer: flowctl/0.0.1\r\n", "{\"runs\": 7}");
    let cases: [(&str, &[&str], i32, &str); 9] = [
        ("http://127.0.0.1:1", &["runs"], 4, "Connection refused"),
        (&html, &["runs"], 4, "as no flowctl server does"),
        (&moved, &["show", "latest"], 4, "points to http://elsewhere/"),
        (&older, &["runs"], 4, "it is flowctl/0.0.1"),
        ("nonsense", &["runs"], 2, "is not the URL of a server"),
        (&url(&server), &["query", "select 1"], 2, "asks no server"),
        (&url(&server), &["run", "flows/f.toml"], 2, "knows flows by their names"),
        (&url(&server), &["run", "g"], 5, "there is no flow `g`"),
        (&url(&server), &["run", "f", "-p", "n=x"], 2, "`n`"),
    ];
    for (server, args, exit, words) in cases {
        let (code, stderr) = said(server, args);
        assert!(code == Some(exit) && stderr.contains(words), "{args:?} at {server}: {code:?} {stderr}");
    }
    let checked = world.command(&["check", "flows"]).env("FLOWCTL_SERVER", "http://127.0.0.1:1").output().unwrap();
    assert!(checked.status.success(), "what asks no server is not disturbed by the variable: {checked:?}");
}

/// Something that answers every request alike.
fn answering(status: &'static str, headers: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn a_signal_cancels_the_run_at_the_server() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let mut run = world.command(&["run", "f", "--server", &url(&server)]).spawn().unwrap();
    world.wait_for("begun");
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(world.state("latest"), "cancelled");
}

#[test]
fn a_follower_comes_back_to_where_it_was_and_hears_the_end() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    let following = {
        let (address, path) = (server.address.clone(), format!("/v1/runs/{run}/live?logs=true"));
        std::thread::spawn(move || stream(&address, &path, ""))
    };
    world.wait_for("begun");
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let all = following.join().unwrap();
    let (_, journal) = server.get(&format!("/v1/runs/{run}/events"));
    let (told, recorded) = (events(&all), journal["events"].as_array().unwrap().clone());
    assert_eq!(told, recorded, "{all}");
    assert!(all.contains("event: run_closed") && all.contains("id: 1.0\n"), "{all}");
    let path = format!("/v1/runs/{run}/live");
    let rest = stream(&server.address, &path, "Last-Event-ID: 3\r\n");
    assert_eq!(events(&rest), recorded[3..], "{rest}");
    let over = stream(&server.address, &path, &format!("Last-Event-ID: {}\r\n", recorded.len()));
    assert!(over.starts_with("HTTP/1.1 204"), "who has heard it all need not come back: {over}");
}

fn stream(address: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).filter(|it: &Value| it.get("seq").is_some()).collect()
}

#[test]
fn pages_stay_where_they_are_while_runs_come() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\nkind = \"noop\"\n");
    let server = world.serve(&[]);
    let mut made: Vec<String> = (0..5).map(|_| world.submit(&server, r#"{"flow": "f"}"#)).collect();
    made.reverse();
    let (mut seen, mut path) = (vec![], "/v1/runs?limit=2".to_owned());
    loop {
        let (status, page) = server.get(&path);
        assert_eq!(status, 200, "{page}");
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()));
        world.submit(&server, r#"{"flow": "f"}"#);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/runs?limit=2&cursor={next}");
    }
    assert_eq!(seen, made);
    let run = &made[0];
    world.ended(run, MINUTE);
    let first = server.get(&format!("/v1/runs/{run}/events?limit=1")).1;
    let rest = server.get(&format!("/v1/runs/{run}/events?cursor={}", first["next"].as_str().unwrap())).1;
    assert_eq!((&first["events"][0]["seq"], &rest["events"][0]["seq"]), (&Value::from(1), &Value::from(2)));
}

#[test]
fn hostile_requests_are_told_what_is_wrong() {
    let (world, server) = world();
    let deep = format!("{{\"flow\": \"f\", \"params\": {{\"n\": {}{}}}}}", "[".repeat(5_000), "]".repeat(5_000));
    let long = format!("/v1/runs/{}", "x".repeat(10_000));
    let twice = r#"{"flow": "f", "params": {"n": 1, "n": 2}}"#;
    let cases: [(&str, &str, &str, u16); 22] = [
        ("GET", "/v1/runs/%00", "", 404),
        ("GET", "/v1/runs/%ff", "", 400),
        ("GET", "/v1/runs/..%2f..%2fetc", "", 404),
        ("GET", "/v1/runs/'%20or%201=1", "", 404),
        ("GET", "/v1/runs/%25", "", 404),
        ("GET", &long, "", 404),
        ("GET", "/v1/runs?limit=0", "", 400),
        ("GET", "/v1/runs?limit=-1", "", 400),
        ("GET", "/v1/runs?limit=99999999999999999999", "", 400),
        ("GET", "/v1/runs?cursor=nonsense", "", 400),
        ("GET", "/v1/runs?cursor=99999999999999999999.x", "", 400),
        ("GET", "/v1/runs?flow=f&flow=g", "", 400),
        ("GET", "/v1/runs?speed=2", "", 400),
        ("GET", "/v1/runs/latest/logs?cursor=-1", "", 400),
        ("POST", "/v1/runs", &deep, 400),
        ("POST", "/v1/runs", twice, 422),
        ("POST", "/v1/runs", r#"{"flow": "f", "flow": "g"}"#, 422),
        ("POST", "/v1/runs", "{\"flow\": \"f\\u0000\"}", 404),
        ("POST", "/v1/runs", r#"{"flow": "f", "params": {"n": 1e400}}"#, 400),
        ("POST", "/v1/runs", r#"{"flow": "f", "select": "+nope"}"#, 400),
        ("PATCH", "/v1/runs", "", 405),
        (
            "POST",
            "/v1/workers/w/log",
            r#"[{"run_id": "r", "task": "t", "attempt": 1, "at": 1, "stream": "stdout", "text": ""}]"#,
            404,
        ),
    ];
    for (method, path, body, status) in cases {
        let (got, answer) = server.request(method, path, body);
        let shown: String = path.chars().take(60).collect();
        assert_eq!(got, status, "{method} {shown}: {answer}");
        assert!(answer["detail"].is_string() && answer["status"] == status, "{method} {shown}: {answer}");
    }
    assert_eq!(server.get("/health").0, 200);
    world.is_sound();
}

#[test]
fn what_is_described_is_what_is_done() {
    let (world, server) = world();
    for _ in 0..2 {
        let run = world.submit(&server, r#"{"flow": "f"}"#);
        world.ended(&run, MINUTE);
    }
    server.post("/v1/workers", r#"{"wire": 1, "worker": "w", "slots": 1, "labels": {}}"#);
    let document = world.path("openapi.json");
    fs::write(&document, world.command(&["schema", "--api"]).output().unwrap().stdout).unwrap();
    let mut validator = tool("openapi-spec-validator");
    validator.arg(&document);
    succeed(validator);
    let names = "[parameters]\n\"path.run\" = \"latest\"\n\"path.flow\" = \"f\"\n\"path.dataset\" = \"f.b\"\n\"path.worker\" = \"w\"\n";
    fs::write(world.path("schemathesis.toml"), names).unwrap();
    let mut asked = tool("schemathesis");
    asked.current_dir(world.path("")).args(["--config-file", "schemathesis.toml", "run"]);
    asked.arg(format!("{}/v1/openapi.json", url(&server)));
    asked.args(["--phases", "coverage,fuzzing", "--max-examples", "3", "--seed", "3", "--no-color"]);
    // What is right in its shape may still be unknown here, and a claim waits.
    asked.args(["--exclude-checks", "positive_data_acceptance", "--exclude-operation-id", "claim"]);
    let report = succeed(asked);
    assert!(report.contains("generated") && !report.contains("failed"), "{report}");
    until("its health", MINUTE, || server.get("/health").0 == 200);
    world.is_sound();
}
