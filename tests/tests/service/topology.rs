//! The documented topology comes up, runs the example by a schedule, is watched, backed up and brought back.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tests::{clean, postgres, root, succeed};

use crate::MINUTE;
use crate::site::Site;
use crate::world::until;

/// `flows/etl.toml` as it is, but for when it runs.
fn every_few_seconds(flows: &std::path::Path) {
    let etl = fs::read_to_string(root().join("flows/etl.toml")).unwrap();
    let often = etl.replace("cron = \"30 6 1 * *\"", "cron = \"*/3 * * * * *\"");
    assert_ne!(etl, often);
    fs::write(flows.join("etl.toml"), often).unwrap();
    fs::copy(root().join("flows/report.sh"), flows.join("report.sh")).unwrap();
    std::os::unix::fs::symlink(root().join("flows/sql"), flows.join("sql")).unwrap();
}

fn scheduled(site: &Site) -> Vec<Value> {
    let runs = site.ask("GET", "/v1/runs", "");
    let runs = runs["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["state"] == "succeeded" && run["logical_time"].is_string()).cloned().collect()
}

/// Who did the tasks of all runs.
fn who_worked(site: &Site) -> BTreeSet<String> {
    let workers = "select distinct event::jsonb ->> 'worker' from events where event like '%\"task_started\"%'";
    postgres::rows(&site.store, workers).lines().map(str::to_owned).collect()
}

#[test]
fn the_documented_topology_runs_and_is_brought_back() {
    let Some(mut site) = Site::start(every_few_seconds) else { return };
    until("two runs by the schedule", MINUTE, || scheduled(&site).len() >= 2);
    // Each worker has been given something by now, or will be.
    until("work for both workers", MINUTE, || {
        who_worked(&site).iter().filter(|name| !name.starts_with("serve/")).count() == 2
    });
    until("Prometheus sees it", MINUTE, || {
        let shows = |query: &str, least: f64| site.values(query).is_ok_and(|it| it.iter().any(|value| *value >= least));
        shows("up{job=\"flowctl\"}", 1.0)
            && shows("sum(flowctl_workers{state=\"ready\"}) - count(flowctl_build_info)", 2.0)
            && shows("flowctl_runs_total{flow=\"etl\",state=\"succeeded\"}", 2.0)
    });
    let copy = back_up(&site);
    ends_in_peace(&mut site);
    let rows = "select count(*) as n from etl.daily";
    let before = (succeed(site.flowctl(&["query", rows])), runs(&site));
    bring_back(&mut site, &copy);
    let (count, kept) = (succeed(site.flowctl(&["query", rows])), runs(&site));
    assert_eq!(count, before.0);
    assert!(
        kept.len() >= 2 && before.1.ends_with(&kept),
        "the runs up to the copy are there: {kept:?} of {:?}",
        before.1
    );
    // Files of attempts that were under way are in the copy as well.
    let _found = site.flowctl(&["fsck", "--repair"]).status().unwrap();
    succeed(site.flowctl(&["fsck"]));
    // It goes on by its schedule from there.
    let known = scheduled(&site).len();
    until("a run after the return", MINUTE, || scheduled(&site).len() > known);
}

/// The runs that are over, newest first.
fn runs(site: &Site) -> Vec<String> {
    let runs: Vec<Value> = serde_json::from_str(&succeed(site.flowctl(&["runs", "--json", "-n", "1000"]))).unwrap();
    let over = runs.iter().filter(|run| run["state"] == "succeeded");
    over.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

/// As `back-up.md` says, while everything is busy.
fn back_up(site: &Site) -> std::path::PathBuf {
    let mut script = clean(root().join("deploy/back-up.sh"), site.folder.path());
    script.arg(site.path("backups")).env("FLOWCTL_STORE", &site.store).env("FLOWCTL_LAKE", site.path("lake"));
    succeed(script).trim().into()
}

fn ends_in_peace(site: &mut Site) {
    for worker in site.workers.drain(..) {
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait(), Some(0));
    }
    site.server.signal(Signal::TERM);
    let mut ended = None;
    until("the end of the server", MINUTE, || {
        ended = site.server.ended();
        ended.is_some()
    });
    assert_eq!(ended, Some(0));
}

/// As `roll-back.md` says: store and lake of the copy take the place of those that are there.
fn bring_back(site: &mut Site, copy: &std::path::Path) {
    fs::remove_dir_all(site.path("lake")).unwrap();
    let mut lake = Command::new("cp");
    lake.arg("-a").arg(copy.join("lake")).arg(site.path("lake"));
    succeed(lake);
    site.store = postgres::database().unwrap();
    let mut restore = Command::new("pg_restore");
    restore.args(["--exit-on-error", "--no-owner", "--dbname", &site.store]).arg(copy.join("store.dump"));
    succeed(restore);
    site.serve_again();
}
