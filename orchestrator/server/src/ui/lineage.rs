//! The lineage explorer: columns of datasets from left to right. A column that is chosen lights up what it comes from
//! and what is made of it.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, Query, State};
use flow::catalogue::{Catalogue, Named};
use flow::lineage::Kind;
use flow::view::{self, Edge, Impact, Lineage, Place, Ways};
use maud::{Markup, html};
use serde::Deserialize;

use super::fault::{Fault, Page};
use super::frame::Frame;
use super::graph::{Layout, Shape, arrow, layout};
use super::guard::Visitor;
use super::words::{cut, dataset_link, name};
use super::{Shared, address};
use crate::look;

/// How many datasets the picture holds, near ones first.
const DATASETS: usize = 40;
/// How many columns of a dataset, those that matter first.
const COLUMNS: usize = 24;
/// How many lines of a list.
const LISTED: usize = 200;
/// About how many edges are followed each way: beyond them nobody looks at a page.
const FOLLOWED: usize = 4_000;
/// How many edges are drawn.
const EDGES: usize = 600;
const ROW: i64 = 19;
const HEAD: i64 = 24;
const WIDTH: u32 = 180;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    column: String,
}

/// A dataset as a box with rows.
struct Table<'l> {
    dataset: &'l str,
    columns: Vec<&'l str>,
    hidden: usize,
}

pub(super) async fn page(
    State(service): Shared,
    visitor: Visitor,
    Path(dataset): Path<String>,
    Query(Wanted { column }): Query<Wanted>,
) -> Page {
    let ways = Ways { up: true, down: true, edges_max: FOLLOWED };
    let catalogue = service.catalogue().await?;
    let named = Named { column: None, ..catalogue.resolve(&dataset).map_err(look::Error::from)? };
    let source = look::source(&service.store, &catalogue, &named).await?;
    let whole = view::lineage(&catalogue, &named, source, ways);
    let chosen = Place { dataset: whole.dataset.clone(), column };
    let (found, impact) = if chosen.column.is_empty() {
        (None, view::impact(&catalogue, named, FOLLOWED))
    } else if whole.columns.iter().any(|column| column.name == chosen.column) {
        let named = Named { column: Some(chosen.column.clone()), ..named };
        (Some(view::lineage(&catalogue, &named, vec![], ways)), view::impact(&catalogue, named, FOLLOWED))
    } else {
        return Err(Fault::not_found(format!("dataset `{}` has no column `{}`", whole.dataset, chosen.column)));
    };
    let edges = near(found.as_ref().unwrap_or(&whole));
    let body = html! {
        h1 { span { "Lineage of " (dataset_link(&whole.dataset)) @if found.is_some() { "." (name(&chosen.column)) } } }
        p { "Choose a column: what it comes from lights up on its left, what is made of it on its right." @if found.is_some() { " " a href=(address::lineage(&whole.dataset, None)) { "All columns" } } }
        section { h2 { "Columns" } (picture(&catalogue, &whole, &edges, &chosen)) p.legend { "Solid lines carry values; dashed ones are indirect: they decide which rows there are, or how they are grouped or sorted." } }
        div.two {
            section { h2 { "Comes from" } (sources(&edges, &impact.edges)) }
            section { h2 { "What a change would affect" } (affected(&impact)) }
        }
    };
    let path = vec![
        ("Datasets".to_owned(), "/datasets".to_owned()),
        (whole.dataset.clone(), address::dataset(&whole.dataset)),
    ];
    let title = format!("Lineage of {}", whole.dataset);
    Ok(Frame { title: &title, part: "/datasets", path, ..Frame::default() }.around(Some(&visitor), body))
}

/// The edges, near ones first, direct ones before indirect ones, each pair of columns once.
fn near(lineage: &Lineage) -> Vec<Edge> {
    let mut edges = lineage.edges.clone().unwrap_or_default();
    edges.sort_by(|a, b| (a.hops, a.kind, &a.from, &a.to).cmp(&(b.hops, b.kind, &b.from, &b.to)));
    let mut seen = BTreeSet::new();
    edges.retain(|edge| seen.insert((edge.from.clone(), edge.to.clone())));
    edges
}

