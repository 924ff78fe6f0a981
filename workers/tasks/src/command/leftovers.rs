//! Ends what a run left behind whose own process was killed.
//!
//! A record says which process group belongs to an attempt: its leader's id, when the leader started, and
//! in which boot of the machine. Ids are used again; together with the other two they are not.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use super::group;
use super::scratch::{GROUP_EXTENSION, prefix};
use super::strays::Mark;
use super::system::{Process, boot, living_members};

/// Writes down in `file` which process leads an attempt's group. Systems without `/proc` keep no record.
pub fn record(file: &Path, leader: Pid) -> io::Result<()> {
    match (Process::of(leader), boot()) {
        (Some(process), Some(boot)) => {
            fs::write(file, format!("{} {} {boot}\n", leader.as_raw_nonzero(), process.started))
        }
        _ => Ok(()),
    }
}

/// Ends the process groups that the run `run_id` recorded below `scratch`, and what has left them, with SIGTERM and
/// after `grace` SIGKILL, and removes its scratch files. A group whose id now belongs to somebody else is left alone.
/// Gives how many groups there were to end. Only for runs of which it is known that nobody runs them any more.
pub async fn end_leftovers(scratch: &Path, run_id: &str, grace: Duration) -> io::Result<usize> {
    let left = files_of(scratch, run_id)?;
    let records = left.iter().filter(|path| path.extension().is_some_and(|end| end == GROUP_EXTENSION));
    let leaders: Vec<Pid> = records.filter_map(|record| leader_still_ours(record, run_id)).collect();
    group::end_all(&leaders, &Mark::of_run(run_id), grace).await;
    for path in left {
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(leaders.len())
}

fn files_of(scratch: &Path, run_id: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(scratch) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut found = vec![];
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix(run_id))) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn leader_still_ours(record: &Path, run_id: &str) -> Option<Pid> {
    let text = fs::read_to_string(record).ok()?;
    let mut words = text.split_whitespace();
    // To signal the group 1 is to signal everybody.
    let leader = Pid::from_raw(words.next()?.parse().ok()?).filter(|leader| !leader.is_init())?;
    let started: u64 = words.next()?.parse().ok()?;
    if words.next()? != boot()? || !group::exists(leader) {
        return None;
    }
    let ours = match Process::of(leader) {
        Some(process) => process.started == started,
        // While a group has members nobody else gets its leader's id, but who are the members?
        None => living_members(leader).any(|pid| Mark::of_run(run_id).is_on(pid)),
    };
    ours.then_some(leader)
}
