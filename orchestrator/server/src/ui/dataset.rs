//! A dataset: its columns, its versions with the runs that made them, its checks over time, who writes and reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::{Path, State};
use flow::catalogue::{Catalogue, Dataset};
use flow::run::{Event, Record, RunState};
use flow::wire::CheckResult;
use flow::{Time, human};
use maud::{Markup, html};
use serde_json::Value;
use store::{Head, Version};
use tokio::time::timeout;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::run::wrong::Sample;
use super::words::{Mark, Tone, ago, at, cut, dataset_link, flow_link, name, run_link, value};
use super::{Shared, address};
use crate::look;
use crate::service::Service;

/// How many versions are listed.
const VERSIONS: u64 = 30;
/// How many runs are looked at for checks.
const RUNS: u64 = 20;
/// How long the lake may take to tell a size, and to hand out rows.
const PATIENCE: Duration = Duration::from_millis(120);
const ROWS_PATIENCE: Duration = Duration::from_secs(1);
/// How many rows are shown, how many columns of them, and how many characters of a value.
const ROWS: usize = 10;
const COLUMNS: usize = 30;
const CHARACTERS: usize = 60;

pub(super) async fn page(State(service): Shared, visitor: Visitor, Path(wanted): Path<String>) -> Page {
    let now = service.clock.now();
    let catalogue = service.catalogue().await?;
    let named = catalogue.resolve(&wanted).map_err(look::Error::from)?;
    let title = named.dataset.clone();
    let path = vec![("Datasets".to_owned(), "/datasets".to_owned())];
    let frame = Frame { title: &title, part: "/datasets", path, ..Frame::default() };
    let Some(known) = catalogue.datasets.get(&named.dataset) else {
        return Ok(frame.around(Some(&visitor), source(&catalogue, &named.dataset)));
    };
    let (flow, task) = known.dataset.split_once('.').unwrap_or((&known.dataset, ""));
    let (last, versions, events, size, rows) = tokio::join!(
        service.store.runs(Some(flow), None, 1),
        service.store.newest_versions(&known.dataset, VERSIONS),
        service.store.task_events(flow, task, RUNS),
        size(&service, known),
        sample(&service, known),
    );
    let (versions, events) = (versions?, events?);
    let body = html! {
        h1 { (name(&known.dataset)) @if known.version.is_none() { span.dim { "view" } } }
        (facts(known, flow, size, now))
        @if let Some(last) = last?.first() { (unrenewed(last, &events, now)) }
        div.two {
            section { h2 { "Columns" } (columns(known)) }
            div {
                section { h2 { "Read by" } (readers(&catalogue, &known.dataset)) }
                section { h2 { "Made of" } (inputs(&catalogue, known, now)) }
            }
        }
        section { h2 { "Some rows" } (rows_of(known, rows)) }
        section { h2 { "Checks over time" } (checks(&events)) }
        section { h2 { "Versions" } (table(&versions, now)) }
    };
    Ok(frame.around(Some(&visitor), body))
}

async fn size(service: &Service, known: &Dataset) -> Option<(u64, u64)> {
    known.version?;
    timeout(PATIENCE, service.compile.size(&known.dataset)).await.ok().flatten()
}

/// Some rows, or why there are none to show.
async fn sample(service: &Service, known: &Dataset) -> Result<Vec<Sample>, String> {
    if known.version.is_none() {
        return Err("a view is computed when it is read".to_owned());
    }
    let read = timeout(ROWS_PATIENCE, service.compile.sample(&known.dataset, ROWS)).await;
    read.unwrap_or_else(|_| Err("the lake has not answered in time".to_owned()))
        .map_err(|why| format!("they cannot be shown now: {why}"))
}

