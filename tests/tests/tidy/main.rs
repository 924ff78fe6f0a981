//! The rules of the house that no compiler knows.

mod licences;
mod shape;
mod walls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::root;

fn toml_of(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Our crates: name, folder, manifest.
fn members() -> Vec<(String, PathBuf, toml::Table)> {
    let workspace = toml_of(&root().join("Cargo.toml"));
    let folders = workspace["workspace"]["members"].as_array().unwrap();
    let member = |folder: &toml::Value| {
        let folder = root().join(folder.as_str().unwrap());
        let manifest = toml_of(&folder.join("Cargo.toml"));
        (manifest["package"]["name"].as_str().unwrap().to_owned(), folder, manifest)
    };
    folders.iter().map(member).collect()
}

/// Every file under version control.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.split_terminator('\0').map(|name| root().join(name)).filter(|path| path.is_file()).collect()
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with all problems at once.
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// What `cargo metadata` says of the packages that are linked on Linux.
fn metadata() -> serde_json::Value {
    let platform = "x86_64-unknown-linux-gnu";
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
