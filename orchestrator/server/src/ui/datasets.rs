//! Every dataset that a run has published.

use std::collections::{BTreeSet, HashMap};

use axum::extract::{Query, State};
use flow::Time;
use flow::catalogue::Dataset;
use futures::future::try_join_all;
use maud::{Markup, html};
use serde::Deserialize;
use store::Head;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{Mark, ago, dataset_link, run_link};
use super::{Shared, address};
use crate::service::Service;

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
    let has = |dataset: &str, column: &str| format!("{dataset}.{column}").to_lowercase().contains(&search);
    let wants = |it: &&Dataset| has(&it.dataset, "") || it.columns.iter().any(|column| has(&it.dataset, &column.name));
    let all: Vec<&Dataset> = catalogue.datasets.values().filter(wants).collect();
    let sources = catalogue.sources().filter_map(|(source, mut columns)| {
        (has(source, "") || columns.any(|column| has(source, column))).then_some(source)
    });
    let sources: Vec<&str> = sources.take(PAGE).collect();
    let shown = || all.iter().copied().skip(wanted.from).take(PAGE);
    let last = last_runs(&service, shown()).await?;
    let here = |from: usize| address::with("/datasets", &[("search", &wanted.search), ("from", &from.to_string())]);
    let body = html! {
        h1 { "Datasets" span.dim { (all.len()) } }
        form.row method="get" action="/datasets" {
            div { label for="search" { "Dataset or column contains" } input #search name="search" value=(wanted.search) maxlength="128"; }
            button type="submit" { "Search" }
        }
        section {
            @if !all.is_empty() { (table(shown(), &last, now)) }
            @else if !search.is_empty() { p.dim { "No dataset and no column is called that." } }
            @else { p.dim { "No datasets. Runs publish them." } }
        }
        @if !sources.is_empty() && wanted.from == 0 {
            section {
                h2 { "Sources" }
                ul.plain { @for source in sources { li { (dataset_link(source)) } } }
            }
        }
        nav.actions aria-label="Pages" {
            @if wanted.from > 0 { a.button href=(here(wanted.from.saturating_sub(PAGE))) { "Before" } }
            @if wanted.from + PAGE < all.len() { a.button href=(here(wanted.from + PAGE)) { "After" } }
        }
    };
    Ok(Frame { title: "Datasets", part: "/datasets", ..Frame::default() }.around(Some(&visitor), body))
}

/// The last run of each flow that makes one of the datasets.
async fn last_runs<'d>(
    service: &Service,
    datasets: impl Iterator<Item = &'d Dataset>,
) -> Result<HashMap<&'d str, Head>, store::Error> {
    let flows: BTreeSet<&str> = datasets.map(|it| flow_of(&it.dataset)).collect();
    let last = flows.into_iter().map(async |flow| Ok((flow, service.store.runs(Some(flow), None, 1).await?.pop())));
    let last: Vec<_> = try_join_all(last).await?;
    Ok(last.into_iter().filter_map(|(flow, head)| Some((flow, head?))).collect())
}

fn flow_of(dataset: &str) -> &str {
    dataset.split_once('.').map_or(dataset, |(flow, _)| flow)
}

fn table<'d>(datasets: impl Iterator<Item = &'d Dataset>, last: &HashMap<&str, Head>, now: Time) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Datasets" { table.stack {
            thead { tr {
                th scope="col" { "Dataset" } th.num scope="col" { "Version" } th scope="col" { "Published" } th scope="col" { "By run" }
                th scope="col" { "Last run of its flow" } th.num scope="col" { "Columns" } th scope="col" { "Lineage" }
            } }
            tbody { @for it in datasets {
                tr {
                    th scope="row" { (dataset_link(&it.dataset)) }
                    td.num { @match it.version { Some(version) => (version), None => span.dim { "view" } } }
                    td { (ago(it.at, now)) }
                    td { (run_link(&it.run_id)) }
                    td { @if let Some(head) = last.get(flow_of(&it.dataset)) { a href=(address::run(&head.run_id)) { (Mark::of_run(head.state)) } } }
                    td.num { (it.columns.len()) }
                    td { a href=(address::lineage(&it.dataset, None)) { "columns" span.unseen { " of " (it.dataset) } } }
                }
            } }
        } }
    }
}
