//! Datasets as people and programs see them: the JSON of `flowctl datasets`, `lineage` and `impact`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::catalogue::{Catalogue, Named};
use crate::lineage::{Column, Kind, Subtype};
use crate::{catalogue, plan};

/// A dataset at its newest version: the JSON of `flowctl datasets`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// `flow.task`.
    pub dataset: String,
    /// Whether it is a view, which is not stored and has no versions.
    pub view: bool,
    pub version: Option<u64>,
    /// The run that made the version.
    pub run_id: String,
    /// RFC 3339 in UTC.
    pub published_at: String,
    /// Null for a view, and where the lake cannot be read.
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub location: Option<String>,
    pub columns: Vec<plan::Column>,
}

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// `flow.task`, or a source's name.
    pub dataset: String,
    pub column: String,
}

/// One hop of lineage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    pub from: Place,
    pub to: Place,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub subtype: Subtype,
    /// How many hops from where the search began, from 1.
    pub hops: usize,
}

/// Where the columns of a dataset come from: the JSON of `flowctl lineage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lineage {
    /// `flow.task`, or a source's name.
    pub dataset: String,
    /// None of a source or a view.
    pub version: Option<u64>,
    /// The run that made the version.
    pub run_id: Option<String>,
    /// Each with its inputs, one hop up. Those of a source have none.
    pub columns: Vec<Column>,
    /// Every hop in the directions that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Vec<Edge>>,
}

/// What breaks if a column changes: the JSON of `flowctl impact`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    pub dataset: String,
    /// Null: any column of it.
    pub column: Option<String>,
    pub affected: Vec<Affected>,
    pub edges: Vec<Edge>,
}

/// A column that is affected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    pub dataset: String,
    pub column: String,
    /// How far away it is; 1 reads the changed column itself.
    pub hops: usize,
    /// `DIRECT` if its values come from the changed column, else `INDIRECT`.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// Which ways lineage is followed, and how far.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// To everything that it comes from.
    pub up: bool,
    /// To everything that is made of it.
    pub down: bool,
    /// About how many edges are enough, each way; near ones come first.
    pub edges_max: usize,
}

impl Default for Ways {
    fn default() -> Self {
        Ways { up: false, down: false, edges_max: usize::MAX }
    }
}

/// The dataset as `flowctl datasets` lists it; `size` is its rows and bytes, if they could be read.
pub fn dataset(it: &catalogue::Dataset, size: Option<(u64, u64)>) -> Dataset {
    let column = |column: &Column| plan::Column { name: column.name.clone(), kind: column.kind.clone() };
    Dataset {
        dataset: it.dataset.clone(),
        view: it.version.is_none(),
        version: it.version,
        run_id: it.run_id.clone(),
        published_at: rfc3339(it.at),
        rows: size.map(|(rows, _)| rows),
        bytes: size.map(|(_, bytes)| bytes),
        location: it.location.clone(),
        columns: it.columns.iter().map(column).collect(),
    }
}

/// Where the columns of `named` come from. `source`: its columns as a run has typed them, if it is a source.
pub fn lineage(catalogue: &Catalogue, named: &Named, source: Vec<plan::Column>, ways: Ways) -> Lineage {
    let known = catalogue.datasets.get(&named.dataset);
    let of_source = |column: plan::Column| Column { name: column.name, kind: column.kind, inputs: vec![] };
    let mut columns = match known {
        Some(known) => known.columns.to_vec(),
        None => source.into_iter().map(of_source).collect(),
    };
    columns.retain(|column| named.column.as_ref().is_none_or(|name| *name == column.name));
    let up = ways.up.then(|| catalogue.up(places(catalogue, named), ways.edges_max));
    let down = ways.down.then(|| catalogue.down(places(catalogue, named), ways.edges_max));
    Lineage {
        dataset: named.dataset.clone(),
        version: known.and_then(|it| it.version),
        run_id: known.map(|it| it.run_id.clone()),
        columns,
        edges: (ways.up || ways.down).then(|| up.into_iter().chain(down).flatten().collect()),
    }
}

/// What breaks if `named` changes, as far as about so many edges tell, near ones first.
pub fn impact(catalogue: &Catalogue, named: Named, edges_max: usize) -> Impact {
    let from = places(catalogue, &named);
    let edges = catalogue.down(from.clone(), edges_max);
    let affected = affected(&from, &edges);
    Impact { dataset: named.dataset, column: named.column, affected, edges }
}

/// Where lineage is followed from: a column, or all columns of a dataset.
fn places(catalogue: &Catalogue, named: &Named) -> Vec<Place> {
    let columns = match &named.column {
        Some(column) => vec![column.as_str()],
        None => catalogue.columns(&named.dataset),
    };
    let place = |column: &str| Place { dataset: named.dataset.clone(), column: column.to_owned() };
    columns.into_iter().map(place).collect()
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
