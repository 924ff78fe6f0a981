//! Process groups: how a command and everything it started is ended.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

use super::system::{self, living_members};

/// How long the last processes of a command that has ended may take to end too.
const SETTLING: Duration = Duration::from_millis(200);
/// How long the system may take to clear away what was killed.
const CLEARING: Duration = Duration::from_secs(1);

/// A group of processes that is killed when this is dropped before its end was seen.
pub struct Group {
    leader: Option<Pid>,
}

impl Group {
    /// The group that the process `leader` leads.
    pub fn led_by(leader: Pid) -> Group {
        Group { leader: Some(leader) }
    }

    /// Waits a moment for members that are about to end by themselves.
    pub async fn settle(&self) {
        gone(&mut self.leader.into_iter().collect(), SETTLING).await;
    }

    /// Ends what is left of the group: SIGTERM, then after `grace` SIGKILL. Says whether anything was left.
    pub async fn end(&mut self, grace: Duration) -> bool {
        let leader = self.leader.filter(|leader| exists(*leader));
        if let Some(leader) = leader {
            end_all(&[leader], grace).await;
        }
        self.leader = None;
        leader.is_some()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            signal(leader, Signal::KILL);
        }
    }
}

/// Ends the groups with these leaders, all at the same time.
pub async fn end_all(leaders: &[Pid], grace: Duration) {
    let mut left = leaders.to_vec();
    for leader in &left {
        signal(*leader, Signal::TERM);
        // A stopped process hears nothing else before it goes on.
        signal(*leader, Signal::CONT);
    }
    gone(&mut left, grace).await;
    // All of them: a process that was just being made may have been overlooked.
    leaders.iter().for_each(|leader| signal(*leader, Signal::KILL));
    gone(&mut left, CLEARING).await;
}

/// Waits until no group in `left` exists, but not longer than `patience`. There is no event for the end
/// of a process that is not our child, so this looks again and again.
async fn gone(left: &mut Vec<Pid>, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        left.retain(|leader| exists(*leader));
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        sleep(pause.min(deadline - Instant::now())).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether a group has members that have not ended, ours to signal or not. Those that have may be listed for
/// long: it is for their new parent, init, to take notice, and some do so late or never.
pub fn exists(leader: Pid) -> bool {
    let is_listed = test_kill_process_group(leader) != Err(Errno::SRCH);
    is_listed && (!system::tells() || living_members(leader).next().is_some())
}

/// A group that has ended meanwhile needs no signal, so there is no error worth telling.
fn signal(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
}
