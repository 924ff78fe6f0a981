//! Readers that are not ours: DuckDB, the Python package `deltalake`, validators of what we describe, in an environment of pinned wheels; and a browser.

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
    let folder = cache().join("venv");
    let python = folder.join("bin/python");
    once(&wanted, &folder, || {
        succeed(with(Command::new("python3"), &["-m".as_ref(), "venv".as_ref(), &folder]));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        succeed(with(with(Command::new(&python), &install.map(Path::new)), &[&wanted]));
    });
    python
}

/// A command that runs a script of `tests/outside/browser` with the packages that it needs as its first argument. `None`
/// where there is no Chromium, which CI does not accept.
pub fn browser(script: &str) -> Option<Command> {
    let browser = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    if !Path::new(&browser).exists() {
        assert!(std::env::var_os("CI").is_none(), "there is no {}; tests/run installs it", browser.display());
        eprintln!("NOT RUN: there is no {}; tests/run installs it", browser.display());
        return None;
    }
    Some(node("browser", script))
}

/// A command that holds the files that it is given to the types of those who will read them, see
/// `tests/outside/schemas/check.mjs`.
pub fn types() -> Command {
    node("schemas", "check.mjs")
}

/// The documents in a YAML file, as a list in JSON.
pub fn yaml(file: &Path) -> String {
    succeed(with(script("yaml_as_json.py"), &[file]))
}

/// A command that runs a script of the folder of `tests/outside` with the packages that it needs as its first argument.
fn node(folder: &str, script: &str) -> Command {
    let here = root().join("tests/outside").join(folder);
    let mut command = Command::new("node");
    command.arg(here.join(script)).arg(packages(folder, &here.join("package.json")));
    command
}

/// The folder with the packages of npm, below the user's cache.
fn packages(name: &str, wanted: &Path) -> PathBuf {
    let folder = cache().join(name);
    once(wanted, &folder, || {
        fs::copy(wanted, folder.join("package.json")).expect("the cache can be written");
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
        succeed(install);
    });
    folder
}

/// Installs into `folder` what the file `wanted` lists, unless that has been done.
fn once(wanted: &Path, folder: &Path, install: impl FnOnce()) {
    let list = fs::read_to_string(wanted).expect("the list of packages is in the repository");
    let stamp = folder.join("installed.txt");
    let is_done = || fs::read_to_string(&stamp).is_ok_and(|installed| installed == list);
    if is_done() {
        return;
    }
    fs::create_dir_all(folder).expect("the cache can be written");
    let lock = fs::File::create(folder.with_extension("lock")).expect("the cache can be written");
    lock.lock().expect("a file in the cache can be locked");
    if !is_done() {
        install();
        fs::write(stamp, list).expect("the cache can be written");
    }
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
