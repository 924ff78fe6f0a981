//! One trace per run, received over OTLP and decoded: whole, with everything in its place, whoever did it, and also when
//! whoever did it is gone. A receiver that is not there costs nobody anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tests::outside::script;

use crate::metrics::metrics;
use crate::receiver::{Receiver, Span, hex, text};
use crate::world::{World, until};

const MINUTE: Duration = Duration::from_secs(60);

const FLOW: &str = "[tasks.rows]\nsql = \"select * from (values (3, 'a'), (1, 'b'), (2, 'b')) as t (n, k)\"\n\
    checks = [{ rows = { min = 1 } }, { unique = [\"n\"] }]\n\
    [tasks.sums]\nsql = \"select k, sum(n) as n from rows group by k order by k\"\n\
    [tasks.told]\ncommand = [\"sh\", \"-c\", \"echo $TRACEPARENT > ../parent\"]\ninputs = [\"sums\"]\nrequires = { zone = \"a\" }\n\
    [tasks.broken]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nafter = [\"told\"]\n";

/// Where everything is in a trace: the path of names from the root to each span.
fn paths(spans: &[Span]) -> BTreeSet<String> {
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "no span is told twice: {spans:#?}");
    let path = |span: &Span| {
        let (mut names, mut at) = (vec![span.name.clone()], span);
        while !at.parent.is_empty() {
            at = by_id.get(at.parent.as_str()).unwrap_or_else(|| panic!("the parent of {at:?} is missing: {spans:#?}"));
            names.insert(0, at.name.clone());
        }
        names.join(" > ")
    };
    spans.iter().map(path).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    found.next().unwrap_or_else(|| panic!("no `{name}`: {spans:#?}"))
}

fn traced(receiver: &Receiver) -> World {
    World::sqlite().with_env(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=team-a"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_SERVICE_NAME", "etl"),
    ])
}

#[test]
fn a_run_at_servers_and_workers_is_one_whole_trace() {
    let receiver = Receiver::start();
    let world = traced(&receiver);
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    let _worker = world.worker(&server, &["--labels", "zone=a", "--name", "elsewhere"]);
    let caller = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let (status, made) = server.request_with(caller, "POST", "/v1/runs", r#"{"flow": "f"}"#);
    assert_eq!(status, 201, "{made}");
    let run = made["run_id"].as_str().unwrap();
    assert_eq!(world.ended(run, MINUTE)["state"], "failed");
    receiver.trace(run, (2, "command"));
    let spans = receiver.trace(run, (1, "run f"));
    let paths = paths(&spans);
    for path in [
        "run f",
        "run f > compile f",
        "run f > queue rows",
        "run f > attempt rows",
        "run f > attempt rows > query",
        "run f > attempt rows > check rows at least 1",
        "run f > attempt rows > check unique n",
        "run f > attempt rows > commit f.rows",
        "run f > attempt told > inputs",
        "run f > attempt told > command",
        "run f > attempt broken",
    ] {
        assert!(paths.contains(path), "{path} is missing: {paths:#?}");
    }
    let stages = |of: &str, operator: &str| {
        let query = format!("run f > attempt {of} > query > ");
        paths.iter().any(|path| path.starts_with(&query) && path.ends_with(operator))
    };
    for (of, operator) in
        [("sums", "AggregateExec"), ("sums", "DataSourceExec"), ("rows > check unique n", "AggregateExec")]
    {
        assert!(stages(of, operator), "{operator} of {of} is missing: {paths:#?}");
    }
    let told = named(&spans, "attempt told");
    assert_eq!(fs::read_to_string(world.path("parent")).unwrap().trim(), format!("00-{}-{}-01", told.trace, told.id));
    let (root, broken) = (named(&spans, "run f"), named(&spans, "attempt broken"));
    assert!(root.error.as_deref().is_some_and(|why| why.contains("broken")), "{root:?}");
    assert!(broken.error.as_deref().is_some_and(|why| why.contains('3')), "{broken:?}");
    assert_eq!(named(&spans, "attempt rows").error, None);
    assert_eq!(named(&spans, "attempt rows").attributes["flowctl.rows"], "3");
    let linked = ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned());
    assert_eq!(named(&spans, "compile f").links, [linked]);
    let instance = |span: &Span| span.resource["service.instance.id"].clone();
    let inside = spans.iter().find(|span| span.parent == told.id).unwrap();
    assert_ne!(instance(inside), instance(told), "the worker tells what it did");
    assert!(spans.iter().all(|span| span.resource["service.name"] == "etl" && span.took.0 <= span.took.1));
    let outside = |span: &&Span| {
        span.name != "compile f" && (span.took.0 < root.took.0 || span.took.1 > root.took.1 + 50_000_000)
    };
    assert_eq!(
        spans.iter().find(outside).map(|span| (&span.name, span.took, root.took)),
        None,
        "all of it is in its run"
    );
    assert!(receiver.headers().iter().all(|headers| headers["x-scope"] == "team-a"));
}

