//! What the system tells about processes, where it has a `/proc`.

use std::fs;

use rustix::process::{Pid, getpid};

/// A process as `proc_pid_stat(5)` describes it.
pub struct Process {
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
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            is_zombie: *fields.first()? == "Z",
        })
    }
}

/// The processes of a group that have not ended.
pub fn living_members(leader: Pid) -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let is_member = move |process: Process| process.group == leader.as_raw_nonzero().get() && !process.is_zombie;
    pids.filter(move |pid| Process::of(*pid).is_some_and(is_member))
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