fn rows_of(known: &Dataset, rows: Result<Vec<Sample>, String>) -> Markup {
    let by_hand = format!("flowctl query 'select * from {} limit {ROWS}'", known.dataset);
    let more = known.columns.len().saturating_sub(COLUMNS);
    html! {
        @match rows {
            Err(why) => p.dim { (name(&why)) ". " code { (name(&by_hand)) } " reads them." },
            Ok(rows) if rows.is_empty() => p.dim { "It has none." },
            Ok(rows) => {
                div.wide tabindex="0" role="region" aria-label="Some rows" { table.small {
                    thead { tr { @for column in known.columns.iter().take(COLUMNS) { th scope="col" { (name(&column.name)) } } } }
                    tbody { @for row in &rows {
                        tr { @for column in known.columns.iter().take(COLUMNS) { td { (cell(row.get(&column.name))) } } }
                    } }
                } }
                @if more > 0 { p.dim { "And " (human::plural(more as u64, "more column")) "." } }
            }
        }
    }
}

fn cell(it: Option<&Value>) -> Markup {
    match it {
        None | Some(Value::Null) => html! { span.dim { "null" } },
        Some(it) => name(&cut(&value(it), CHARACTERS)),
    }
}

fn facts(known: &Dataset, flow: &str, size: Option<(u64, u64)>, now: Time) -> Markup {
    html! {
        dl.facts {
            div { dt { "Made by flow" } dd { (flow_link(flow)) } }
            @if let Some(version) = known.version { div { dt { "Version" } dd { (version) } } }
            div { dt { "Published" } dd { (ago(known.at, now)) " by " (run_link(&known.run_id)) } }
            @match size {
                Some((rows, bytes)) => {
                    div { dt { "Rows" } dd { (human::count(rows)) } }
                    div { dt { "Size" } dd { (human::bytes(bytes)) } }
                }
                None if known.version.is_some() => div { dt { "Rows" } dd.dim { "not read in time" } },
                None => {}
            }
            @if let Some(location) = &known.location { div { dt { "Location" } dd.mono { (name(location)) } } }
        }
    }
}

/// What is to be known when the last run of its flow did not get as far as this.
fn unrenewed(last: &Head, events: &[Record], now: Time) -> Markup {
    let tone = match last.state {
        RunState::Failed => Tone::Bad,
        RunState::Cancelled => Tone::Warn,
        RunState::Queued | RunState::Running | RunState::Succeeded => return html! {},
    };
    let why = match events.iter().rev().find(|it| it.run_id == last.run_id).map(|it| &it.event) {
        Some(Event::TaskSucceeded { .. }) => return html! {},
        Some(Event::TaskFailed { failure, .. }) => Some(failure.message.as_str()),
        _ => last.error.as_deref(),
    };
    html! {
        section.(tone.class()) {
            h2 { "Not updated by the last run" }
            p {
                (Mark::of_run(last.state)) " " (run_link(&last.run_id)) " " (ago(last.finished_at.unwrap_or(last.created_at), now))
                @if let Some(why) = why { ": " (name(why)) }
            }
        }
    }
}

fn columns(known: &Dataset) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Columns" { table {
            thead { tr { th scope="col" { "Column" } th scope="col" { "Type" } th scope="col" { "Comes from" } } }
            tbody { @for column in known.columns.iter() {
                @let from: BTreeSet<(&str, &str)> = column.inputs.iter()
                    .filter(|input| input.kind == flow::lineage::Kind::Direct)
                    .map(|input| (input.dataset.as_str(), input.column.as_str())).collect();
                tr {
                    th scope="row" { a href=(address::lineage(&known.dataset, Some(&column.name))) { (name(&column.name)) } }
                    td.mono { (column.kind) }
                    td.dim {
                        @for (dataset, column) in from.iter().take(4) { (name(dataset)) "." (name(column)) " " }
                        @if from.len() > 4 { "and " (from.len() - 4) " more" }
                    }
                }
            } }
        } }
        p { a.word href=(address::lineage(&known.dataset, None)) { "Lineage of all columns" } }
    }
}

