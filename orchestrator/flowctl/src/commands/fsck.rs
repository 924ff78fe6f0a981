use std::io::{BufWriter, Write};

use flow::run::RunState;
use serde::Serialize;
use serde_json::json;
use store::Store;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::local;
use crate::print::{self, human, style, time};

/// Check what the store and the lake promise.
///
/// Every run has one journal without gaps and at most one end; every table holds the files of its log and no
/// others. Exits with 1 if anything was found, repaired or not.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl fsck\n  flowctl fsck --repair")]
pub struct Args {
    /// Remove files of the lake that are in no version of their table. Those of runs that go on stay.
    #[arg(long)]
    repair: bool,
}

/// How much the clock of an object store may differ from ours: S3 itself bears no more in a request.
const SKEW_MAX_MS: u64 = 15 * 60 * 1000;

/// Something that should not be.
#[derive(Serialize)]
struct Finding {
    /// `store` or `lake`.
    place: &'static str,
    kind: &'static str,
    message: String,
    run_id: Option<String>,
    dataset: Option<String>,
    path: Option<String>,
    repaired: bool,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let found = cx.block_on_all(async {
        let store = match (args.repair, cx.store_if_any().await?) {
            (true, Some(_)) => Some(local::open_to_write(cx).await?),
            (_, store) => store,
        };
        let mut found = match &store {
            Some(store) => store.fsck().await?.into_iter().map(of_store).collect(),
            None => vec![],
        };
        let spared_since = spared_since(store.as_ref(), &cx.settings()?.lake).await?;
        let lake = cx.engine()?.fsck(args.repair, spared_since).await.map_err(local::failed)?;
        found.extend(lake.into_iter().map(of_lake));
        Ok(found)
    })?;
    if cx.json() {
        print::json(&json!({ "findings": found }))?;
    } else {
        text(&found, cx)?;
    }
    Ok(if found.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Files that are younger than this may belong to a run that goes on. Milliseconds since the epoch.
async fn spared_since(store: Option<&Store>, lake: &str) -> Result<i64, Error> {
    let skew = if lake.contains("://") { SKEW_MAX_MS } else { 0 };
    let mut since = time::now();
    if let Some(store) = store {
        for state in [RunState::Queued, RunState::Running] {
            let open = store.runs(None, Some(state), u32::MAX.into()).await?;
            since = open.iter().map(|head| head.created_at.saturating_sub(skew)).fold(since, u64::min);
        }
    }
    Ok(i64::try_from(since).unwrap_or(i64::MAX))
}

fn of_store(found: store::Finding) -> Finding {
    let store::Finding { run_id, kind, message } = found;
    Finding { place: "store", kind, message, run_id, dataset: None, path: None, repaired: false }
}

fn of_lake(found: engine::Finding) -> Finding {
    let engine::Finding { dataset, kind, message, path, repaired, .. } = found;
    Finding { place: "lake", kind, message, run_id: None, dataset: Some(dataset), path: Some(path), repaired }
}

fn text(found: &[Finding], cx: &Context) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let (good, bad, dim, help) = (style::GOOD, style::BAD, style::DIM, style::HELP);
    for it in found {
        let about = it.run_id.as_ref().map(|run| format!("run {run}")).or(it.dataset.clone()).unwrap_or_default();
        let (colour, word) = if it.repaired { (good, "repaired") } else { (bad, it.kind) };
        writeln!(out, "{colour}{word}{colour:#} {}: {about}: {}", it.place, it.message)?;
        if let Some(path) = &it.path {
            writeln!(out, "  {dim}{path}{dim:#}")?;
        }
    }
    let settings = cx.settings()?;
    let (store, lake) = (settings.store_place(), &settings.lake);
    match found.len() {
        0 => writeln!(out, "{good}all is well{good:#} in the store {store} and the lake {lake}")?,
        count => writeln!(out, "{} in the store {store} and the lake {lake}", human::plural(count as u64, "finding"))?,
    }
    if found.iter().any(|it| it.kind == "orphan" && !it.repaired) {
        writeln!(out, "  {help}hint{help:#}: flowctl fsck --repair removes files that are in no version")?;
    }
    Ok(out.flush()?)
}
