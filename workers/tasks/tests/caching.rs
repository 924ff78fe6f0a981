//! What must run again, and what need not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::{Lab, failure, outcome};

const SOURCE: &str = "name = \"f\"\n[sources.s]\npath = \"s.csv\"\n";

async fn is_cached(lab: &mut Lab, flow: &str, task: &str) -> bool {
    outcome(&lab.run(flow, &[]).await, task).cached
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_a_view_that_changes_by_itself_is_never_cached() {
    let mut lab = Lab::new();
    lab.write("s.csv", "id\n1\n");
    let flow = |view: &str| {
        format!(
            "{SOURCE}[tasks.v]\nsql = \"{view}\"\noutput = {{ as = \"view\" }}\n[tasks.w]\nsql = \"select id from v\"\n\
            [tasks.x]\nsql = \"select id from w\""
        )
    };
    let volatile = flow("select id, now() as t from s");
    for _ in 0..2 {
        assert!(!is_cached(&mut lab, &volatile, "w").await);
    }
    let stable = flow("select id from s");
    assert!(!is_cached(&mut lab, &stable, "w").await);
    assert!(is_cached(&mut lab, &stable, "w").await);
    assert!(!is_cached(&mut lab, &flow("select id + 1 as id from s"), "w").await);
    assert_eq!(lab.query("select id from f.x").await, "id\n2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_file_is_read_counts_as_what_is_in_it() {
    let mut lab = Lab::new();
    lab.write("s.csv", "id\na\nNA\n");
    let task = "[tasks.t]\nsql = \"select id from s\"";
    assert!(!is_cached(&mut lab, &format!("{SOURCE}{task}"), "t").await);
    assert!(!is_cached(&mut lab, &format!("{SOURCE}null = [\"NA\"]\n{task}"), "t").await);
    assert_eq!(lab.query("select count(id) as n from f.t").await, "n\n1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_becomes_blocking_blocks() {
    let mut lab = Lab::new();
    lab.write("s.csv", "id\n1\n2\n");
    let flow = |severity: &str| {
        format!(
            "{SOURCE}[tasks.t]\nsql = \"select id from s\"\n\
            checks = [{{ sql = \"select * from t where id > 1\", severity = \"{severity}\" }}]"
        )
    };
    outcome(&lab.run(&flow("warn"), &[]).await, "t");
    failure(&lab.run(&flow("error"), &[]).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_source_is_its_table_not_only_its_version() {
    let mut lab = Lab::new();
    let make = |of: &str, n: u32| format!("name = \"{of}\"\n[tasks.t]\nsql = \"select {n} as n\"");
    lab.run(&make("one", 1), &[]).await;
    lab.run(&make("two", 2), &[]).await;
    let read = |of: &str| {
        format!(
            "name = \"f\"\n[sources.s]\npath = \"lake/{of}/t\"\nformat = \"delta\"\n[tasks.t]\nsql = \"select n from s\""
        )
    };
    assert!(!is_cached(&mut lab, &read("one"), "t").await);
    assert!(!is_cached(&mut lab, &read("two"), "t").await);
    assert_eq!(lab.query("select n from f.t").await, "n\n2\n");
    assert!(is_cached(&mut lab, &read("two"), "t").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replaces_rows_that_change_by_themselves_is_never_cached() {
    let mut lab = Lab::new();
    lab.write("s.csv", "day\n2024-01-01\n");
    let flow = |predicate: &str| {
        format!(
            "name = \"f\"\n[sources.s]\npath = \"s.csv\"\n[tasks.w]\nsql = \"select day from s\"\n\
             output = {{ mode = \"replace_where\", where = \"{predicate}\" }}\n"
        )
    };
    for (predicate, cached) in [("day < date '2030-01-01'", true), ("day < now()", false)] {
        assert!(!is_cached(&mut lab, &flow(predicate), "w").await, "{predicate}");
        assert_eq!(is_cached(&mut lab, &flow(predicate), "w").await, cached, "{predicate}");
    }
}
