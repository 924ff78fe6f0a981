//! The command line from outside: exit code, standard output and standard error of each case, as recorded in
//! `golden/cli/NAME.txt`. With `UPDATE_GOLDEN=1` the records are written anew, to be read by eye.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use tests::{flowctl, root};

const GOOD: &str = "name = \"good\"\n[tasks.a]\nkind = \"noop\"\n[tasks.b]\nkind = \"noop\"\nafter = [\"a\"]\n";
const BROKEN: &str =
    "name = \"broken\"\n[tasks.a]\nsql = 'select 1 as one'\n[tasks.b]\nsql = '''\nselect\n  ones\nfrom a\n'''\n";
const NEEDY: &str = "name = \"needy\"\n[params]\nmonth = { type = \"string\" }\ndays = { type = \"int\", default = 1 }\n[tasks.a]\nkind = \"noop\"\n";
const FAILING: &str = "name = \"failing\"\n[tasks.ok]\ncommand = [\"sh\", \"-c\", \"echo said\"]\n[tasks.bad]\ncommand = [\"sh\", \"-c\", \"echo trouble >&2; exit 3\"]\n[tasks.last]\nkind = \"noop\"\nafter = [\"bad\"]\n";

/// A project with a few flows in it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("good", GOOD), ("broken", BROKEN), ("needy", NEEDY), ("failing", FAILING)] {
        fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    flowctl(folder).args(args).output().unwrap()
}

/// The same in every place, at every time.
fn filtered(text: &[u8], folder: &Path) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
            (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "WHEN"),
            (r" *\b\d+(\.\d+)? (ms|s)\b", "  TIME"),
            (r"\b\d+(\.\d+)? [KMGT]iB free at \S+", "SPACE free"),
            (r"\b\d+ cores?, \d+ slots", "CORES"),
            // How wide a column is depends on how long something took.
            (r"(\S) {2,}", "$1  "),
        ];
        rules.map(|(pattern, name)| (Regex::new(pattern).unwrap(), name)).into()
    });
    let text = String::from_utf8_lossy(text).replace(&folder.canonicalize().unwrap().display().to_string(), "DIR");
    RULES.iter().fold(text, |text, (rule, name)| rule.replace_all(&text, *name).into_owned())
}

/// Compares with the record, or makes it.
fn snapshot(name: &str, folder: &Path, args: &[&str]) {
    check(name, folder, args, &run(folder, args));
}

fn check(name: &str, folder: &Path, args: &[&str], output: &Output) {
    let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    let (stdout, stderr) = (filtered(&output.stdout, folder), filtered(&output.stderr, folder));
    let seen = format!("$ flowctl {}\nexit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}", args.join(" "));
    let record = root().join("tests/golden/cli").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&record, &seen).unwrap();
    }
    let expected = fs::read_to_string(&record).unwrap_or_default();
    assert_eq!(seen, expected, "{name}: UPDATE_GOLDEN=1 records it anew");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn help_and_wrong_usage() {
    let project = project();
    let cases: &[(&str, &[&str])] = &[
        ("help", &["--help"]),
        ("nothing", &[]),
        ("help_run", &["run", "--help"]),
        ("unknown_command", &["rum"]),
        ("unknown_flag", &["run", "good.toml", "--forse"]),
        ("no_path", &["check"]),
        ("bad_pair", &["run", "good.toml", "-p", "month"]),
        ("bad_time", &["run", "good.toml", "--at", "soon"]),
        ("bad_memory", &["--memory", "much", "run", "good.toml"]),
    ];
    cases.iter().for_each(|(name, args)| snapshot(name, project.path(), args));
}

