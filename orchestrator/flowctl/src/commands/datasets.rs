use flow::view::rfc3339;
use serde_json::json;
use store::Dataset;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, style, time};

/// List the datasets that runs have published.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl datasets\n  flowctl datasets --json")]
pub struct Args {}

/// A dataset as the store knows it, with its size in the lake if that can be read.
type Sized = (Dataset, Option<engine::Dataset>);

pub fn run(_args: &Args, cx: &Context) -> Result<Exit, Error> {
    let datasets = cx.block_on_all(async {
        let Some(store) = cx.store_if_any().await? else { return Ok(vec![]) };
        let engine = cx.engine()?;
        let mut datasets: Vec<Sized> = vec![];
        for it in store.datasets().await? {
            let size = match it.version {
                Some(_) => engine.dataset(&it.dataset).await.ok().flatten(),
                None => None,
            };
            datasets.push((it, size));
        }
        Ok(datasets)
    })?;
    if cx.json() {
        print::json(&datasets.iter().map(view).collect::<Vec<_>>())?;
    } else if datasets.is_empty() {
        print::note("no datasets yet: `flowctl run FLOW` publishes them");
    } else {
        table(&datasets).write(&mut anstream::stdout().lock(), "")?;
    }
    Ok(Exit::Done)
}

fn view((it, size): &Sized) -> serde_json::Value {
    let columns: Vec<_> = it.columns.iter().map(|column| json!({ "name": column.name, "type": column.kind })).collect();
    json!({
        "dataset": it.dataset,
        "view": it.version.is_none(),
        "version": it.version,
        "run_id": it.run_id,
        "published_at": rfc3339(it.at),
        "rows": size.as_ref().map(|size| size.rows),
        "bytes": size.as_ref().map(|size| size.bytes),
        "location": it.location,
        "columns": columns,
    })
}

fn table(datasets: &[Sized]) -> Table {
    let now = time::now();
    let mut table = Table::new(["DATASET", ">VERSION", ">ROWS", ">SIZE", "PUBLISHED", "COLUMNS"]);
    for (it, size) in datasets {
        let columns: Vec<&str> = it.columns.iter().map(|column| column.name.as_str()).collect();
        table.row([
            it.dataset.as_str().into(),
            it.version.map_or_else(|| "view".to_owned(), |version| version.to_string()).into(),
            size.as_ref().map(|size| human::count(size.rows)).unwrap_or_default().into(),
            size.as_ref().map(|size| human::bytes(size.bytes)).unwrap_or_default().into(),
            human::ago(it.at, now).into(),
            Cell::styled(shortened(&columns.join(", ")), style::DIM),
        ]);
    }
    table
}

/// Some sixty characters are enough to recognise a table.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
