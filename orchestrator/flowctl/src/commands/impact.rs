use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use flow::lineage::Kind;
use serde::Serialize;
use serde_json::json;

use crate::catalogue::{Edge, Place};
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

/// A column that is affected.
#[derive(Serialize)]
struct Affected {
    dataset: String,
    column: String,
    /// How far away it is; 1 reads the changed column itself.
    hops: usize,
    /// `DIRECT` if its values come from the changed column, else `INDIRECT`.
    #[serde(rename = "type")]
    kind: Kind,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let catalogue = cx.block_on(super::catalogue(cx))?;
    let named = catalogue.resolve(&args.column)?;
    let from = super::places(&catalogue, &named);
    let edges = catalogue.down(from.clone());
    let affected = affected(&from, &edges);
    if cx.json() {
        let value = json!({ "dataset": named.dataset, "column": named.column, "affected": affected, "edges": edges });
        print::json(&value)?;
        return Ok(Exit::Done);
    }
    let mut out = BufWriter::new(anstream::stdout().lock());
    if affected.is_empty() {
        writeln!(out, "nothing published here is made of it")?;
    } else {
        table(&affected).write(&mut out, "")?;
        let datasets: std::collections::BTreeSet<&str> = affected.iter().map(|it| it.dataset.as_str()).collect();
        let columns = human::plural(affected.len() as u64, "column");
        writeln!(out, "\n{columns} in {}", human::plural(datasets.len() as u64, "dataset"))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Near ones first. A column is direct if a path of direct edges leads to it.
fn affected(from: &[Place], edges: &[Edge]) -> Vec<Affected> {
    let mut hops: BTreeMap<&Place, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<&Place, Kind> = from.iter().map(|place| (place, Kind::Direct)).collect();
    // Once more per hop, since a longer path may be the direct one.
    for _ in 0..edges.last().map_or(0, |edge| edge.hops) {
        for edge in edges {
            hops.entry(&edge.to).or_insert(edge.hops);
            let through = kinds.get(&edge.from).copied().unwrap_or(Kind::Indirect);
            let kind = kinds.entry(&edge.to).or_insert(Kind::Indirect);
            *kind = (*kind).min(through.max(edge.kind));
        }
    }
    let is_new = |place: &Place| !from.contains(place);
    let mut all: Vec<Affected> = hops
        .into_iter()
        .filter(|(place, _)| is_new(place))
        .map(|(place, hops)| {
            let kind = kinds.get(place).copied().unwrap_or(Kind::Indirect);
            Affected { dataset: place.dataset.clone(), column: place.column.clone(), hops, kind }
        })
        .collect();
    all.sort_by(|a, b| (a.hops, &a.dataset).cmp(&(b.hops, &b.dataset)));
    all
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
