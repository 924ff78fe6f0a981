//! What decides whether a command with `cache = true` has changed, besides its inputs' versions.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use blake3::Hasher;
use flow::plan::Plan;

use super::{Settings, environment};

/// A hash of the settings, of the parameters and the logical time that the command finds in its environment,
/// and of the bytes of every argument that is a file, on its own (`score.py`) or as a value
/// (`--model=model.bin`). Folders do not count, nor do programs found in `PATH`.
pub fn fingerprint(settings: &Settings, plan: &Plan) -> io::Result<String> {
    let mut hasher = Hasher::new();
    add(&mut hasher, b"command 1");
    add(&mut hasher, serde_json::to_string(settings)?.as_bytes());
    for (name, value) in environment::given(plan) {
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, value.as_encoded_bytes());
    }
    for argument in &settings.argv {
        let value = argument.split_once('=').map(|(_, value)| value);
        for path in [Some(argument.as_str()), value].into_iter().flatten() {
            add_file(&mut hasher, &plan.dir, path)?;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn add_file(hasher: &mut Hasher, dir: &Path, path: &str) -> io::Result<()> {
    let path = dir.join(OsStr::new(path));
    if path.metadata().as_ref().is_ok_and(Metadata::is_file) {
        let mut bytes = Hasher::new();
        bytes.update_reader(File::open(path)?)?;
        add(hasher, bytes.finalize().as_bytes());
    }
    Ok(())
}

/// With its length first, so that no two lists of parts hash alike.
fn add(hasher: &mut Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}
