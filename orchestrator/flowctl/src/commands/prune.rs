use std::io::{BufWriter, Write};
use std::time::Duration;

use server::retention::{self, Gone, Wanted};
use store::Store;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::local;
use crate::print::{self, human, time};
use crate::pruning::Pruning;

/// Remove runs and versions of tables that are older than they are kept.
///
/// `keep = "90d"` in a flow says how long its runs are kept, counted from their end, and what a flow does not say
/// flowctl.toml does; without either everything is kept. A flow's new `keep` counts from its next run on. A service
/// removes by itself what is old; this does it now.
///
/// With a run go its journal, its logs, its artifacts on this machine, its client key, and plans and lineage that no
/// other run has. Of tables go versions that nobody can ask for any more, with files that no later version has: versions
/// stay that were the latest at a time that is kept, or when a run was made that is kept and whose flow makes or reads
/// the table, and all after them.
///
/// Always kept are runs that are not over, the newest successful run of each flow, the newest version of each dataset
/// and the run that made it, what a run that is under way may read, and files that a repeated append will look for.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl prune --dry-run\n  flowctl prune --keep 30d")]
pub struct Args {
    /// Keep everything so long, whatever flows and flowctl.toml say: `30d`, `12h`.
    #[arg(long, value_name = "TIME", value_parser = flow::duration::keep)]
    keep: Option<u64>,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
}

/// How long it waits for another process that removes, at most.
const PATIENCE_TRIES: usize = 50;

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let settings = cx.settings()?;
    let wanted = Wanted { keep: args.keep, default: settings.keep, dry_run: args.dry_run, pause: Duration::ZERO };
    let gone = cx.block_on_deciding(async |cores| {
        drop(cx.store_with_runs().await?);
        let store = local::open_to_write(cx).await?;
        let is_endless = args.keep.or(settings.keep).is_none() && store.keeps().await?.values().all(Option::is_none);
        if is_endless {
            return Err(Error::usage("nothing says how long anything is kept")
                .hint("`keep = \"90d\"` in a flow or in flowctl.toml does, or `--keep 90d` for this time"));
        }
        let lake = Pruning { engine: cx.engine()?, artifacts: local::folders(settings).artifacts, cores };
        prune(&store, &lake, wanted).await
    })?;
    match cx.json() {
        true => print::json(&serde_json::json!({ "runs": gone.runs, "tables": gone.tables, "dry_run": args.dry_run }))?,
        false => text(&gone, args.dry_run)?,
    }
    Ok(Exit::Done)
}

async fn prune(store: &Store, lake: &Pruning, wanted: Wanted) -> Result<Gone, Error> {
    let holder = format!("prune/{}", uuid::Uuid::now_v7());
    for _ in 0..PATIENCE_TRIES {
        if let Some(gone) = retention::prune(store, lake, &holder, time::now(), wanted).await? {
            return Ok(gone);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(Error::new(Exit::Unreachable, "another process removes what is old just now").hint("wait for it, or let it be"))
}

fn text(gone: &Gone, dry_run: bool) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let verb = if dry_run { "would go" } else { "went" };
    for flow in &gone.runs {
        writeln!(out, "flow {}: {} {verb}", flow.flow, human::plural(flow.runs, "run"))?;
    }
    for table in &gone.tables {
        let (versions, files) = (human::plural(table.versions, "version"), human::plural(table.files, "file"));
        let bytes = human::bytes(table.bytes);
        writeln!(
            out,
            "dataset {}: {versions} with {files} {verb}, {bytes}; the oldest is {}",
            table.dataset, table.oldest
        )?;
    }
    out.flush()?;
    if *gone == Gone::default() {
        print::note("nothing is older than it is kept");
    }
    Ok(())
}
