use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use flow::lineage::Kind;
use flow::view::Affected;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, style};

/// Show what breaks if a column changes.
///
/// Every column, near or far, that is made of it or depends on it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl impact etl.flights.dep_delay\n  flowctl impact airports.faa --json")]
pub struct Args {
    /// `flow.dataset.column`, or shorter where that is clear; a source's column too. Without a column: any of them.
    #[arg(value_name = "DATASET.COLUMN")]
    column: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let impact = cx.block_on(async { cx.archive().await?.impact(&args.column).await })?;
    if cx.json() {
        print::json(&impact)?;
        return Ok(Exit::Done);
    }
    let affected = &impact.affected;
    let mut out = BufWriter::new(anstream::stdout().lock());
    if affected.is_empty() {
        writeln!(out, "nothing published here is made of it")?;
    } else {
        table(affected).write(&mut out, "")?;
        let datasets: BTreeSet<&str> = affected.iter().map(|it| it.dataset.as_str()).collect();
        let columns = human::plural(affected.len() as u64, "column");
        writeln!(out, "\n{columns} in {}", human::plural(datasets.len() as u64, "dataset"))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn table(affected: &[Affected]) -> Table {
    let mut table = Table::new(["DATASET", "COLUMN", ">HOPS", "HOW"]);
    for it in affected {
        let how = match it.kind {
            Kind::Direct => Cell::from("its values"),
            Kind::Indirect => Cell::styled("its rows", style::DIM),
        };
        table.row([it.dataset.as_str().into(), it.column.as_str().into(), it.hops.to_string().into(), how]);
    }
    table
}
