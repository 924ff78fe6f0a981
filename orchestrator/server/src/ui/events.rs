//! What happened: the journal of a run, and lately in all of them.

use axum::extract::{Path, Query, State};
use flow::Time;
use flow::run::{Event, Record};
use maud::{Markup, html};
use serde::Deserialize;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{Mark, at, name, run_link, short};
use super::{Shared, address, task};

/// How many events a page has.
const PAGE: u64 = 200;
/// In how many of the last runs they are looked for.
const RUNS: u64 = 25;

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    after: u64,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor) -> Page {
    let records = service.store.recent_events(RUNS, PAGE).await?;
    let body = html! {
        h1 { "Events" }
        p { "What the journals of the last runs say, newest first." }
        section data-part="events" { (table(&records, true)) }
    };
    Ok(Frame { title: "Events", part: "/events", every: Some(3), ..Frame::default() }.around(Some(&visitor), body))
}

pub(super) async fn of_run(
    State(service): Shared,
    visitor: Visitor,
    Path(run): Path<String>,
    Query(From { after }): Query<From>,
) -> Page {
    let run_id = service.store.find(&run).await?;
    let head = service.store.head(&run_id).await?;
    let records = service.store.events(&run_id, after, PAGE).await?;
    let next = records.last().map(|last| last.seq).filter(|_| records.len() as u64 == PAGE);
    let here =
        |after: Time| address::with(&format!("{}/events", address::run(&run_id)), &[("after", &after.to_string())]);
    let body = html! {
        h1 { "Journal" span.mono.dim { (short(&run_id)) } }
        section { (table(&records, false)) }
        nav.actions aria-label="Pages" {
            @if after > 0 { a.button href=(here(0)) { "From the beginning" } }
            @if let Some(next) = next { a.button rel="next" href=(here(next)) { "Further" } }
        }
    };
    let path = vec![
        (head.flow.clone(), address::flow(&head.flow)),
        (format!("run {}", short(&run_id)), address::run(&run_id)),
    ];
    Ok(Frame { title: "Journal", part: "/runs", path, ..Frame::default() }.around(Some(&visitor), body))
}

fn table(records: &[Record], with_run: bool) -> Markup {
    html! {
        @if records.is_empty() { p.dim { "Nothing." } } @else {
            div.wide tabindex="0" role="region" aria-label="Events" { table.stack {
                thead { tr {
                    th scope="col" { "When" } @if with_run { th scope="col" { "Run" } } th.num scope="col" { "No" }
                    th scope="col" { "Task" } th scope="col" { "What" }
                } }
                tbody { @for record in records {
                    tr {
                        td { (at(record.at)) }
                        @if with_run { td { (run_link(&record.run_id)) } }
                        td.num.dim { (record.seq) }
                        td { @if let Some((task, attempt)) = record.event.task() { a href=(address::task(&record.run_id, task)) { (name(task)) } @if attempt > 1 { span.dim { " attempt " (attempt) } } } }
                        td { (what(&record.event)) }
                    }
                } }
            } }
        }
    }
}

fn what(event: &Event) -> Markup {
    html! {
        @match event {
            Event::RunCreated => "the run was made",
            Event::RunStarted => "the run began",
            Event::CancelRequested { by } => { "to be cancelled, says " (name(by)) }
            Event::TaskStarted { worker, .. } => { "began on " (name(worker)) }
            Event::RunClosed { state, error } => {
                "the run is over: " (Mark::of_run(*state))
                @if let Some(error) = error { " " (name(error)) }
            }
            other => (task::ending(other)),
        }
    }
}
