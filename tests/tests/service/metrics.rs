//! `/metrics` of a real server: what it counts is what happened, and Prometheus' own tool has nothing to say against it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::outside::script;

use crate::receiver::Receiver;
use crate::world::{Process, World, until};

const MINUTE: Duration = Duration::from_secs(60);

/// A flow in which everything happens that is counted: a check that warns, a retry, a failure, a skip, a table.
const FLOW: &str = "[sources.raw]\npath = \"../rows.csv\"\n[tasks.rows]\nsql = \"select * from raw\"\n\
    checks = [{ rows = { min = 1 } }, { unique = [\"n\"], severity = \"warn\" }]\n\
    [tasks.again]\ncommand = [\"sh\", \"-c\", \"test -e ../tried || (touch ../tried; exit 1)\"]\n\
    retry = { attempts = 2, delay = \"10ms\", jitter = false }\n\
    [tasks.broken]\ncommand = [\"false\"]\n\
    [tasks.after]\nsql = \"select 1 as one\"\nafter = [\"broken\"]\n\
    [tasks.gate]\nkind = \"noop\"\nafter = [\"rows\"]\n";

/// The metrics as a server answers them, in the format that is asked for.
pub fn metrics(server: &Process, accept: &str) -> String {
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{accept}\r\n", server.address);
    let answer = server.exchange(head.as_bytes(), b"");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// Every series with its value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn what_is_counted_is_what_happened() {
    let world = World::sqlite();
    std::fs::write(world.path("rows.csv"), "n\n1\n2\n2\n").unwrap();
    world.flow("f", FLOW);
    let server = world.serve(&["--slots", "3"]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "failed");
    // The journal is written before it is counted.
    until("the run being counted", MINUTE, || metrics(&server, "").contains("flowctl_runs_total{"));
    let seen = series(&metrics(&server, ""));
    let value = |name: &str| seen.get(name).copied().unwrap_or_else(|| panic!("{name}: {seen:#?}"));
    let expected = [
        ("flowctl_runs_total{flow=\"f\",state=\"failed\"}", 1.0),
        ("flowctl_run_duration_seconds_count{flow=\"f\",state=\"failed\"}", 1.0),
        ("flowctl_tasks_total{flow=\"f\",kind=\"sql\",state=\"succeeded\"}", 1.0),
        ("flowctl_tasks_total{flow=\"f\",kind=\"command\",state=\"succeeded\"}", 1.0),
        ("flowctl_tasks_total{flow=\"f\",kind=\"command\",state=\"failed\"}", 1.0),
        ("flowctl_tasks_total{flow=\"f\",kind=\"sql\",state=\"skipped\"}", 1.0),
        ("flowctl_tasks_total{flow=\"f\",kind=\"noop\",state=\"succeeded\"}", 1.0),
        ("flowctl_task_duration_seconds_count{flow=\"f\",kind=\"command\"}", 3.0),
        ("flowctl_task_queue_seconds_count{flow=\"f\",kind=\"sql\"}", 1.0),
        ("flowctl_task_retries_total{flow=\"f\",kind=\"command\",reason=\"failed\"}", 1.0),
        ("flowctl_checks_total{flow=\"f\",result=\"passed\",severity=\"error\"}", 1.0),
        ("flowctl_checks_total{flow=\"f\",result=\"failed\",severity=\"warn\"}", 1.0),
        ("flowctl_check_failed_rows_total{flow=\"f\",severity=\"warn\"}", 2.0),
        ("flowctl_rows_written_total{flow=\"f\"}", 3.0),
        ("flowctl_rows_read_total{flow=\"f\"}", 3.0),
        ("flowctl_bytes_read_total{flow=\"f\"}", 8.0),
        ("flowctl_dataset_rows{dataset=\"f.rows\"}", 3.0),
        ("flowctl_worker_slots{state=\"busy\"}", 0.0),
        ("flowctl_worker_slots{state=\"free\"}", 3.0),
        ("flowctl_workers{state=\"ready\"}", 1.0),
        ("flowctl_attempts_queued", 0.0),
    ];
    for (name, expected) in expected {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("flowctl_store_seconds_count{operation=\"append\"}") > 0.0);
    assert!(value("flowctl_dispatch_seconds_count") >= 4.0);
    assert!(value("flowctl_memory_limit_bytes") > value("flowctl_memory_bytes"));
    assert!(value("flowctl_bytes_written_total{flow=\"f\"}") > 0.0);
    let published = value("flowctl_dataset_published_timestamp_seconds{dataset=\"f.rows\"}");
    assert!(published > value("process_start_time_seconds"), "{published}");
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.ended(&run, MINUTE);
    let cached = "flowctl_tasks_cached_total{flow=\"f\",kind=\"sql\"} 1";
    until("a cached task being counted", MINUTE, || metrics(&server, "").contains(cached));
    assert_eq!(series(&metrics(&server, ""))["flowctl_rows_written_total{flow=\"f\"}"], 3.0, "cached is not written");
}

