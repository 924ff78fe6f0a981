//! Files that a command left in its output folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use flow::wire::Failure;

use super::verdict;

/// The path in the output folder of each artifact, by name. None leads out of the folder.
pub type Wanted = BTreeMap<String, PathBuf>;

/// How many files an error lists.
const LISTED_MAX: usize = 10;

/// Checks where the declared artifacts should be.
pub fn wanted(declared: &BTreeMap<String, String>) -> Result<Wanted, Failure> {
    let inside = |(name, path): (&String, &String)| match inside(path) {
        Some(inside) => Ok((name.clone(), inside)),
        None => Err(Failure::user(format!(
            "the path `{path}` of artifact `{name}` names no file in FLOWCTL_OUTPUT_DIR; it must be relative, without `..`"
        ))),
    };
    declared.iter().map(inside).collect()
}

fn inside(path: &str) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!inside.as_os_str().is_empty() && !path.ends_with('/')).then_some(inside)
}

/// Moves the artifacts from `outputs` to the folder `kept`, which appears with all of them, synced to disk,
/// or not at all. Gives the path of each by name.
pub fn keep(wanted: &Wanted, outputs: &Path, kept: &Path) -> Result<BTreeMap<String, String>, Failure> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found: BTreeSet<&Path> = wanted.values().map(PathBuf::as_path).collect();
    for (name, path) in wanted {
        check(name, path, outputs)?;
    }
    move_all(&found, outputs, kept).map_err(|error| verdict::disk("keep artifacts in", kept, &error))?;
    Ok(wanted.iter().map(|(name, path)| (name.clone(), kept.join(path).to_string_lossy().into_owned())).collect())
}

fn check(name: &str, path: &Path, outputs: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let outputs_real = outputs.canonicalize().unwrap_or_else(|_| outputs.to_owned());
    match outputs.join(path).canonicalize() {
        Ok(real) if !real.starts_with(outputs_real) => {
            Err(Failure::user(format!("artifact `{name}`: {shown} is a link that leads out of FLOWCTL_OUTPUT_DIR")))
        }
        Ok(real) if !real.is_file() => Err(Failure::user(format!("artifact `{name}`: {shown} is not a plain file"))),
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::user(format!(
            "artifact `{name}` is missing: the command left no file {shown} in FLOWCTL_OUTPUT_DIR, {}",
            listing(outputs)
        ))),
    }
}

fn listing(outputs: &Path) -> String {
    let files = files_below(outputs).unwrap_or_default();
    let shown: Vec<String> = files
        .iter()
        .take(LISTED_MAX)
        .map(|file| file.strip_prefix(outputs).unwrap_or(file).display().to_string())
        .collect();
    match files.len() {
        0 => "which is empty".to_owned(),
        count if count > LISTED_MAX => format!("which holds {} and {} more", shown.join(", "), count - LISTED_MAX),
        _ => format!("which holds {}", shown.join(", ")),
    }
}

fn move_all(found: &BTreeSet<&Path>, outputs: &Path, kept: &Path) -> io::Result<()> {
    let run = kept.parent().unwrap_or(kept);
    fs::create_dir_all(run)?;
    let coming = kept.with_added_extension("coming");
    for earlier in [&coming, kept] {
        match fs::remove_dir_all(earlier) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::create_dir(&coming)?;
    for path in found {
        let to = coming.join(path);
        let folder = to.parent().unwrap_or(&coming);
        fs::create_dir_all(folder)?;
        move_file(&outputs.join(path), &to)?;
        File::open(&to)?.sync_all()?;
        File::open(folder)?.sync_all()?;
    }
    fs::rename(&coming, kept)?;
    File::open(run)?.sync_all()
}

/// Links are followed: what is kept is the file itself.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_symlink() {
        return fs::copy(from, to).map(drop);
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => fs::copy(from, to).map(drop),
        renamed => renamed,
    }
}

/// The plain files below `folder` in the order of their paths, without those whose name, or whose folder's
/// name, begins with `.` or `_`, such as `_SUCCESS`. Links are not followed.
pub fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_hidden = entry.file_name().as_encoded_bytes().first().is_some_and(|first| b"._".contains(first));
            match entry.file_type()? {
                _ if is_hidden => {}
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
