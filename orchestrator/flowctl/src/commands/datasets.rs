use flow::view::Dataset;

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
    let datasets = cx.block_on_all(async {
        match cx.archive_if_any().await? {
            Some(archive) => archive.datasets(|| cx.engine()).await,
            None => Ok(vec![]),
        }
    })?;
    if cx.json() {
        print::json(&datasets)?;
    } else if datasets.is_empty() {
        print::note("no datasets yet: `flowctl run FLOW` publishes them");
    } else {
        table(&datasets).write(&mut anstream::stdout().lock(), "")?;
    }
    Ok(Exit::Done)
}

fn table(datasets: &[Dataset]) -> Table {
    let now = time::now();
    let mut table = Table::new(["DATASET", ">VERSION", ">ROWS", ">SIZE", "PUBLISHED", "COLUMNS"]);
    for it in datasets {
        let columns: Vec<&str> = it.columns.iter().map(|column| column.name.as_str()).collect();
        table.row([
            it.dataset.as_str().into(),
            it.version.map_or_else(|| "view".to_owned(), |version| version.to_string()).into(),
            it.rows.map(human::count).unwrap_or_default().into(),
            it.bytes.map(human::bytes).unwrap_or_default().into(),
            time::parse(&it.published_at).map(|at| human::ago(at, now)).unwrap_or_default().into(),
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
