//! What keeps a store and a lake small, whole and copied, with the real binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tests::outside::script;
use tests::{flowctl, succeed};

/// Three tasks: a table that is replaced, one that grows by parameter, and a program that keeps a file.
const FLOW: &str = "name = \"f\"\nkeep = \"1s\"\n[params]\nn = { type = \"int\", default = 1 }\n\
    [tasks.whole]\nsql = \"select $n as n\"\n\
    [tasks.grown]\nsql = \"select n from whole\"\noutput = { mode = \"append\" }\n\
    [tasks.report]\ncommand = [\"sh\", \"-c\", \"echo said; echo x >> ../times; echo hi > $FLOWCTL_OUTPUT_DIR/r.txt\"]\n\
    outputs = { r = \"r.txt\" }\nafter = [\"grown\"]\n\
    [tasks.aside]\ncommand = [\"sh\", \"-c\", \"echo y >> ../aside\"]\n";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("p")).unwrap();
        fs::write(place.path("p/f.toml"), FLOW).unwrap();
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        flowctl(&self.path("p")).args(args).output().unwrap()
    }

    /// What the command prints, which succeeds.
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// Runs the flow; answers the run's id.
    fn flow(&self, n: usize) -> String {
        self.done(&["run", "f.toml", "-p", &format!("n={n}")]);
        self.json(&["runs", "-n", "1"])[0]["run_id"].as_str().unwrap().to_owned()
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.done(&["query", sql, "--format", "csv"]).lines().skip(1).map(str::to_owned).collect()
    }

    fn refused(&self, args: &[&str], code: i32, said: &str) {
        let output = self.run(args);
        let told = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat();
        assert!(output.status.code() == Some(code) && told.contains(said), "{args:?}: {output:?}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_old_goes_and_what_is_needed_stays() {
    let place = Place::new();
    let runs: Vec<String> = (1..=4).map(|n| place.flow(n)).collect();
    std::thread::sleep(Duration::from_millis(1_100));
    let would = place.json(&["prune", "--dry-run"]);
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), 4, "only told");
    let went = place.json(&["prune"]);
    assert_eq!((&would["runs"], &would["tables"]), (&went["runs"], &went["tables"]));
    assert_eq!(went["runs"][0]["runs"], 3);
    let left = place.json(&["runs"]);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["run_id"]), (1, &runs[3].as_str().into()));
    assert_eq!(names(&place.path("p/.flowctl/artifacts")), [runs[3].as_str()]);
    place.refused(&["show", &runs[0]], 5, "retention");
    place.refused(&["query", "select * from f.whole", "--at", "f.whole=0"], 5, "removed by retention");
    place.refused(&["query", "select * from f.whole", "--at", "2020-01-01"], 5, "removed by retention");
    assert_eq!(place.rows("select n from f.whole"), ["4"]);
    let at = place.done(&["query", "select n from f.whole", "--at", &runs[3], "--format", "csv"]);
    assert_eq!(at, "n\n4\n", "a run that is kept can be looked back at");
    assert!(place.done(&["lineage", "f.whole"]).contains("n int"));
    place.done(&["fsck"]);
    place.done(&["prune"]);
    // An identity of before replaces its rows, although its run is gone.
    place.flow(2);
    assert_eq!(place.rows("select n from f.grown order by n"), ["1", "2", "3", "4"]);
    place.done(&["fsck"]);
}

#[test]
fn a_table_without_its_beginning_is_a_table() {
    let place = Place::new();
    for n in 1..=3 {
        place.flow(n);
    }
    std::thread::sleep(Duration::from_millis(1_100));
    place.done(&["prune"]);
    let (table, log) = (place.path("p/.flowctl/lake/f/whole"), place.path("p/.flowctl/lake/f/whole/_delta_log"));
    let kept = names(&log);
    // The run that is kept began when the second version was the latest.
    assert!(kept.contains(&"00000000000000000001.checkpoint.parquet".to_owned()), "{kept:?}");
    assert!(!kept.contains(&"00000000000000000000.json".to_owned()), "{kept:?}");
    assert_eq!(names(&table).iter().filter(|name| name.ends_with(".parquet")).count(), 2);
    place.flow(5);
    assert_eq!(place.rows("select n from f.whole"), ["5"]);
    let mut outsiders = script("pruned.py");
    outsiders.arg(&table).arg("1");
    assert_eq!(succeed(outsiders).trim(), "[5] [5] [2]");
}

