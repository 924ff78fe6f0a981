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
    let asked = cx.block_on(async {
        let archive = cx.archive().await?;
        if let Archive::Here(store) = &archive {
            let wanted = store.find(&args.run).await?;
            // Nobody would hear of the wish.
            if close_abandoned(cx, store).await?.iter().any(|closed| closed.id() == wanted) {
                return Ok(None);
            }
        }
        archive.cancel(&args.run).await.map(Some)
    })?;
    match asked {
        None => {}
        Some(event) if cx.json() => print::json(&event)?,
        Some(event) => {
            print::note(&format!("asked run {} to stop; `flowctl show {0}` tells when it has", event.run_id))
        }
    }
    Ok(Exit::Done)
}
