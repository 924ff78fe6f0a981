//! What the tests from outside share: the binary, a home of its own for it, and the outside world's readers.

pub mod golden;
pub mod lesson;
pub mod outside;
pub mod postgres;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The binary under test: `FLOWCTL_TEST_BIN`, or the one that was built beside this test.
pub fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("FLOWCTL_TEST_BIN") {
        return given.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let binary = folder.join(format!("flowctl{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: run `cargo build --workspace` first", binary.display());
    binary
}

/// A command that sees nothing of this machine's settings: no `FLOWCTL_*`, no `OTEL_*`, no colours, `home` as its home.
pub fn clean(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    let settings = ["FLOWCTL_", "OTEL_", "TRACEPARENT"];
    let is_setting = |name: &str| settings.iter().any(|setting| name.starts_with(setting));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.env("HOME", home).env("NO_COLOR", "1").env("COLUMNS", "120").env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// `flowctl` in `folder`, which is also its project.
pub fn flowctl(folder: &Path) -> Command {
    let mut command = clean(binary(), folder);
    command.current_dir(folder);
    command
}

/// Copies a folder with all that is in it, but for what flowctl left there.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder can be written");
    for entry in fs::read_dir(from).expect("a folder of the repository can be read") {
        let entry = entry.expect("a folder of the repository can be read");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            _ if entry.file_name() == ".flowctl" => {}
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a file of the repository can be copied")),
        }
    }
}

/// Runs to the end and returns what it printed on both streams; panics with it unless it succeeded.
pub fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{text}", output.status);
    text
}
