use std::path::PathBuf;
use std::time::SystemTime;

use flow::api::{Meant, NewRun};

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::{Flow, Wanted};
use crate::following;
use crate::local::{self, Order};

/// Run a flow to its end, in this process.
///
/// Unchanged tasks are cached. Nothing is published that fails a blocking check. The first Ctrl-C cancels the
/// run and waits for its tasks to end, the second ends this process at once.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl run flows/etl.toml -p month=2013-02\n  flowctl run flows/etl.toml --select +daily --json"
)]
pub struct Args {
    /// A flow file; at a server, the flow's name.
    flow: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Run unchanged tasks all the same.
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    if let Some(client) = cx.server()? {
        return cx.block_on(there(args, cx, &client));
    }
    cx.block_on_deciding(async |cores| {
        // A flow that does not compile leaves nothing behind.
        let began = SystemTime::now();
        let plan = Flow::plan(&cx.engine()?, &args.flow, &args.wanted, &cx.settings()?.pools).await?;
        let compiled = (began, SystemTime::now());
        let engine = cx.engine_to_work()?;
        let store = local::open_to_write(cx).await?;
        let order = Order { plan, compiled, force: args.force, retry_of: None, adopted: vec![] };
        local::run(cx, cores, engine, store, order).await
    })
}

/// Has a server run it, and follows.
async fn there(args: &Args, cx: &Context, client: &Client) -> Result<Exit, Error> {
    let new = NewRun { force: args.force, ..args.wanted.asked(super::flow_name(&args.flow)?)? };
    let (made, _): (Meant, _) = client.post_once(&["v1", "runs"], &uuid::Uuid::now_v7().to_string(), &new).await?;
    following::to_the_end(cx, client, &made.run_id, None).await
}
