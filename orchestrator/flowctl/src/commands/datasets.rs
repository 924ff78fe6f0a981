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

pub fn run(_args: &Args, cx: &Context) -> Result<Exit, Error> {
    let datasets = cx.block_on(async {
        match cx.store_if_any().await? {
            Some(store) => Ok(store.datasets().await?),
            None => Ok(vec![]),
        }
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

fn view(it: &Dataset) -> serde_json::Value {
    let columns: Vec<_> = it.columns.iter().map(|column| json!({ "name": column.name, "type": column.kind })).collect();
    json!({
        "dataset": it.dataset,
        "view": it.version.is_none(),
        "version": it.version,
        "run_id": it.run_id,
        "published_at": rfc3339(it.at),
        "location": it.location,
        "columns": columns,
    })
}

fn table(datasets: &[Dataset]) -> Table {
    let now = time::now();
    let mut table = Table::new(["DATASET", ">VERSION", "PUBLISHED", "RUN", "COLUMNS"]);
    for it in datasets {
        let columns: Vec<&str> = it.columns.iter().map(|column| column.name.as_str()).collect();
        table.row([
            it.dataset.as_str().into(),
            it.version.map_or_else(|| "view".to_owned(), |version| version.to_string()).into(),
            human::ago(it.at, now).into(),
            it.run_id.as_str().into(),
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
