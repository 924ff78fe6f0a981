use std::path::Path;

use flow::name;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::Scheduled;
use crate::print::{self, time};

/// Hold a flow's schedule: no more runs by themselves until `flowctl resume`.
///
/// Runs that are there go on, and the flow can be run by hand. Times that pass meanwhile are made up for afterwards as
/// the schedule's `catchup` says: `all` of them, one after the other; only the `latest`, which is the default; or
/// `none`. What pauses a flow is in the store: services of any machine follow it, also those that start later.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl pause flows/etl.toml\n  flowctl pause etl")]
pub struct Args {
    /// A flow file with a `[schedule]`, or the name of a flow that a service has scheduled.
    pub flow: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    hold(&args.flow, true, cx)
}

/// Pauses the schedule, or lets it go on.
pub fn hold(given: &str, paused: bool, cx: &Context) -> Result<Exit, Error> {
    if let Some(client) = cx.server()? {
        let flow = super::flow_name(Path::new(given))?;
        let verb = if paused { "pause" } else { "resume" };
        cx.block_on(client.tell(&["v1", "flows", flow, verb]))?;
        return told(given, flow, paused, cx);
    }
    let file = Path::new(given);
    let file = file.exists().then(|| Scheduled::read(file)).transpose()?;
    let flow = file.as_ref().map_or(given, |scheduled| &scheduled.name);
    cx.block_on(async {
        let store = match file {
            Some(_) => cx.store().await?,
            None => cx.store_with_runs().await?,
        };
        if let Some(Scheduled { schedule, .. }) = &file {
            store.begin_schedule(flow, schedule.begins(time::now())).await?;
        }
        if store.pause_schedule(flow, paused).await? {
            return Ok(());
        }
        let known = store.scheduled_flows().await?;
        let near = name::suggest(flow, known.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| "name its file: `flowctl pause FLOW.toml`".to_owned());
        Err(Error::not_found(format!("there is no flow file `{given}`, and no scheduled flow of that name")).hint(hint))
    })?;
    told(given, flow, paused, cx)
}

fn told(given: &str, flow: &str, paused: bool, cx: &Context) -> Result<Exit, Error> {
    let said = match paused {
        true => format!("flow `{flow}` is paused; `flowctl resume {given}` lets it go on"),
        false => format!("flow `{flow}` goes on by its schedule"),
    };
    match cx.json() {
        true => print::json(&json!({ "flow": flow, "paused": paused }))?,
        false => print::note(&said),
    }
    Ok(Exit::Done)
}