fn picture(catalogue: &Catalogue, whole: &Lineage, edges: &[Edge], chosen: &Place) -> Markup {
    let tables = tables(catalogue, whole, edges, chosen);
    let at: BTreeMap<&str, usize> = tables.iter().enumerate().map(|(at, table)| (table.dataset, at)).collect();
    let pairs: BTreeSet<(usize, usize)> = edges
        .iter()
        .filter_map(|edge| Some((*at.get(edge.from.dataset.as_str())?, *at.get(edge.to.dataset.as_str())?)))
        .filter(|(from, to)| from != to)
        .collect();
    let height =
        |table: &Table<'_>| (HEAD + ROW * (table.columns.len() + usize::from(table.hidden > 0)) as i64 + 6) as u32;
    let boxes = tables.iter().map(|table| (WIDTH, height(table))).collect();
    let layout = layout(Shape { boxes, edges: pairs.into_iter().collect() });
    let rows: BTreeMap<(&str, &str), (i64, i64)> = rows(&tables, &layout);
    let is_lit = !chosen.column.is_empty();
    let lit: BTreeSet<&Place> = edges.iter().flat_map(|edge| [&edge.from, &edge.to]).filter(|_| is_lit).collect();
    html! {
        div.picture tabindex="0" role="region" aria-label="Columns and what they are made of" {
            svg width=(layout.width) height=(layout.height) viewBox=(format!("0 0 {} {}", layout.width, layout.height)) role="group" aria-label="Columns" {
                (arrow())
                @for (table, corner) in tables.iter().zip(&layout.corners) { (drawn(table, *corner, height(table), chosen, &lit)) }
                @for edge in edges.iter().take(EDGES) { (hop(edge, &rows, is_lit)) }
            }
        }
        @if edges.len() > EDGES { p.dim { "The nearest " (EDGES) " of " (edges.len()) @if edges.len() >= FOLLOWED { " and more" } " edges are drawn." } }
    }
}

/// The datasets that the edges touch, each with the columns that they touch; of the one in question all.
fn tables<'l>(catalogue: &'l Catalogue, whole: &'l Lineage, edges: &'l [Edge], chosen: &Place) -> Vec<Table<'l>> {
    let mut touched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut order: Vec<&str> = vec![&whole.dataset];
    for place in edges.iter().flat_map(|edge| [&edge.from, &edge.to]) {
        touched.entry(&place.dataset).or_default().insert(&place.column);
        if !order.contains(&place.dataset.as_str()) && order.len() < DATASETS {
            order.push(&place.dataset);
        }
    }
    let table = |dataset: &'l str| {
        let own = dataset == whole.dataset;
        let known: Vec<&str> = match own {
            true => whole.columns.iter().map(|column| column.name.as_str()).collect(),
            false => catalogue.columns(dataset),
        };
        let marked = touched.get(dataset);
        let matters =
            |column: &&str| marked.is_some_and(|marked| marked.contains(*column)) || (own && *column == chosen.column);
        let (first, rest): (Vec<&str>, Vec<&str>) = known.into_iter().partition(matters);
        let all: Vec<&str> = first.into_iter().chain(rest.into_iter().filter(|_| own)).collect();
        let hidden = all.len().saturating_sub(COLUMNS);
        Table { dataset, columns: all.into_iter().take(COLUMNS).collect(), hidden }
    };
    order.into_iter().map(table).collect()
}

/// Where the row of each column is: its left end, at half height.
fn rows<'l>(tables: &[Table<'l>], layout: &Layout) -> BTreeMap<(&'l str, &'l str), (i64, i64)> {
    let mut rows = BTreeMap::new();
    for (table, (x, y)) in tables.iter().zip(&layout.corners) {
        for (at, column) in table.columns.iter().enumerate() {
            rows.insert((table.dataset, *column), (*x, y + HEAD + ROW * at as i64 + ROW / 2));
        }
    }
    rows
}