#[test]
fn the_tool_of_prometheus_finds_nothing_wrong() {
    let world = World::sqlite();
    std::fs::write(world.path("flowctl.toml"), "[pools]\nwarehouse = 1\n").unwrap();
    std::fs::write(world.path("rows.csv"), "n\n1\n").unwrap();
    let scheduled = "[schedule]\ncron = \"* * * * * *\"\n[limits]\nruns = 1\n";
    world.flow("f", &format!("{scheduled}{}", FLOW.replace("[tasks.rows]", "[tasks.rows]\npool = \"warehouse\"")));
    let server = world.serve(&[]);
    until("a scheduled run being counted", MINUTE, || {
        let seen = metrics(&server, "");
        seen.contains("flowctl_runs_total{") && seen.contains("flowctl_schedule_lag_seconds_count{flow=\"f\"}")
    });
    let text = metrics(&server, "");
    for name in ["flowctl_pool_slots{pool=\"warehouse\"} 1", "flowctl_schedule_next_timestamp_seconds{flow=\"f\"} "] {
        assert!(text.contains(name), "{name}: {text}");
    }
    promtool(&text);
    let open = metrics(&server, "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE flowctl_runs counter\n"), "{open}");
}

#[test]
fn exemplars_name_the_trace_of_a_run() {
    let receiver = Receiver::start();
    let world = World::sqlite().with_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url)]);
    world.flow("f", "[tasks.one]\nsql = \"select 1 as one\"\n");
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.ended(&run, MINUTE);
    let open = || metrics(&server, "Accept: application/openmetrics-text;version=1.0.0\r\n");
    until("the run being counted", MINUTE, || open().contains("flowctl_run_duration_seconds_count{"));
    let read = script("openmetrics.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let exemplars = fed(read, &open());
    let trace = run.replace('-', "");
    for metric in ["flowctl_run_duration_seconds_bucket", "flowctl_task_duration_seconds_bucket"] {
        assert!(exemplars.contains(&format!("{metric} f {trace} ")), "{metric}: {exemplars}");
    }
}

/// What the process prints once it has read the text.
fn fed(mut process: Child, text: &str) -> String {
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// What `promtool check metrics` says of a text must be nothing.
fn promtool(text: &str) {
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(check) = check.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "there is no promtool; tests/run installs it");
        eprintln!("NOT RUN: there is no promtool; tests/run installs it");
        return;
    };
    assert_eq!(fed(check, text), "", "{text}");
}

#[test]
fn workers_elsewhere_tell_the_memory_of_their_queries() {
    let world = World::sqlite();
    let server = world.serve(&[]);
    let here = series(&metrics(&server, ""))["flowctl_memory_limit_bytes"];
    assert!(!metrics(&server, "").contains("flowctl_workers_memory"), "there are none");
    let _workers = ["one", "two"].map(|name| world.worker(&server, &["--name", name]));
    until("both having said so", MINUTE, || {
        series(&metrics(&server, "")).get("flowctl_workers_memory_limit_bytes") == Some(&(2.0 * here))
    });
}
