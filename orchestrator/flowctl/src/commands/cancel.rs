use flow::run::Event as Fact;
use flow::view::{self, Event};
use store::Store;

use crate::archive::Archive;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::local::close_abandoned;
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
    let event = cx.block_on(async {
        let archive = cx.archive().await?;
        if let Archive::Here(store) = &archive
            && let Some(ended) = ended_by_now(cx, store, &args.run).await?
        {
            return Ok(ended);
        }
        archive.cancel(&args.run).await
    })?;
    match &event.event {
        _ if cx.json() => print::json(&event)?,
        // Has been told.
        Fact::RunClosed { .. } => {}
        _ => print::note(&format!("asked run {} to stop; `flowctl show {0}` tells when it has", event.run_id)),
    }
    Ok(Exit::Done)
}

/// The end of a run whose process died, told by [`close_abandoned`]: there is nobody who would hear of the wish.
async fn ended_by_now(cx: &Context, store: &Store, run: &str) -> Result<Option<Event>, Error> {
    let run_id = store.find(run).await?;
    if !close_abandoned(cx, store).await?.iter().any(|closed| closed.id() == run_id) {
        return Ok(None);
    }
    Ok(store.tail(&run_id, 0).await?.last().map(view::event))
}
