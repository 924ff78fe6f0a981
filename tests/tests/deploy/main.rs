//! What lies in `deploy/`, read by the tools of those whom it is for. `service/topology.rs` runs it.

mod compose;
mod grafana;
mod kubernetes;
mod prometheus;
mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::{flowctl, outside, root, succeed};

fn deploy(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

/// The documents of a YAML file.
fn yaml(file: &Path) -> Vec<Value> {
    serde_json::from_str(&outside::yaml(file)).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(|it| it.as_str().unwrap()).collect()
}

/// How long a service may take to end after a signal, by its own arguments: seconds.
fn grace_s(args: &[&str]) -> u64 {
    let given = args.iter().position(|it| *it == "--grace").map(|at| args[at + 1]).expect("it says --grace");
    flow::duration::parse(given).unwrap() / 1_000
}

/// Who ends a service waits this much longer than the service waits for its tasks.
const LONGER_S: u64 = 10;

/// The command line asks flowctl for what it has.
fn is_understood(args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = flowctl(folder.path());
    command.args(args).arg("--help");
    succeed(command);
}

/// The exit code of a command and all it said.
fn outcome(mut command: Command) -> (Option<i32>, String) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}; tests/run installs it"));
    (output.status.code(), [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat())
}

#[test]
fn the_pages_name_what_is_there() {
    let link = regex::Regex::new(r"\]\(([^)#:]+)\)").unwrap();
    for page in ["README.md", "back-up.md", "upgrade.md", "roll-back.md"] {
        let text = fs::read_to_string(deploy(page)).unwrap();
        for (_, [name]) in link.captures_iter(&text).map(|it| it.extract()) {
            assert!(deploy(name).exists(), "{page} names {name}");
        }
    }
}