#[test]
fn every_command_has_a_manual_with_an_example() {
    let project = project();
    let help = run(project.path(), &["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = text.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 18, "{names:?}");
    for name in names {
        let output = run(project.path(), &[name, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{name}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example:\n  flowctl "), "{name}");
    }
}

#[test]
fn flows_are_checked() {
    let project = project();
    let cases: &[(&str, &[&str])] = &[
        ("check_good", &["check", "good.toml"]),
        ("check_good_json", &["check", "good.toml", "--json"]),
        ("check_broken", &["check", "broken.toml"]),
        ("check_broken_json", &["check", "broken.toml", "--json"]),
        ("check_missing", &["check", "god.toml"]),
        ("run_broken", &["run", "broken.toml"]),
        ("explain", &["explain", "e503"]),
        ("explain_unknown", &["explain", "E999"]),
    ];
    cases.iter().for_each(|(name, args)| snapshot(name, project.path(), args));
    assert!(!project.path().join(".flowctl").exists(), "looking leaves nothing behind");
}

#[test]
fn two_flows_of_one_name_are_one_too_many() {
    let project = project();
    fs::create_dir(project.path().join("more")).unwrap();
    fs::write(project.path().join("more/other.toml"), GOOD).unwrap();
    fs::write(project.path().join("flowctl.toml"), "slots = 2\n").unwrap();
    fs::remove_file(project.path().join("broken.toml")).unwrap();
    snapshot("check_same_name", project.path(), &["check", "."]);
}

#[test]
fn parameters_must_fit() {
    let project = project();
    let cases: &[(&str, &[&str])] = &[
        ("param_missing", &["run", "needy.toml"]),
        ("param_type", &["run", "needy.toml", "-p", "month=x", "-p", "days=many"]),
        ("param_unknown", &["run", "needy.toml", "-p", "moth=x"]),
        ("param_twice", &["run", "needy.toml", "-p", "month=x", "-p", "month=y"]),
        ("select_unknown", &["run", "good.toml", "--select", "c"]),
    ];
    cases.iter().for_each(|(name, args)| snapshot(name, project.path(), args));
}

#[test]
fn nothing_has_run_yet() {
    let project = project();
    let cases: &[(&str, &[&str])] = &[
        ("empty_runs", &["runs"]),
        ("empty_runs_json", &["runs", "--json"]),
        ("empty_show", &["show", "latest"]),
        ("empty_datasets", &["datasets"]),
        ("empty_lineage", &["lineage", "etl.daily"]),
        ("empty_fsck", &["fsck"]),
        ("doctor", &["doctor"]),
    ];
    cases.iter().for_each(|(name, args)| snapshot(name, project.path(), args));
    assert!(!project.path().join(".flowctl").exists(), "looking leaves nothing behind");
}

#[test]
fn a_run_is_told_and_remembered() {
    let project = project();
    let cases: &[(&str, &[&str])] = &[
        ("run_failing", &["run", "failing.toml", "--slots", "1"]),
        ("show_failing", &["show", "latest"]),
        ("why_failing", &["why", "latest", "last"]),
        ("logs_ok", &["logs", "latest", "ok"]),
        ("logs_unknown", &["logs", "latest", "okay"]),
        ("cancel_closed", &["cancel", "latest"]),
        ("run_good", &["run", "good.toml"]),
        ("runs_of_flow", &["runs", "--flow", "good"]),
        ("show_unknown", &["show", "ffff"]),
    ];
    cases.iter().for_each(|(name, args)| snapshot(name, project.path(), args));
}

#[test]
fn a_run_streams_its_events_and_ends_with_what_show_says() {
    let project = project();
    let output = run(project.path(), &["run", "good.toml", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    let show = json(&run(project.path(), &["show", "latest", "--json"]));
    assert_eq!(last, show);
    let keys =
        ["run_id", "flow", "state", "params", "logical_time", "created_at", "started_at", "finished_at", "error"];
    keys.iter().for_each(|key| assert!(show.get(key).is_some(), "{key}"));
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["run_created", "run_started", "task_succeeded", "task_succeeded", "run_closed"]);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!((&line["run_id"], line["seq"].as_u64()), (&show["run_id"], Some(index as u64 + 1)));
        assert!(line["at"].as_str().unwrap().ends_with('Z'));
    }
    let runs = json(&run(project.path(), &["runs", "--json"]));
    assert_eq!((runs[0]["run_id"].clone(), runs[0].get("tasks")), (show["run_id"].clone(), None));
}

#[test]
fn a_retry_adopts_what_succeeded() {
    let project = project();
    assert_eq!(run(project.path(), &["run", "failing.toml"]).status.code(), Some(1));
    let first = json(&run(project.path(), &["show", "latest", "--json"]));
    let cured = FAILING.replace("exit 3", "exit 0");
    fs::write(project.path().join("failing.toml"), cured).unwrap();
    let retried = run(project.path(), &["retry", "latest"]);
    assert_eq!(retried.status.code(), Some(0), "{retried:?}");
    let second = json(&run(project.path(), &["show", "latest", "--json"]));
    assert_eq!(second["retry_of"], first["run_id"]);
    let attempts = |name: &str| {
        let tasks = second["tasks"].as_array().unwrap();
        tasks.iter().find(|task| task["name"] == name).unwrap()["attempts"].as_u64()
    };
    assert_eq!((attempts("ok"), attempts("bad")), (Some(0), Some(1)), "{second}");
}

#[test]
fn stores_that_cannot_be_used() {
    let project = project();
    let postgres = "postgres://me:hunter2@127.0.0.1:1/flowctl";
    snapshot("postgres_away", project.path(), &["runs", "--store", postgres]);
    let run_there = run(project.path(), &["run", "good.toml", "--store", postgres]);
    assert_eq!(run_there.status.code(), Some(4));
    for output in [run_there, run(project.path(), &["doctor", "--json", "--store", postgres])] {
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!all.contains("hunter2"), "{all}");
    }
    // A file where a folder should be stops root as well.
    fs::write(project.path().join("file"), "").unwrap();
    snapshot("store_unwritable", project.path(), &["run", "good.toml", "--store", "file/state.db"]);
}

#[test]
fn settings_have_their_order_and_their_diagnostics() {
    let project = project();
    fs::create_dir(project.path().join("sub")).unwrap();
    fs::write(project.path().join("flowctl.toml"), "store = \"from-file.db\"\n").unwrap();
    let place = |output: Output| json(&output)["findings"][1]["message"].as_str().unwrap().to_owned();
    let doctor = |env: Option<&str>, args: &[&str]| {
        let mut command = flowctl(&project.path().join("sub"));
        command.args(["doctor", "--json"]).args(args);
        env.map(|store| command.env("FLOWCTL_STORE", store));
        place(command.output().unwrap())
    };
    let home = project.path().canonicalize().unwrap().display().to_string();
    assert!(doctor(None, &[]).starts_with(&format!("{home}/from-file.db")), "relative to its file");
    assert!(doctor(Some(""), &[]).contains("from-file.db"), "an empty variable is none");
    assert!(doctor(Some("from-env.db"), &[]).starts_with(&format!("{home}/sub/from-env.db")), "to where it was given");
    assert!(doctor(Some("from-env.db"), &["--store", "from-flag.db"]).contains("from-flag.db"));
    fs::write(project.path().join("flowctl.toml"), "stoer = \"x\"\nmemory = \"lots\"\n").unwrap();
    snapshot("settings_broken", project.path(), &["runs"]);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let project = project();
    let more_than_a_pipe_holds: String = (0..3000).map(|task| format!("[tasks.t{task}]\nkind = \"nope\"\n")).collect();
    fs::write(project.path().join("many.toml"), format!("name = \"many\"\n{more_than_a_pipe_holds}")).unwrap();
    for args in [&["check", "many.toml"][..], &["check", "many.toml", "--json"], &["completions", "bash"], &["schema"]]
    {
        let mut child =
            flowctl(project.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let project = project();
    let escapes = |variable: &str, value: &str, typescript: bool| {
        let mut command = flowctl(project.path());
        command.args(["check", "broken.toml"]).env_remove("NO_COLOR").env("TERM", "xterm").env(variable, value);
        if typescript {
            command.env("CLICOLOR_FORCE", "1");
        }
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!escapes("UNSET", "", false), "a pipe is no terminal");
    assert!(escapes("UNSET", "", true));
    assert!(!escapes("NO_COLOR", "1", true));
}

#[test]
fn init_makes_a_project_that_runs() {
    let project = tempfile::tempdir().unwrap();
    snapshot("init", project.path(), &["init", "demo"]);
    snapshot("init_again", project.path(), &["init", "demo"]);
    let demo = project.path().join("demo");
    let check = run(&demo, &["check", "flows"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let first = run(&demo, &["run", "flows/shop.toml"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert!(String::from_utf8_lossy(&first.stdout).contains("warning: orders"), "one customer is nobody: {first:?}");
    let lines = run(&demo, &["run", "flows/shop.toml", "--json"]).stdout;
    let again: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').rev().nth(1).unwrap()).unwrap();
    assert!(again["tasks"].as_array().unwrap().iter().all(|task| task["cached"] == true), "{again}");
    let sales = run(&demo, &["query", "select * from sales", "--format", "json"]);
    assert!(sales.stdout.iter().filter(|byte| **byte == b'\n').count() >= 5, "{sales:?}");
    let lineage = json(&run(&demo, &["lineage", "sales.revenue", "--up", "--json"]));
    let sources: Vec<&str> =
        lineage["edges"].as_array().unwrap().iter().filter_map(|edge| edge["from"]["dataset"].as_str()).collect();
    assert!(sources.contains(&"raw_orders"), "{lineage}");
}

#[test]
fn completions_know_every_command() {
    let project = project();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(project.path(), &["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && ["init", "lineage", "fsck"].iter().all(|word| script.contains(word)),
            "{shell}"
        );
    }
    snapshot("completions_unknown", project.path(), &["completions", "smash"]);
}

#[test]
fn the_schema_describes_the_flow_file() {
    let project = project();
    let schema = json(&run(project.path(), &["schema"]));
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["tasks"].is_object());
}

#[test]
fn views_can_be_queried() {
    let project = tempfile::tempdir().unwrap();
    let flow = "name = \"f\"\n[params]\nfrom = { type = \"int\", default = 2 }\n[sources.s]\npath = \"s.csv\"\n\
        [tasks.t]\nsql = \"select n, n * 10 as m from s\"\n\
        [tasks.v]\nsql = \"select t.n, m from t join s using (n) where t.n >= $from\"\noutput = { as = \"view\" }\n\
        [tasks.w]\nsql = \"select sum(m) as m from v\"\noutput = { as = \"view\" }\n";
    fs::write(project.path().join("f.toml"), flow).unwrap();
    let query = |sql: &str, at: &str| {
        let output = run(project.path(), &["query", sql, "--format", "csv", "--at", at]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(project.path().join("s.csv"), "n\n1\n2\n3\n").unwrap();
    assert_eq!(run(project.path(), &["run", "f.toml"]).status.code(), Some(0));
    assert_eq!(query("select * from f.v order by n", "latest"), "n,m\n2,20\n3,30\n");
    assert_eq!(query("select m from w", "latest"), "m\n50\n");
    assert_eq!(query("select count(*) as c from v join t using (n)", "f.t=0"), "c\n2\n");
}
