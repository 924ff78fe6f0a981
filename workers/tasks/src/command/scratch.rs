//! The private folder of an attempt.

use std::fs;
use std::path::{Path, PathBuf};

use flow::wire::Failure;

use super::verdict;

/// A folder that goes away with this. Beside it lies the record of the attempt's process group.
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes the folder of an attempt below `root`, empty.
    pub fn create(root: &Path, run_id: &str, task: &str, attempt: u32) -> Result<Scratch, Failure> {
        let folder = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let scratch = Scratch { folder: folder.join(format!("{}{task}.{attempt}", prefix(run_id))) };
        // An attempt that lost its worker may have left files here.
        let _ = fs::remove_dir_all(&scratch.folder);
        for folder in [scratch.inputs(), scratch.outputs()] {
            fs::create_dir_all(&folder).map_err(|error| verdict::disk("create", &folder, &error))?;
        }
        Ok(scratch)
    }

    pub fn inputs(&self) -> PathBuf {
        self.folder.join("inputs")
    }

    /// `FLOWCTL_OUTPUT_DIR`.
    pub fn outputs(&self) -> PathBuf {
        self.folder.join("outputs")
    }

    pub fn group_file(&self) -> PathBuf {
        self.folder.with_added_extension(GROUP_EXTENSION)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with `end_leftovers`.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(self.group_file());
    }
}

/// How the name of everything in the scratch folder begins that belongs to a run.
/// Neither run ids nor the names of tasks hold a dot.
pub fn prefix(run_id: &str) -> String {
    format!("{run_id}.")
}

/// How the name of a process group's record ends.
pub const GROUP_EXTENSION: &str = "pgid";
