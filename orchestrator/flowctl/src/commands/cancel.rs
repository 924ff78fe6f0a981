use flow::view;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, time};

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
    let record = cx.block_on(async {
        let store = cx.store_with_runs().await?;
        let run_id = store.find(&args.run).await?;
        Ok(store.request_cancel(&run_id, "flowctl cancel", time::now()).await?)
    })?;
    match cx.json() {
        true => print::json(&view::event(&record).map_err(print::json_error)?)?,
        false => print::note(&format!("asked run {} to stop; `flowctl show {0}` tells when it has", record.run_id)),
    }
    Ok(Exit::Done)
}
