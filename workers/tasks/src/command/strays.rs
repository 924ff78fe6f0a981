//! Processes of an attempt that have left its process group: daemons, and what starts a session of its own.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::process::Command;

use super::system::{Process, living};

/// What tells the processes of an attempt, or of a run, from all others: variables that they were started with, which
/// whatever they start inherits.
#[derive(Clone, Debug, Default)]
pub struct Mark(Vec<Vec<u8>>);

/// A process by its id and when it started: ids are used again.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    pid: Pid,
    started: u64,
}

impl Mark {
    /// Of everything that a command will start.
    pub fn of(command: &Command) -> Mark {
        let is_telling = |name: &str| ["FLOWCTL_RUN_ID", "FLOWCTL_TASK", "FLOWCTL_ATTEMPT"].contains(&name);
        let given = command.as_std().get_envs().filter(|(name, _)| name.to_str().is_some_and(is_telling));
        let text = |(name, value): (&std::ffi::OsStr, Option<&std::ffi::OsStr>)| {
            Some([name.as_encoded_bytes(), b"=", value?.as_encoded_bytes()].concat())
        };
        Mark(given.filter_map(text).collect())
    }

    /// Of all attempts of a run.
    pub fn of_run(run_id: &str) -> Mark {
        Mark(vec![format!("FLOWCTL_RUN_ID={run_id}").into_bytes()])
    }

    /// Whether a process was started with it.
    pub fn is_on(&self, pid: Pid) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        let variables: HashSet<&[u8]> = environment.split(|byte| *byte == 0).collect();
        !self.0.is_empty() && self.0.iter().all(|variable| variables.contains(variable.as_slice()))
    }

    /// The living processes that have it or descend from one that has, or from one of the groups, and are in none of
    /// these groups. Not this process. None on systems without `/proc`.
    pub fn strays(&self, groups: &[Pid]) -> Vec<Stray> {
        let all: Vec<(Pid, Process)> = living().filter(|(pid, _)| *pid != getpid()).collect();
        let id = |pid: Pid| pid.as_raw_nonzero().get();
        let is_grouped = |process: &Process| groups.iter().any(|leader| process.group == id(*leader));
        let ours = all.iter().filter(|(pid, process)| is_grouped(process) || self.is_on(*pid));
        let mut ours: HashSet<i32> = ours.map(|(pid, _)| id(*pid)).collect();
        loop {
            let before = ours.len();
            let children = all.iter().filter(|(_, process)| ours.contains(&process.parent)).map(|(pid, _)| id(*pid));
            let children: Vec<i32> = children.collect();
            ours.extend(children);
            if ours.len() == before {
                break;
            }
        }
        let strays = all.iter().filter(|(pid, process)| ours.contains(&id(*pid)) && !is_grouped(process));
        strays.map(|(pid, process)| Stray { pid: *pid, started: process.started }).collect()
    }
}

impl Stray {
    pub fn is_living(&self) -> bool {
        Process::of(self.pid).is_some_and(|process| process.started == self.started && !process.is_zombie)
    }

    /// One that has ended meanwhile needs no signal, so there is no error worth telling.
    pub fn signal(&self, signal: Signal) {
        if self.is_living() {
            let _ = kill_process(self.pid, signal);
        }
    }
}