fn drawn(table: &Table<'_>, (x, y): (i64, i64), height: u32, chosen: &Place, lit: &BTreeSet<&Place>) -> Markup {
    html! {
        g {
            rect.table-box x=(x) y=(y) width=(WIDTH) height=(height) rx="5" {}
            a href=(address::dataset(table.dataset)) { title { (table.dataset) } text x=(x + 10) y=(y + 16) { (cut(table.dataset, 24)) } }
            @for (at, column) in table.columns.iter().enumerate() {
                @let place = Place { dataset: table.dataset.to_owned(), column: (*column).to_owned() };
                @let top = y + HEAD + ROW * at as i64;
                @let class = if place == *chosen { "chosen" } else if lit.contains(&place) { "lit" } else { "plain" };
                a.(class) href=(address::lineage(table.dataset, Some(column))) aria-current=[(place == *chosen).then_some("true")] {
                    title { (table.dataset) "." (column) }
                    rect.box x=(x + 5) y=(top) width=(WIDTH - 10) height=(ROW - 2) rx="3" {}
                    text x=(x + 12) y=(top + 13) { (cut(column, 23)) }
                }
            }
            @if table.hidden > 0 { text.note x=(x + 12) y=(y + HEAD + ROW * table.columns.len() as i64 + 13) { "and " (table.hidden) " more" } }
        }
    }
}

fn hop(edge: &Edge, rows: &BTreeMap<(&str, &str), (i64, i64)>, is_lit: bool) -> Markup {
    let row = |place: &Place| rows.get(&(place.dataset.as_str(), place.column.as_str())).copied();
    let (Some((x0, y0)), Some((x1, y1))) = (row(&edge.from), row(&edge.to)) else { return html! {} };
    let (x0, x1) = (x0 + i64::from(WIDTH) - 5, x1 + 4);
    let bend = ((x1 - x0) / 2).max(24);
    let path = format!("M{x0} {y0}C{} {y0} {} {y1} {x1} {y1}", x0 + bend, x1 - bend);
    let kind = if edge.kind == Kind::Direct { "direct" } else { "indirect" };
    let lit = if is_lit { "lit" } else { "faint" };
    html! { path.edge.(kind).(lit) d=(path) marker-end="url(#arrow)" {} }
}

/// Everything that it comes from, near ones first.
fn sources(edges: &[Edge], down: &[Edge]) -> Markup {
    let down: BTreeSet<(&Place, &Place)> = down.iter().map(|edge| (&edge.from, &edge.to)).collect();
    let up: Vec<&Edge> = edges.iter().filter(|edge| !down.contains(&(&edge.from, &edge.to))).collect();
    html! {
        @if up.is_empty() { p.dim { "Of nothing that is recorded." } } @else {
            div.wide tabindex="0" role="region" aria-label="Comes from" { table {
                thead { tr { th.num scope="col" { "Hops" } th scope="col" { "Column" } th scope="col" { "How" } th scope="col" { "Into" } } }
                tbody { @for edge in up.iter().take(LISTED) {
                    tr { td.num { (edge.hops) } th scope="row" { (column_link(&edge.from)) } td { (how(edge)) } td { (column_link(&edge.to)) } }
                } }
            } }
            @if up.len() > LISTED { p.dim { "And " (up.len() - LISTED) @if up.len() >= FOLLOWED { " and many" } " more." } }
        }
    }
}

fn how(edge: &Edge) -> String {
    let indirect = if edge.kind == Kind::Indirect { " (indirect)" } else { "" };
    format!("{}{indirect}", edge.subtype.word())
}

fn column_link(place: &Place) -> Markup {
    html! { a href=(address::lineage(&place.dataset, Some(&place.column))) { (name(&place.dataset)) "." (name(&place.column)) } }
}

/// What breaks.
fn affected(impact: &Impact) -> Markup {
    html! {
        @if impact.affected.is_empty() { p.dim { "Nothing is made of it." } } @else {
            div.wide tabindex="0" role="region" aria-label="What a change would affect" { table {
                thead { tr { th.num scope="col" { "Hops" } th scope="col" { "Column" } th scope="col" { "How" } } }
                tbody { @for it in impact.affected.iter().take(LISTED) {
                    @let place = Place { dataset: it.dataset.clone(), column: it.column.clone() };
                    tr { td.num { (it.hops) } th scope="row" { (column_link(&place)) } td { @if it.kind == Kind::Direct { "its values" } @else { "which rows (indirect)" } } }
                } }
            } }
            @if impact.affected.len() > LISTED { p.dim { "And " (impact.affected.len() - LISTED) @if impact.edges.len() >= FOLLOWED { " and many" } " more." } }
        }
    }
}
