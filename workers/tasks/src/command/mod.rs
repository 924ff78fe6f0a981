//! `command`: a program of the user's, run in the flow file's folder.
//!
//! What it finds in its environment is listed in [`environment`]. Its output becomes the attempt's log.
//! Exit code 0 is success, 99 says that there was nothing to do, any other is a failure that may be
//! retried. It runs in a process group of its own, and nothing of that group outlives the attempt. Of an attempt
//! that is stopped nothing is left at all, not even what has made itself a group of its own.
//! Files that it leaves in `FLOWCTL_OUTPUT_DIR` are kept as artifacts (`outputs`) or become a dataset
//! (`output.format` and `schema`).

mod artifacts;
mod capture;
pub mod environment;
mod fingerprint;
mod group;
mod leftovers;
mod process;
mod scratch;
mod settings;
mod strays;
mod system;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use flow::wire::{Assignment, Ending, Failure, Outcome};
use tokio::process::Command;
use tracing::Instrument as _;
use worker::Context;

pub use fingerprint::fingerprint;
pub use leftovers::end_leftovers;
pub use settings::Settings;

use scratch::Scratch;

/// The exit code by which a command says that there is nothing to do.
const NOTHING_TO_DO: i32 = 99;

/// Where a command's files are. Artifacts should be on the same disk as the scratch folder.
#[derive(Clone, Debug)]
pub struct Folders {
    /// For files that live as long as an attempt.
    pub scratch: PathBuf,
    /// For files kept with the run, as `<run id>/<task>/<file>`.
    pub artifacts: PathBuf,
}

/// How a command's data comes to it and goes from it. When `cx.stop` turns true, both may give up with any failure.
#[async_trait]
pub trait Data: Send + Sync {
    /// Lays out every input as a folder of Parquet files below `folder`; gives the path of each by its
    /// name in [`Settings::inputs`].
    async fn stage(
        &self,
        assignment: &Assignment,
        cx: &Context,
        folder: &Path,
    ) -> Result<BTreeMap<String, PathBuf>, Failure>;

    /// Makes the dataset of the files that the command left, in the order of their paths.
    async fn publish(&self, assignment: &Assignment, cx: &Context, files: Vec<PathBuf>) -> Result<Outcome, Failure>;
}

/// Runs an attempt of a command task to its end.
pub async fn execute(
    settings: &Settings,
    assignment: &Assignment,
    cx: &Context,
    folders: &Folders,
    data: &dyn Data,
) -> Ending {
    match attempt(settings, assignment, cx, folders, data).await {
        Ok(ending) => ending,
        Err(_) if *cx.stop.borrow() => Ending::Cancelled,
        Err(failure) => Ending::Failed(failure),
    }
}

async fn attempt(
    settings: &Settings,
    assignment: &Assignment,
    cx: &Context,
    folders: &Folders,
    data: &dyn Data,
) -> Result<Ending, Failure> {
    let wanted = artifacts::wanted(&settings.artifacts)?;
    let task = &assignment.plan.tasks[assignment.task];
    let scratch = Scratch::create(&folders.scratch, &assignment.run_id, &task.name, assignment.attempt)?;
    let inputs = data.stage(assignment, cx, &scratch.inputs()).instrument(tracing::info_span!("inputs")).await?;
    let command = prepare(settings, assignment, &inputs, &scratch.outputs())?;
    let grace = Duration::from_millis(task.kill_grace_ms);
    let group = scratch.group_file();
    let running = process::run(command, cx, grace, &group).instrument(tracing::info_span!("command"));
    let Some(ended) = running.await? else {
        return Ok(Ending::Cancelled);
    };
    match ended.status.code() {
        Some(0) => {}
        Some(NOTHING_TO_DO) => return Ok(Ending::Skipped(verdict::nothing_to_do())),
        _ => return Ok(Ending::Failed(verdict::failed(ended.status, &ended.stderr_tail))),
    }
    let kept = folders.artifacts.join(&assignment.run_id).join(&task.name);
    let harvest = harvest(scratch.outputs(), wanted, kept).await?;
    let outcome = match settings.format {
        Some(_) => data.publish(assignment, cx, harvest.files).await?,
        None => Outcome::default(),
    };
    Ok(Ending::Succeeded(Outcome { artifacts: harvest.artifacts, ..outcome }))
}

fn prepare(
    settings: &Settings,
    assignment: &Assignment,
    inputs: &BTreeMap<String, PathBuf>,
    output_dir: &Path,
) -> Result<Command, Failure> {
    let dir = &assignment.plan.dir;
    let Some((program, arguments)) = settings.argv.split_first() else {
        return Err(Failure::user("the command is empty; name a program"));
    };
    // With a folder in it, the name is that of a file relative to the flow file, not to us.
    let program = if program.contains('/') { dir.join(program).into_os_string() } else { program.into() };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(environment::is_withheld) {
            command.env_remove(name);
        }
    }
    command.envs(environment::variables(assignment, inputs, output_dir));
    Ok(command)
}

/// What a command left behind.
struct Harvest {
    /// Where each artifact is kept, by name.
    artifacts: BTreeMap<String, String>,
    /// The other files, in the order of their paths.
    files: Vec<PathBuf>,
}

async fn harvest(outputs: PathBuf, wanted: artifacts::Wanted, kept: PathBuf) -> Result<Harvest, Failure> {
    let collect = move || {
        let artifacts = artifacts::keep(&wanted, &outputs, &kept)?;
        let files = artifacts::files_below(&outputs)
            .map_err(|error| verdict::disk("read the files the command made in", &outputs, &error))?;
        Ok(Harvest { artifacts, files })
    };
    match tokio::task::spawn_blocking(collect).await {
        Ok(harvest) => harvest,
        Err(error) => Err(Failure::internal(format!("keeping the command's files was interrupted: {error}"))),
    }
}
