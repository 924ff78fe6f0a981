use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use flow::lineage::{Column, Input, Kind};
use flow::view::{Edge, Ways};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::table::{Cell, Table};
use crate::print::{self, style};

/// Show which columns each column comes from.
///
/// Direct inputs give values; indirect ones decide which rows there are, how they are grouped or which branch
/// is taken. The plan knows both, so nothing is annotated and nothing is missing.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl lineage etl.daily\n  flowctl lineage daily.delayed --up\n  flowctl lineage raw_flights --down"
)]
pub struct Args {
    /// `flow.dataset`, or `dataset` where that is clear; one column of it with `.column` behind.
    #[arg(value_name = "DATASET[.COLUMN]")]
    dataset: String,
    /// Everything it comes from, hop by hop.
    #[arg(long)]
    up: bool,
    /// Everything that is made of it, hop by hop.
    #[arg(long)]
    down: bool,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let ways = Ways { up: args.up, down: args.down, ..Ways::default() };
    let lineage = cx.block_on(async { cx.archive().await?.lineage(&args.dataset, ways).await })?;
    if cx.json() {
        print::json(&lineage)?;
        return Ok(Exit::Done);
    }
    let mut out = BufWriter::new(anstream::stdout().lock());
    match &lineage.edges {
        None => one_hop(&mut out, &lineage.dataset, &lineage.columns)?,
        Some(edges) => every_hop(&mut out, edges)?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// What decides about all columns alike, such as a filter, is said once.
fn one_hop(out: &mut impl Write, dataset: &str, columns: &[Column]) -> io::Result<()> {
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(out, "{bold}{dataset}{bold:#}")?;
    let indirect = |column: &Column| -> BTreeSet<Input> {
        column.inputs.iter().filter(|input| input.kind == Kind::Indirect).cloned().collect()
    };
    let all = columns.iter().map(indirect).reduce(|a, b| &a & &b).unwrap_or_default();
    for column in columns {
        writeln!(out, "  {bold}{}{bold:#} {dim}{}{dim:#}", column.name, column.kind)?;
        for input in column.inputs.iter().filter(|input| !all.contains(input)) {
            hop(out, input)?;
        }
    }
    if !all.is_empty() {
        writeln!(out, "  {dim}every row{dim:#}")?;
    }
    all.iter().try_for_each(|input| hop(out, input))
}

fn hop(out: &mut impl Write, input: &Input) -> io::Result<()> {
    let dim = style::DIM;
    let indirect = if input.kind == Kind::Indirect { " (indirect)" } else { "" };
    let how = format!("{}{indirect}", input.subtype.word());
    writeln!(out, "    {}.{} {dim}{how}{dim:#}", input.dataset, input.column)
}

fn every_hop(out: &mut impl Write, edges: &[Edge]) -> io::Result<()> {
    let dim = style::DIM;
    let mut table = Table::new([">HOPS", "FROM", "TO", "HOW"]);
    for edge in edges {
        let indirect = if edge.kind == Kind::Indirect { " (indirect)" } else { "" };
        table.row([
            edge.hops.to_string().into(),
            format!("{}.{}", edge.from.dataset, edge.from.column).into(),
            format!("{}.{}", edge.to.dataset, edge.to.column).into(),
            Cell::styled(format!("{}{indirect}", edge.subtype.word()), dim),
        ]);
    }
    if table.is_empty() { writeln!(out, "nothing") } else { table.write(out, "") }
}
