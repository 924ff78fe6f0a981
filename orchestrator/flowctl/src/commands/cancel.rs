use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;

/// Ask a run to stop.
///
/// Running tasks get SIGTERM, and SIGKILL after their `kill_grace`. What has been published stays.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl cancel latest")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let event = cx.block_on(async { cx.archive().await?.cancel(&args.run).await })?;
    match cx.json() {
        true => print::json(&event)?,
        false => print::note(&format!("asked run {} to stop; `flowctl show {0}` tells when it has", event.run_id)),
    }
    Ok(Exit::Done)
}
