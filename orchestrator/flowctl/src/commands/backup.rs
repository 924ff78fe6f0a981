use std::path::PathBuf;

use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, human};

/// Copy the store into a file while it is in use.
///
/// The copy is the store at one instant, whatever is written meanwhile, and a store itself: `--store FILE` reads it,
/// and to restore it is to put it, or point to it, where the store was. Runs that were under way in it are then taken
/// over by a service, or closed as failed if a `flowctl run` drove them. Tables are in the lake and not in the store:
/// copy the lake after the store, so that it holds every version that the store knows.
///
/// Of a PostgreSQL the copy is pg_dump's business; the command to use is told.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl backup /backups/flowctl-monday.db\n  flowctl runs --store /backups/flowctl-monday.db"
)]
pub struct Args {
    /// The file to write; there must be none yet.
    file: PathBuf,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let settings = cx.settings()?;
    if !settings.store.starts_with("sqlite:") {
        let file = args.file.display();
        return Err(Error::usage(format!(
            "the store {} is a PostgreSQL, which pg_dump copies",
            settings.store_place()
        ))
        .hint(format!(
            "pg_dump --format=custom --file='{file}' '{}'; pg_restore brings it back",
            settings.store_place()
        )));
    }
    let bytes = cx.block_on(async { Ok(cx.store_with_runs().await?.backup(&args.file).await?) })?;
    match cx.json() {
        true => print::json(&json!({ "file": args.file, "bytes": bytes }))?,
        false => print::note(&format!("the store is copied to {}, {}", args.file.display(), human::bytes(bytes))),
    }
    Ok(Exit::Done)
}
