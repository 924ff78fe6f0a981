//! One process and everything it starts, from its start to the end of the last of them.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use flow::wire::Failure;
use rustix::process::Pid;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use worker::Context;

use super::capture::Capture;
use super::group::Group;
use super::strays::Mark;
use super::{leftovers, verdict};

/// How a process ended by itself.
pub struct Ended {
    pub status: ExitStatus,
    /// The last lines of stderr.
    pub stderr_tail: Vec<String>,
}

/// Runs `command` in a process group of its own, which is recorded in `group_file`, and prints into the
/// attempt's log. Nothing of the group is left when this returns. `None`: it was told to stop; then nothing that it
/// started is left either.
pub async fn run(
    mut command: Command,
    cx: &Context,
    grace: Duration,
    group_file: &Path,
) -> Result<Option<Ended>, Failure> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| verdict::not_started(&command, &error))?;
    let leader = leader(&child)?;
    let mut group = Group::led_by(leader, Mark::of(&command));
    leftovers::record(group_file, leader).map_err(|error| verdict::disk("write", group_file, &error))?;
    let mut capture = Capture::start(child.stdout.take(), child.stderr.take(), &cx.log);
    let status = tokio::select! {
        status = child.wait() => Some(status.map_err(|error| lost(&error))?),
        () = cx.stopped() => None,
    };
    if status.is_some() {
        tokio::select! {
            () = capture.finished() => {}
            () = sleep(grace) => {}
            () = cx.stopped() => {}
        }
        group.settle().await;
        if group.end(grace).await {
            cx.log.say("the command ended and left processes behind, which were ended too").await;
        }
    } else {
        let ((), reaped) = tokio::join!(group.end_with_strays(grace), child.wait());
        reaped.map_err(|error| lost(&error))?;
    }
    let stderr_tail = capture.close().await;
    Ok(status.map(|status| Ended { status, stderr_tail }))
}

fn leader(child: &Child) -> Result<Pid, Failure> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    id.and_then(Pid::from_raw).ok_or_else(|| Failure::internal("the command's process has no id"))
}

fn lost(error: &io::Error) -> Failure {
    Failure::internal(format!("the command's end could not be observed: {error}"))
}
