//! What we publish, read by others and compared with what others compute from the same raw files.

use std::path::Path;

use tests::outside::script;
use tests::{flowctl, root, succeed};

fn run(project: &Path, flow: &str, params: &[&str]) {
    let mut command = flowctl(project);
    command.arg("run").arg(root().join(flow));
    for param in params {
        command.args(["-p", param]);
    }
    succeed(command);
}

#[test]
fn the_flights_of_three_months_equal_what_duckdb_computes() {
    let project = tempfile::tempdir().expect("a temporary folder");
    for month in ["2013-02", "2013-12", "2013-07"] {
        run(project.path(), "flows/etl.toml", &[&format!("month={month}")]);
    }
    let mut compare = script("etl_truth.py");
    compare.arg(project.path().join(".flowctl/lake")).arg(root().join("examples/data/nycflights13"));
    compare.args(["2013-07", "2013-02", "2013-12"]);
    let report = succeed(compare);
    assert_eq!(report.matches("equal: ").count(), 12, "six tables, two readers:\n{report}");
}

#[test]
fn a_month_that_was_not_published_is_noticed() {
    let project = tempfile::tempdir().expect("a temporary folder");
    run(project.path(), "flows/etl.toml", &[]);
    let mut compare = script("etl_truth.py");
    compare.arg(project.path().join(".flowctl/lake")).arg(root().join("examples/data/nycflights13"));
    let output = compare.args(["2013-01", "2013-03"]).output().expect("python runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains("DIFFERS: daily"), "{report}");
    assert!(report.contains("equal: flights"), "{report}");
}

#[test]
fn the_22_queries_of_tpch_give_the_published_answers() {
    let project = tempfile::tempdir().expect("a temporary folder");
    let data = project.path().join("data");
    let mut generate = script("tpch_data.py");
    generate.arg("0.01").arg(&data);
    succeed(generate);
    run(project.path(), "tests/tpch/flow.toml", &[&format!("data={}", data.display())]);
    let mut compare = script("tpch_truth.py");
    compare.arg(project.path().join(".flowctl/lake"));
    let report = succeed(compare);
    assert_eq!(report.matches("equal: ").count(), 22, "{report}");
}
