//! Every dataset that a run has published.

use axum::extract::{Query, State};
use flow::Time;
use flow::catalogue::Dataset;
use maud::{Markup, html};
use serde::Deserialize;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{ago, dataset_link, run_link};
use super::{Shared, address};

/// How many datasets a page has.
const PAGE: usize = 100;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    from: usize,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor, Query(wanted): Query<Wanted>) -> Page {
    let now = service.clock.now();
    let catalogue = service.catalogue().await?;
    let search = wanted.search.to_lowercase();
    let has = |it: &Dataset| {
        it.dataset.to_lowercase().contains(&search)
            || it.columns.iter().any(|column| column.name.to_lowercase().contains(&search))
    };
    let all: Vec<&Dataset> = catalogue.datasets.values().filter(|it| has(it)).collect();
    let here = |from: usize| address::with("/datasets", &[("search", &wanted.search), ("from", &from.to_string())]);
    let body = html! {
        h1 { "Datasets" span.dim { (all.len()) } }
        form.row method="get" action="/datasets" {
            div { label for="search" { "Dataset or column contains" } input #search name="search" value=(wanted.search) maxlength="128"; }
            button type="submit" { "Search" }
        }
        section {
            @if all.is_empty() { p.dim { "No datasets. Runs publish them." } } @else {
                (table(all.iter().copied().skip(wanted.from).take(PAGE), now))
            }
        }
        nav.actions aria-label="Pages" {
            @if wanted.from > 0 { a.button href=(here(wanted.from.saturating_sub(PAGE))) { "Before" } }
            @if wanted.from + PAGE < all.len() { a.button href=(here(wanted.from + PAGE)) { "After" } }
        }
    };
    Ok(Frame { title: "Datasets", part: "/datasets", ..Frame::default() }.around(Some(&visitor), body))
}

fn table<'d>(datasets: impl Iterator<Item = &'d Dataset>, now: Time) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Datasets" { table {
            thead { tr {
                th scope="col" { "Dataset" } th.num scope="col" { "Version" } th scope="col" { "Published" } th scope="col" { "By run" }
                th.num scope="col" { "Columns" } th scope="col" { "Lineage" }
            } }
            tbody { @for it in datasets {
                tr {
                    th scope="row" { (dataset_link(&it.dataset)) }
                    td.num { @match it.version { Some(version) => (version), None => span.dim { "view" } } }
                    td { (ago(it.at, now)) }
                    td { (run_link(&it.run_id)) }
                    td.num { (it.columns.len()) }
                    td { a href=(address::lineage(&it.dataset, None)) { "columns" span.unseen { " of " (it.dataset) } } }
                }
            } }
        } }
    }
}
