//! Process groups: how a command and everything it started is ended.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

use super::strays::{Mark, Stray};
use super::system::{self, living_members};

/// How long the last processes of a command that has ended may take to end too.
const SETTLING: Duration = Duration::from_millis(200);
/// How long the system may take to clear away what was killed.
const CLEARING: Duration = Duration::from_secs(1);
/// How often what keeps making processes is killed before it is left alone.
const KILLS: usize = 3;

/// A group of processes that is killed, with those that left it, when this is dropped before its end was seen.
pub struct Group {
    leader: Option<Pid>,
    mark: Mark,
}

impl Group {
    /// The group that the process `leader` leads. `mark` is on its processes, also on those that leave it.
    pub fn led_by(leader: Pid, mark: Mark) -> Group {
        Group { leader: Some(leader), mark }
    }

    /// Waits a moment for members that are about to end by themselves.
    pub async fn settle(&self) {
        gone(&mut self.leader.into_iter().collect(), &mut vec![], SETTLING).await;
    }

    /// Ends what is left of the group: SIGTERM, then after `grace` SIGKILL. Says whether anything was left. What has
    /// left the group, as daemons do, goes on.
    pub async fn end(&mut self, grace: Duration) -> bool {
        let leader = self.leader.filter(|leader| exists(*leader));
        if let Some(leader) = leader {
            end_all(&[leader], &Mark::default(), grace).await;
        }
        self.leader = None;
        leader.is_some()
    }

    /// Ends the group and everything that it has started: SIGTERM, then after `grace` SIGKILL.
    pub async fn end_with_strays(&mut self, grace: Duration) {
        end_all(self.leader.as_slice(), &self.mark, grace).await;
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let strays = self.mark.strays(&[leader]);
            signal(leader, Signal::KILL);
            strays.iter().for_each(|stray| stray.signal(Signal::KILL));
        }
    }
}

/// Ends the groups with these leaders, and what has left them and has the mark, all at the same time.
pub async fn end_all(leaders: &[Pid], mark: &Mark, grace: Duration) {
    let (mut left, mut strays) = (leaders.to_vec(), mark.strays(leaders));
    for polite in [Signal::TERM, Signal::CONT] {
        // A stopped process hears nothing else before it goes on.
        left.iter().for_each(|leader| signal(*leader, polite));
        strays.iter().for_each(|stray| stray.signal(polite));
    }
    gone(&mut left, &mut strays, grace).await;
    // All of them, and more than once: a process that was just being made may have been overlooked.
    for _ in 0..KILLS {
        strays.extend(mark.strays(leaders));
        leaders.iter().for_each(|leader| signal(*leader, Signal::KILL));
        strays.iter().for_each(|stray| stray.signal(Signal::KILL));
        gone(&mut left, &mut strays, CLEARING).await;
        strays = mark.strays(leaders);
        if strays.is_empty() {
            break;
        }
    }
}

/// Waits until no group in `left` exists and no stray lives, but not longer than `patience`. There is no event for the
/// end of a process that is not our child, so this looks again and again.
async fn gone(left: &mut Vec<Pid>, strays: &mut Vec<Stray>, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        left.retain(|leader| exists(*leader));
        strays.retain(Stray::is_living);
        if left.is_empty() && strays.is_empty() || Instant::now() >= deadline {
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
