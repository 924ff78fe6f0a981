//! What the system tells about processes, where it has a `/proc`.

use std::fs;

use rustix::process::{Pid, getpid};

/// A process as `proc_pid_stat(5)` describes it.
pub struct Process {
    /// The id of the process that it is a child of.
    pub parent: i32,
    /// The process group's id.
    pub group: i32,
    /// In clock ticks since the boot.
    pub started: u64,
    /// Whether it has ended and only waits for its parent to take notice.
    pub is_zombie: bool,
}

impl Process {
    pub fn of(pid: Pid) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        Some(Process {
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            is_zombie: *fields.first()? == "Z",
        })
    }
}

/// All processes that have not ended.
pub fn living() -> impl Iterator<Item = (Pid, Process)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter_map(|pid| Some((pid, Process::of(pid)?))).filter(|(_, process)| !process.is_zombie)
}

/// The processes of a group that have not ended.
pub fn living_members(leader: Pid) -> impl Iterator<Item = Pid> {
    let is_member = move |process: &Process| process.group == leader.as_raw_nonzero().get();
    living().filter(move |(_, process)| is_member(process)).map(|(pid, _)| pid)
}

/// Whether processes can be looked at here.
pub fn tells() -> bool {
    Process::of(getpid()).is_some()
}

/// What tells this boot of the machine from all others.
pub fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
