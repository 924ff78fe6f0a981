use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;

/// Let a paused flow go on by its schedule.
///
/// Times that passed while it was paused are made up for as the schedule's `catchup` says: `all` of them, only the
/// `latest`, or `none`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl resume flows/etl.toml\n  flowctl resume etl")]
pub struct Args {
    /// A flow file with a `[schedule]`, or the name of a flow that a service has scheduled.
    flow: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    super::pause::hold(&args.flow, false, cx)
}