#[test]
fn a_prune_that_is_killed_leaves_what_is_whole() {
    let place = Place::new();
    for n in 1..=6 {
        place.flow(n);
    }
    std::thread::sleep(Duration::from_millis(1_100));
    let (artifacts, log) = (place.path("p/.flowctl/artifacts"), place.path("p/.flowctl/lake/f/whole/_delta_log"));
    let moments: [&dyn Fn() -> bool; 2] =
        [&|| names(&artifacts).len() < 6, &|| !log.join("00000000000000000001.json").exists()];
    for has_come in moments {
        let mut pruning = flowctl(&place.path("p")).arg("prune").spawn().unwrap();
        while !has_come() && pruning.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        pruning.kill().unwrap();
        pruning.wait().unwrap();
        place.done(&["fsck"]);
        assert_eq!(place.rows("select n from f.whole"), ["6"]);
    }
    place.done(&["prune"]);
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), 1);
    assert_eq!(place.rows("select n from f.grown order by n"), ["1", "2", "3", "4", "5", "6"]);
    place.done(&["fsck"]);
}

#[test]
fn nothing_says_how_long_so_everything_stays() {
    let place = Place::new();
    fs::write(place.path("p/f.toml"), FLOW.replace("keep = \"1s\"\n", "")).unwrap();
    place.flow(1);
    place.refused(&["prune"], 2, "nothing says");
    place.refused(&["prune", "--keep", "5ms"], 2, "a second is the least");
    fs::write(place.path("p/flowctl.toml"), "keep = \"1d\"\n").unwrap();
    assert_eq!(place.json(&["prune"])["runs"], serde_json::json!([]));
    fs::write(place.path("p/f.toml"), FLOW.replace("1s", "soon")).unwrap();
    place.refused(&["check", "f.toml"], 3, "E107");
}

#[test]
fn a_retry_from_a_task_does_it_and_what_follows_again() {
    let place = Place::new();
    let run = place.flow(1);
    place.done(&["retry", &run, "--from", "grown"]);
    let times = |name: &str| fs::read_to_string(place.path(name)).unwrap().lines().count();
    assert_eq!((times("times"), times("aside")), (2, 1), "what does not follow is adopted");
    let show = place.json(&["show", "latest"]);
    let cached = |task: &str| show["tasks"].as_array().unwrap().iter().find(|it| it["name"] == task).unwrap().clone();
    assert_eq!((&cached("grown")["cached"], &cached("grown")["attempts"]), (&false.into(), &1.into()));
    assert_eq!(cached("whole")["attempts"], 0);
    assert_eq!(place.rows("select n from f.grown"), ["1"]);
    place.refused(&["retry", &run, "--from", "growm"], 5, "did you mean `grown`?");
    place.done(&["fsck"]);
}

#[test]
fn a_flow_is_paused_and_resumed() {
    let place = Place::new();
    let scheduled = FLOW.replace("[params]", "[schedule]\ncron = \"@daily\"\n[params]");
    fs::write(place.path("p/f.toml"), &scheduled).unwrap();
    assert_eq!(place.json(&["pause", "f.toml"])["paused"], true);
    let output = place.run(&["next", "f.toml"]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("paused"), "{output:?}");
    assert_eq!(place.json(&["next", "f.toml", "-n", "2"]).as_array().unwrap().len(), 2);
    place.flow(1);
    let output = place.run(&["next", "f.toml", "--json", "-n", "2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("paused: nothing runs by itself"), "{output:?}");
    let times: Vec<BTreeMap<String, String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(times.len() == 2 && times.iter().all(|it| it.contains_key("logical_time")), "a list of times: {times:?}");
    assert!(place.done(&["why", "latest"]).contains("is paused"));
    place.done(&["resume", "f"]);
    assert!(!place.done(&["why", "latest"]).contains("is paused"));
    place.refused(&["pause", "g"], 5, "`f`");
}

#[test]
fn a_copy_of_the_store_is_a_store() {
    let place = Place::new();
    let run = place.flow(1);
    let copy = place.path("copy.db").display().to_string();
    place.done(&["backup", &copy]);
    place.refused(&["backup", &copy], 2, "there is such a file");
    place.refused(&["backup", "/no/such/folder/x.db"], 4, "failed to");
    let shown = place.json(&["show", &run]);
    place.flow(2);
    let there = place.json(&["runs", "--store", &copy]);
    assert_eq!((there.as_array().unwrap().len(), &there[0]["run_id"]), (1, &run.as_str().into()));
    assert_eq!(place.json(&["show", &run, "--store", &copy]), shown);
    place.done(&["fsck", "--store", &copy]);
    assert_eq!(names(&place.path("")).iter().filter(|name| name.contains("tmp")).count(), 0);
    let postgres = "postgres://someone:secret@127.0.0.1:1/db";
    let output = place.run(&["backup", "x.db", "--store", postgres]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("pg_dump --format=custom") && !said.contains("secret"), "{said}");
}
