//! A few rounds of `tests/chaos`: real processes, real faults, and after each round everything looked at.

use std::process::Command;

use tests::{binary, postgres, root, succeed};

fn rounds(args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.arg(root().join("tests/chaos/run.py")).arg("--bin").arg(binary()).arg("--dir").arg(folder.path());
    python.args(["--seed", "1"]).args(args);
    println!("{}", succeed(python));
}

#[test]
fn sqlite_bears_a_dead_server_a_full_disk_and_lost_answers() {
    rounds(&["--rounds", "3", "--only", "kill server,fill disk,cut reports"]);
}

#[test]
fn postgres_bears_a_crash_and_commits_of_unknown_outcome() {
    // Where there is none the other suites say so.
    if postgres::schema().is_some() {
        rounds(&["--postgres", "--rounds", "3", "--only", "crash postgres,cut commits,kill server"]);
    }
}
