//! The units, as systemd reads them.

use std::fs;
use std::process::Command;

use tests::copy_folder;

use crate::{LONGER_S, deploy, grace_s, is_understood, outcome};

/// Out of 100, of what a service could do to the machine. Without the rules for all of them it is 92.
const EXPOSURE_MAX: &str = "20";

const UNITS: [&str; 4] =
    ["flowctl-serve.service", "flowctl-worker@1.service", "flowctl-back-up.service", "flowctl-back-up.timer"];

/// The units beside each other, with a program in them that is there, and a worker made of its template.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&deploy("systemd"), folder.path());
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|it| it.path().is_file()) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let start = |line: &str| match line.strip_prefix("ExecStart=/usr/local/") {
            Some(rest) => format!("ExecStart=/bin/true {rest}"),
            None => line.to_owned(),
        };
        fs::write(entry.path(), text.lines().map(start).collect::<Vec<_>>().join("\n")).unwrap();
    }
    fs::copy(folder.path().join("flowctl-worker@.service"), folder.path().join(UNITS[1])).unwrap();
    folder
}

fn analyze(verb: &[&str], units: &[&str]) -> (Option<i32>, String) {
    let folder = self::units();
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(verb).args(units.iter().map(|unit| folder.path().join(unit)));
    outcome(analyze)
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    assert_eq!(analyze(&["verify", "--man=no"], &UNITS), (Some(0), String::new()));
}

#[test]
fn services_may_do_little_to_the_machine() {
    for unit in &UNITS[..3] {
        let (code, said) = analyze(&["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX], &[unit]);
        assert_eq!(code, Some(0), "{unit}: {said}");
    }
}

#[test]
fn systemd_waits_longer_than_the_services_do() {
    for unit in ["flowctl-serve.service", "flowctl-worker@.service"] {
        let text = fs::read_to_string(deploy("systemd").join(unit)).unwrap();
        let value =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{unit}: {key}"));
        let args: Vec<&str> = value("ExecStart=").split(' ').skip(1).collect();
        is_understood(&args);
        let stop = flow::duration::parse(value("TimeoutStopSec=")).unwrap() / 1_000;
        assert_eq!(stop, grace_s(&args) + LONGER_S, "{unit}");
        assert_eq!(value("KillMode="), "mixed", "{unit}: tasks get no signal before the service does");
    }
}
