//! Ends that nobody planned: signals, crashes, full disks, queries beyond reason. Nothing is lost, nothing is
//! half-published, and the next run simply works.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{binary, clean, flowctl};

/// Keeps a core busy for hours without ever yielding: the time goes with the product of the texts' lengths.
const ENDLESS: &str = "select levenshtein(repeat('ab', 1000000 + value), repeat('ba', 1000000)) as n \
    from generate_series(1, 3)";
/// Many rows into files, one after the other.
const LONG: &str = "select value as n, md5(cast(value as varchar)) as text from generate_series(1, 60000000)";

fn project(flows: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in flows {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn flow(name: &str, sql: &str) -> String {
    format!(
        "name = \"{name}\"\n[tasks.first]\nsql = \"select 1 as one\"\n[tasks.t]\nsql = '''{sql}'''\nafter = [\"first\"]\n"
    )
}

/// A flow whose tasks keep every core busy.
fn busy() -> String {
    let others = (0..8).map(|n| format!("[tasks.u{n}]\nsql = \"{ENDLESS}\"\nafter = [\"first\"]\n"));
    flow("f", ENDLESS) + &others.collect::<String>()
}

/// Starts a run and waits until the task `t` has started.
fn start(folder: &Path, flow: &str) -> Child {
    let mut run = flowctl(folder);
    let mut child = run.args(["run", flow, "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let event = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let started = |line: &Value| line["event"] == "task_started" && line["task"] == "t";
    assert!(lines.any(|line| started(&event(&line.unwrap()))), "the task never started");
    // Whoever reads on keeps the pipe open.
    std::thread::spawn(move || lines.count());
    child
}

/// Starts [`busy`] and waits until it computes.
fn start_busy(folder: &Path) -> Child {
    let child = start(folder, "f.toml");
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let after_name = stat.rsplit(") ").next().unwrap().split(' ').nth(11).unwrap().to_owned();
        after_name.parse::<u64>().unwrap()
    };
    until("computing", || ticks() > 200);
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Polls until `check` holds; panics after a minute.
fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run(folder: &Path, args: &[&str]) -> Output {
    flowctl(folder).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn show(folder: &Path, run_id: &str) -> Value {
    json(&run(folder, &["show", run_id, "--json"]))
}

/// Files of the dataset's folder that are not its log.
fn data_files(folder: &Path, dataset: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(".flowctl/lake").join(dataset)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[test]
fn one_signal_cancels_a_query_that_never_yields() {
    let project = project(&[("f.toml", busy())]);
    for asked in [Signal::INT, Signal::TERM] {
        let mut child = start_busy(project.path());
        signal(&child, asked);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let shown = show(project.path(), "latest");
        assert_eq!(shown["state"], "cancelled", "{shown}");
        assert_eq!(shown["tasks"][1]["state"], "cancelled", "{shown}");
    }
    assert_eq!(run(project.path(), &["fsck"]).status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let project = project(&[("f.toml", busy())]);
    let mut child = start_busy(project.path());
    signal(&child, Signal::INT);
    let asked = || {
        let why = run(project.path(), &["why", "latest", "t", "--json"]);
        String::from_utf8_lossy(&why.stdout).contains("SIGINT")
    };
    until("the request to cancel", asked);
    let before = Instant::now();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(before.elapsed() < Duration::from_secs(3), "took {:?}", before.elapsed());
}

#[test]
fn another_process_leaves_a_busy_run_alone_and_can_cancel_it() {
    let project = project(&[("f.toml", busy()), ("g.toml", flow("g", "select 2 as two"))]);
    let mut child = start_busy(project.path());
    let busy = show(project.path(), "latest")["run_id"].as_str().unwrap().to_owned();
    // Longer than the lease, so that only a renewed one keeps the run open.
    std::thread::sleep(Duration::from_millis(10_500));
    assert_eq!(run(project.path(), &["run", "g.toml"]).status.code(), Some(0));
    assert_eq!(show(project.path(), &busy)["state"], "running");
    assert_eq!(run(project.path(), &["cancel", &busy]).status.code(), Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(show(project.path(), &busy)["state"], "cancelled");
}

#[test]
fn a_wish_that_nobody_would_hear_closes_the_run() {
    let project = project(&[("f.toml", busy())]);
    let mut child = start_busy(project.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let why = || String::from_utf8(run(project.path(), &["why", "latest"]).stdout).unwrap();
    until("the end of the lease", || why().contains("the process that ran it is gone"));
    let cancelled = run(project.path(), &["cancel", "latest", "--json"]);
    assert_eq!(cancelled.status.code(), Some(0), "{cancelled:?}");
    let event = json(&cancelled);
    assert_eq!((&event["event"], &event["state"]), (&"run_closed".into(), &"failed".into()), "{event}");
    assert_eq!(show(project.path(), "latest")["state"], "failed");
}

#[test]
fn a_cancelled_query_leaves_no_files() {
    let project = project(&[("f.toml", flow("f", LONG))]);
    let mut child = start(project.path(), "f.toml");
    until("a file", || !data_files(project.path(), "f/t").is_empty());
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(data_files(project.path(), "f/t").is_empty());
    assert_eq!(run(project.path(), &["fsck"]).status.code(), Some(0));
}

#[test]
fn a_killed_run_is_closed_repaired_and_retried() {
    let project = project(&[("f.toml", flow("f", LONG)), ("g.toml", flow("g", "select 2 as two"))]);
    let mut child = start(project.path(), "f.toml");
    until("a file", || !data_files(project.path(), "f/t").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = show(project.path(), "latest")["run_id"].as_str().unwrap().to_owned();
    assert!(!data_files(project.path(), "f/t").is_empty(), "a crash cleans nothing up");
    let why = || String::from_utf8(run(project.path(), &["why", &killed]).stdout).unwrap();
    until("the end of the lease", || why().contains("the process that ran it is gone"));
    assert_eq!(run(project.path(), &["run", "g.toml"]).status.code(), Some(0));
    assert_eq!(show(project.path(), &killed)["state"], "failed");
    let shown = show(project.path(), &killed);
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("the process that ran it ended"), "{error}");
    assert_eq!(shown["tasks"][0]["state"], "succeeded", "{shown}");
    let found = run(project.path(), &["fsck", "--json"]);
    assert_eq!((found.status.code(), json(&found)["findings"][0]["kind"].as_str()), (Some(1), Some("orphan")));
    assert_eq!(run(project.path(), &["fsck", "--repair"]).status.code(), Some(1));
    assert_eq!(run(project.path(), &["fsck"]).status.code(), Some(0));
    assert!(data_files(project.path(), "f/t").is_empty());
    fs::write(project.path().join("f.toml"), flow("f", "select 3 as three")).unwrap();
    let retried = run(project.path(), &["retry", &killed]);
    assert_eq!(retried.status.code(), Some(0), "{retried:?}");
    assert_eq!(run(project.path(), &["fsck"]).status.code(), Some(0));
}

#[test]
fn queries_beyond_reason_are_refused_and_long_ones_run() {
    let chain = |pieces: usize, glue: &str, piece: &str| vec![piece; pieces].join(glue);
    let long = [
        format!("select {} as n", chain(900, " + ", "1")),
        format!("select 1 as n where {}", chain(900, " or ", "1 = 2")),
        chain(900, " union all ", "select 1 as n"),
        format!("select case {} end as n", chain(3_000, " ", "when 1 = 2 then 3")),
    ];
    let beyond = [
        format!("select {} as n", chain(200_000, " + ", "1")),
        chain(20_000, " union all ", "select 1 as n"),
        format!("select {}1{} as n", "(".repeat(5_000), ")".repeat(5_000)),
        format!("select {}1 as n", "- ".repeat(20_000)),
    ];
    for sql in long {
        let project = project(&[("f.toml", flow("f", &sql))]);
        let ended = run(project.path(), &["run", "f.toml"]);
        assert_eq!(ended.status.code(), Some(0), "{}…: {ended:?}", &sql[..40]);
    }
    for sql in beyond {
        let project = project(&[("f.toml", flow("f", &sql))]);
        let checked = run(project.path(), &["check", "f.toml", "--json"]);
        assert_eq!(checked.status.code(), Some(3), "{}…: {:?}", &sql[..40], checked.status);
        assert_eq!(json(&checked)["files"][0]["diagnostics"][0]["code"], "E501");
    }
}

#[test]
fn many_views_on_views_run() {
    let mut text = String::from("name = \"f\"\n[tasks.v0]\nsql = \"select 1 as n\"\noutput = { as = \"view\" }\n");
    for n in 1..300 {
        text += &format!("[tasks.v{n}]\nsql = \"select n + 1 as n from v{}\"\noutput = {{ as = \"view\" }}\n", n - 1);
    }
    text += "[tasks.last]\nsql = \"select n from v299\"\n";
    let project = project(&[("f.toml", text)]);
    assert_eq!(run(project.path(), &["run", "f.toml"]).status.code(), Some(0));
    let rows = run(project.path(), &["query", "select n from f.last", "--format", "csv"]);
    assert_eq!(String::from_utf8_lossy(&rows.stdout), "n\n300\n");
}

/// Runs `flowctl` with its lake or store on a file system of 3 MiB. `None` where nobody may mount one.
fn on_a_small_disk(folder: &Path, variable: &str) -> Option<Output> {
    let small = folder.join("small");
    fs::create_dir(&small).unwrap();
    let script = "mount -t tmpfs -o size=3m tmpfs small || exit 77; shift; \"$0\" run f.toml; code=$?; find small -name '*.parquet*' >left; exit $code";
    let mut command: Command = clean("unshare", folder);
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(binary()).arg("-");
    let output = command.current_dir(folder).env(variable, small.join("x")).output().ok()?;
    let refused = output.status.code() == Some(77) || String::from_utf8_lossy(&output.stderr).contains("unshare:");
    (!refused).then_some(output)
}

#[test]
fn a_full_disk_publishes_nothing_and_says_so() {
    let sql = "select value as n, md5(cast(value as varchar)) as text from generate_series(1, 400000)";
    let project = project(&[("f.toml", flow("f", sql))]);
    let Some(ended) = on_a_small_disk(project.path(), "FLOWCTL_LAKE") else {
        eprintln!("skipped: file systems cannot be mounted here");
        return;
    };
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("no space is left on the disk") && !said.contains("panicked"), "{said}");
    let left = fs::read_to_string(project.path().join("left")).unwrap();
    assert_eq!(left.lines().filter(|path| path.contains("/t/")).count(), 0, "{left}");
}

#[test]
fn a_store_without_space_ends_with_4() {
    let many = (0..20_000).map(|n| format!("[tasks.t{n}]\nkind = \"noop\"\n"));
    let project = project(&[("f.toml", format!("name = \"f\"\n{}", many.collect::<String>()))]);
    let Some(ended) = on_a_small_disk(project.path(), "FLOWCTL_STORE") else { return };
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("full") || said.contains("space"), "{said}");
}
