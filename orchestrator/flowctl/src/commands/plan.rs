use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tasks::{Action, Preview};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::{Flow, Wanted};
use crate::local;
use crate::print::table::{Cell, Table};
use crate::print::{self, style};

/// Show what a run would do with each task, and why.
///
/// Compiles the flow, looks at the files it reads and at what is published. Runs and writes nothing.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl plan flows/etl.toml -p month=2013-02")]
pub struct Args {
    /// A flow file.
    flow: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Run unchanged tasks all the same.
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let (plan, previews) = cx.block_on_all(async {
        let engine = cx.engine()?;
        let plan = Arc::new(Flow::plan(&engine, &args.flow, &args.wanted, &cx.settings()?.pools).await?);
        let store = cx.store_if_any().await?;
        let pins = Arc::new(local::pin(&engine, &plan, store.as_ref()).await?);
        let previews = tasks::preview(&engine, plan.clone(), pins, args.force).await.map_err(local::failed)?;
        Ok((plan, previews))
    })?;
    if cx.json() {
        let params = flow::view::params(&plan.params);
        print::json(&json!({ "flow": plan.flow, "params": params, "tasks": previews }))?;
    } else {
        table(&previews).write(&mut anstream::stdout().lock(), "")?;
    }
    Ok(Exit::Done)
}

fn table(previews: &[Preview]) -> Table {
    let mut table = Table::new(["TASK", "KIND", "WOULD", "BECAUSE"]);
    for preview in previews {
        let action = match preview.action {
            Action::Run => Cell::styled("run", style::BUSY),
            Action::Cached => Cell::styled("be cached", style::GOOD),
            Action::Skip => Cell::styled("be skipped", style::WARN),
        };
        let kind = Cell::styled(&preview.kind, style::DIM);
        table.row([preview.task.as_str().into(), kind, action, preview.reason.as_str().into()]);
    }
    table
}