fn readers(catalogue: &Catalogue, dataset: &str) -> Markup {
    let others = catalogue.readers(dataset).map(|it| it.dataset.as_str()).filter(|it| *it != dataset);
    let others: Vec<&str> = others.collect();
    html! {
        @if others.is_empty() { p.dim { "Nothing, as far as runs have recorded." } }
        ul.plain { @for dataset in others { li { (dataset_link(dataset)) } } }
    }
}

/// What it is made of, and whether that is newer.
fn inputs(catalogue: &Catalogue, known: &Dataset, now: Time) -> Markup {
    let all: BTreeSet<&str> =
        known.columns.iter().flat_map(|column| &column.inputs).map(|input| input.dataset.as_str()).collect();
    html! {
        @if all.is_empty() { p.dim { "Nothing that is recorded: a program makes it, or a query without tables." } }
        ul.plain { @for dataset in all {
            li {
                (dataset_link(dataset))
                @match catalogue.datasets.get(dataset) {
                    None => span.dim { "source" },
                    Some(input) => {
                        span.dim { @if let Some(version) = input.version { "v" (version) ", " } (ago(input.at, now)) }
                        @if known.is_behind(input) { (Mark::NEWER) }
                    }
                }
            }
        } }
    }
}

/// A row for each check, a sign for each run, oldest first.
fn checks(events: &[Record]) -> Markup {
    let mut found: BTreeMap<&str, Vec<(&Record, &CheckResult)>> = BTreeMap::new();
    for record in events {
        let checks = match &record.event {
            Event::TaskSucceeded { outcome, .. } => &outcome.checks,
            Event::TaskFailed { failure, .. } => &failure.checks,
            _ => continue,
        };
        for check in checks {
            found.entry(check.name.as_str()).or_default().push((record, check));
        }
    }
    html! {
        @if found.is_empty() { p.dim { "The last runs made no checks." } } @else {
            div.wide tabindex="0" role="region" aria-label="Checks over time" { table {
                thead { tr { th scope="col" { "Check" } th scope="col" { "The last runs, newest last" } th.num scope="col" { "Failed rows at last" } } }
                tbody { @for (check, results) in &found {
                    tr {
                        th scope="row" { (name(check)) }
                        td { @for (record, result) in results {
                            @let mark = Mark::of_check(result);
                            a.badge.(mark.tone.class()) href=(address::run(&record.run_id)) title=(format!("{}: {} {}", super::words::instant(record.at), mark.word, human::plural(result.failed_rows, "row"))) {
                                i aria-hidden="true" { (mark.sign) } span.unseen { (mark.word) }
                            }
                        } }
                        td.num { @if let Some((_, last)) = results.last() { (human::count(last.failed_rows)) } }
                    }
                } }
            } }
        }
    }
}

fn table(versions: &[Version], now: Time) -> Markup {
    html! {
        @if versions.is_empty() { p.dim { "None: a view is computed when it is read." } } @else {
            div.wide tabindex="0" role="region" aria-label="Versions" { table {
                thead { tr { th.num scope="col" { "Version" } th scope="col" { "Made by run" } th scope="col" { "Published" } th scope="col" { "Ago" } } }
                tbody { @for it in versions {
                    tr { td.num { (it.version) } td { (run_link(&it.run_id)) } td { (at(it.at)) } td { (ago(it.at, now)) } }
                } }
            } }
        }
    }
}

/// What is read and made by no run here.
fn source(catalogue: &Catalogue, dataset: &str) -> Markup {
    html! {
        h1 { (name(dataset)) span.dim { "source" } }
        div.two {
            section {
                h2 { "Columns that are read" }
                ul.plain { @for column in catalogue.columns(dataset) { li { a href=(address::lineage(dataset, Some(column))) { (name(column)) } } } }
            }
            section { h2 { "Read by" } (readers(catalogue, dataset)) }
        }
    }
}