#[test]
fn a_run_that_another_server_finishes_is_one_trace_and_counted_once() {
    let receiver = Receiver::start();
    let world = traced(&receiver);
    world.flow("f", crate::GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    receiver.trace(&run, (1, "attempt first"));
    server.signal(Signal::KILL);
    server.wait();
    fs::write(world.path("go"), "").unwrap();
    let server = world.serve(&[]);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let spans = receiver.trace(&run, (1, "run f"));
    paths(&spans);
    let states = |name: &str| {
        let attempts = spans.iter().filter(|span| span.name == name);
        attempts.map(|span| span.attributes["flowctl.state"].as_str()).collect::<Vec<_>>()
    };
    assert_eq!(states("attempt first"), ["succeeded"]);
    assert_eq!(states("attempt gated"), ["lost", "succeeded"]);
    let counted = metrics(&server, "");
    for series in [
        "flowctl_leases_lost_total{holder=\"run\"} 1.0",
        "flowctl_task_retries_total{flow=\"f\",kind=\"command\",reason=\"lost\"} 1.0",
        "flowctl_runs_total{flow=\"f\",state=\"succeeded\"} 1.0",
        "flowctl_tasks_total{flow=\"f\",kind=\"sql\",state=\"succeeded\"} 1.0",
    ] {
        assert!(counted.contains(series), "{series}: {counted}");
    }
    let again = world
        .command(&["retry", &run, "--from", "last", "--server", &format!("http://{}", server.address)])
        .output()
        .unwrap();
    assert!(again.status.success(), "{again:?}");
    let again = world.json(&["runs", "-n", "1"])[0]["run_id"].as_str().unwrap().to_owned();
    let compiled = receiver.trace(&again, (1, "compile f"));
    assert_eq!(named(&compiled, "compile f").links[0].0, run.replace('-', ""), "it says which run it does again");
}

#[test]
fn a_run_in_one_process_is_traced_as_well_and_one_that_dies_too() {
    let receiver = Receiver::start();
    let world =
        traced(&receiver).with_env(&[("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    world.flow("f", "[tasks.slow]\ncommand = [\"sh\", \"-c\", \"touch ../begun; sleep 60\"]\n");
    world.flow("g", "[tasks.one]\nsql = \"select 1 as one\"\n");
    let mut dying = world.command(&["run", "flows/f.toml"]).stderr(Stdio::null()).spawn().unwrap();
    world.wait_for("begun");
    let dead = world.json(&["runs"])[0]["run_id"].as_str().unwrap().to_owned();
    dying.kill().unwrap();
    dying.wait().unwrap();
    let ran = world.command(&["run", "flows/g.toml", "--json"]).output().unwrap();
    let show: Value = serde_json::from_str(String::from_utf8(ran.stdout).unwrap().lines().last().unwrap()).unwrap();
    let spans = receiver.trace(show["run_id"].as_str().unwrap(), (1, "run g"));
    let paths = paths(&spans);
    assert!(paths.contains("run g > attempt one > commit g.one"), "{paths:#?}");
    assert_eq!(named(&spans, "compile g").links[0].0, "4bf92f3577b34da6a3ce929d0e0e4736");
    until("the dead run being closed", Duration::from_secs(15), || {
        world.command(&["run", "flows/g.toml"]).output().unwrap();
        world.state(&dead) == "failed"
    });
    let spans = receiver.trace(&dead, (1, "run f"));
    assert!(named(&spans, "run f").error.as_deref().is_some_and(|why| why.contains("ended")), "{spans:#?}");
    assert_eq!(named(&spans, "attempt slow").attributes["flowctl.state"], "lost");
}

#[test]
fn a_receiver_made_of_grpc_s_own_library_understands_it() {
    let mut receiver = script("otlp_grpc.py").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.next().expect("it listens");
    let world = World::sqlite().with_env(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ]);
    world.flow("f", "[tasks.one]\nsql = \"select 1 as one\"\n");
    let ran = world.command(&["run", "flows/f.toml", "--json"]).output().unwrap();
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    let run = world.json(&["runs"])[0]["run_id"].as_str().unwrap().replace('-', "");
    let spans: Vec<Vec<String>> = lines.map(|line| line.splitn(4, ' ').map(str::to_owned).collect()).collect();
    assert!(spans.iter().all(|span| span[0] == run), "{spans:?}");
    let id = |name: &str| {
        spans.iter().find(|span| span[3] == name).unwrap_or_else(|| panic!("{name}: {spans:?}"))[2].clone()
    };
    let parent = |name: &str| spans.iter().find(|span| span[3] == name).unwrap()[1].clone();
    assert_eq!((parent("run f"), parent("attempt one")), ("-".to_owned(), id("run f")));
    assert_eq!(parent("commit f.one"), id("attempt one"));
}

#[test]
fn what_is_not_sampled_is_not_sent_and_commands_hear_of_it() {
    let receiver = Receiver::start();
    let world = traced(&receiver).with_env(&[("OTEL_TRACES_SAMPLER", "always_off")]);
    world.flow("f", "[tasks.told]\ncommand = [\"sh\", \"-c\", \"echo $TRACEPARENT > ../parent\"]\n");
    let ran = world.command(&["run", "flows/f.toml"]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert!(fs::read_to_string(world.path("parent")).unwrap().trim().ends_with("-00"));
    assert!(receiver.headers().is_empty(), "nothing was sent");
}

#[test]
fn log_lines_say_in_json_and_over_otlp_what_they_are_about() {
    let receiver = Receiver::start();
    let world = traced(&receiver);
    world.flow("f", "[tasks.broken]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n");
    let server = world.serve(&["--log-format", "json"]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.ended(&run, MINUTE);
    let trace = run.replace('-', "");
    let said = || {
        let log = fs::read_to_string(&server.log).unwrap();
        let lines =
            log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
        lines.filter(|line| line["run"] == run.as_str()).collect::<Vec<_>>()
    };
    until("a line about the run", MINUTE, || {
        said().iter().any(|line| line["message"].as_str().unwrap().contains("failed: "))
    });
    let lines = said();
    let of_task = lines.iter().find(|line| line["task"] == "broken").unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(
        (&of_task["attempt"], &of_task["trace_id"], &of_task["level"]),
        (&1.into(), &trace.as_str().into(), &"INFO".into())
    );
    let attempt =
        receiver.trace(&run, (1, "attempt broken")).into_iter().find(|span| span.name == "attempt broken").unwrap();
    assert_eq!(of_task["span_id"], attempt.id.as_str());
    let records = || receiver.logs().into_iter().filter(|record| hex(&record.trace_id) == trace).collect::<Vec<_>>();
    until("the same over OTLP", MINUTE, || {
        records()
            .iter()
            .any(|record| record.body.as_ref().is_some_and(|body| text(body).contains("task `broken` failed")))
    });
    assert!(records().iter().all(|record| record.severity_number == 9), "{:#?}", records());
}

#[test]
fn a_receiver_that_is_away_or_silent_has_no_effect_on_a_run() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (what, address) in [("silent", silent.local_addr().unwrap()), ("away", away)] {
        let url = format!("http://{address}");
        let world =
            World::sqlite().with_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_BSP_MAX_QUEUE_SIZE", "16")]);
        let tasks: String = (0..50).map(|n| format!("[tasks.t{n}]\nsql = \"select {n} as n\"\n")).collect();
        world.flow("f", &tasks);
        let began = Instant::now();
        let ran = world.command(&["run", "flows/f.toml", "--json"]).output().unwrap();
        assert!(ran.status.success(), "{what}: {ran:?}");
        let shown: Value =
            serde_json::from_str(String::from_utf8(ran.stdout).unwrap().lines().last().unwrap()).unwrap();
        let at = |field: &str| flow::schedule::instant(shown[field].as_str().unwrap()).unwrap();
        let took = Duration::from_millis(at("finished_at") - at("started_at"));
        let besides = began.elapsed() - took;
        assert!(besides < Duration::from_secs(5), "{what}: the end of the process waits a moment at most: {besides:?}");
    }
}

#[test]
fn a_server_ends_in_time_although_nobody_takes_its_spans() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let world = World::sqlite().with_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    world.flow("f", "[tasks.one]\nsql = \"select 1 as one\"\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
