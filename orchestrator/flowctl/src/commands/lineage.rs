use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use flow::lineage::{Input, Kind};
use flow::plan::Column;
use serde::Serialize;
use serde_json::json;

use crate::catalogue::{Catalogue, Edge, Named};
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
    let catalogue = cx.block_on(super::catalogue(cx))?;
    let named = catalogue.resolve(&args.dataset)?;
    let source = if catalogue.datasets.contains_key(&named.dataset) { vec![] } else { source(cx, &catalogue, &named)? };
    let columns = columns(&catalogue, &named, &source);
    let edges = (args.up || args.down).then(|| edges(&catalogue, &named, args));
    if cx.json() {
        let known = catalogue.datasets.get(&named.dataset);
        let mut value = json!({
            "dataset": named.dataset,
            "version": known.and_then(|it| it.version),
            "run_id": known.map(|it| it.run_id.as_str()),
            "columns": columns,
        });
        if let Some(edges) = edges {
            value["edges"] = json!(edges);
        }
        print::json(&value)?;
        return Ok(Exit::Done);
    }
    let mut out = BufWriter::new(anstream::stdout().lock());
    match &edges {
        None => one_hop(&mut out, &named.dataset, &columns)?,
        Some(edges) => every_hop(&mut out, edges)?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A column with its inputs. Those of a source have none.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    inputs: &'a [Input],
}

/// The columns of a source, as a run that read it typed them.
fn source(cx: &Context, catalogue: &Catalogue, named: &Named) -> Result<Vec<Column>, Error> {
    let reads = |dataset: &&store::Dataset| {
        dataset.columns.iter().flat_map(|column| &column.inputs).any(|input| input.dataset == named.dataset)
    };
    let Some(reader) = catalogue.datasets.values().find(reads) else { return Ok(vec![]) };
    let plan = cx.block_on(async { Ok(cx.store_with_runs().await?.load(&reader.run_id).await?.plan) })?;
    let source = plan.sources.into_iter().find(|source| source.name == named.dataset);
    Ok(source.map(|source| source.columns).unwrap_or_default())
}

fn columns<'a>(catalogue: &'a Catalogue, named: &Named, source: &'a [Column]) -> Vec<Shown<'a>> {
    let all: Vec<Shown<'a>> = match catalogue.datasets.get(&named.dataset) {
        Some(known) => known
            .columns
            .iter()
            .map(|column| Shown { name: &column.name, kind: &column.kind, inputs: &column.inputs })
            .collect(),
        None => source.iter().map(|column| Shown { name: &column.name, kind: &column.kind, inputs: &[] }).collect(),
    };
    let wanted = |name: &str| named.column.as_deref().is_none_or(|column| column == name);
    all.into_iter().filter(|column| wanted(column.name)).collect()
}

fn edges(catalogue: &Catalogue, named: &Named, args: &Args) -> Vec<Edge> {
    let from = || super::places(catalogue, named);
    let mut edges = if args.up { catalogue.up(from()) } else { vec![] };
    if args.down {
        edges.extend(catalogue.down(from()));
    }
    edges
}

/// What decides about all columns alike, such as a filter, is said once.
fn one_hop(out: &mut impl Write, dataset: &str, columns: &[Shown<'_>]) -> io::Result<()> {
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(out, "{bold}{dataset}{bold:#}")?;
    let indirect = |column: &Shown<'_>| -> BTreeSet<Input> {
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
    let how = format!("{}{indirect}", super::word(input.subtype));
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
            Cell::styled(format!("{}{indirect}", super::word(edge.subtype)), dim),
        ]);
    }
    if table.is_empty() { writeln!(out, "nothing") } else { table.write(out, "") }
}
