//! Readers that are not ours: DuckDB, the Python package `deltalake`, validators of what we describe, in an environment of pinned wheels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{root, succeed};

/// A command that runs a script of `tests/outside` in the environment.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(root().join("tests/outside").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A command that the environment's packages bring along.
pub fn tool(name: &str) -> Command {
    Command::new(python().with_file_name(name))
}

/// The environment's Python. Made on first use below the user's cache, once per list of packages.
fn python() -> PathBuf {
    let wanted = root().join("tests/outside/requirements.txt");
    let list = fs::read_to_string(&wanted).expect("the list of packages is in the repository");
    let folder = cache().join("venv");
    let python = folder.join("bin/python");
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == list) {
        return python;
    }
    fs::create_dir_all(cache()).expect("the cache can be written");
    let lock = fs::File::create(cache().join("venv.lock")).expect("the cache can be written");
    lock.lock().expect("a file in the cache can be locked");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == list) {
        succeed(with(Command::new("python3"), &["-m".as_ref(), "venv".as_ref(), &folder]));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        succeed(with(with(Command::new(&python), &install.map(Path::new)), &[&wanted]));
        fs::write(stamp, list).expect("the cache can be written");
    }
    python
}

fn with(mut command: Command, arguments: &[&Path]) -> Command {
    command.args(arguments);
    command
}

fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    base.unwrap_or_else(home).join("flowctl")
}
