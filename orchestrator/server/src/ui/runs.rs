//! Runs: those of a flow or a state, a page at a time.

use axum::extract::{Query, State};
use flow::Time;
use flow::run::RunState;
use maud::{Markup, html};
use serde::Deserialize;
use store::{Head, Origin};

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{Mark, ago, clipped, flow_link, params, run_link, took};
use super::{Shared, address};
use crate::look;

/// How many runs a page has.
const PAGE: usize = 50;

const STATES: [(&str, RunState); 5] = [
    ("failed", RunState::Failed),
    ("running", RunState::Running),
    ("queued", RunState::Queued),
    ("succeeded", RunState::Succeeded),
    ("cancelled", RunState::Cancelled),
];

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    flow: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    cursor: String,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor, Query(wanted): Query<Wanted>) -> Page {
    let now = service.clock.now();
    let state = STATES.iter().find(|(word, _)| *word == wanted.state).map(|(_, state)| *state);
    let before = look::place(&wanted.cursor).unwrap_or((Time::MAX, ""));
    let flow = (!wanted.flow.is_empty()).then_some(wanted.flow.as_str());
    let mut heads = service.store.runs_before(before, flow, state, PAGE as u64 + 1).await?;
    let more = heads.len() > PAGE;
    heads.truncate(PAGE);
    let next = heads.last().filter(|_| more).map(|last| look::cursor(last.created_at, &last.run_id));
    let body = html! {
        h1 { "Runs" }
        (filter(&wanted))
        section data-part="runs" {
            @if heads.is_empty() { p.dim { "No runs." } } @else { (table(&heads, now)) }
        }
        nav.actions aria-label="Pages" {
            @if !wanted.cursor.is_empty() { a.button href=(here(&wanted, &wanted.state, "")) { "Newest" } }
            @if let Some(next) = next { a.button rel="next" href=(here(&wanted, &wanted.state, &next)) { "Older" } }
        }
    };
    Ok(Frame { title: "Runs", part: "/runs", every: Some(5), ..Frame::default() }.around(Some(&visitor), body))
}

fn here(wanted: &Wanted, state: &str, cursor: &str) -> String {
    address::with("/runs", &[("flow", &wanted.flow), ("state", state), ("cursor", cursor)])
}

fn filter(wanted: &Wanted) -> Markup {
    let current = |state: &str| (state == wanted.state).then_some("true");
    html! {
        form.row method="get" action="/runs" {
            div { label for="flow" { "Flow" } input #flow name="flow" value=(wanted.flow) size="24" maxlength="64"; }
            @if !wanted.state.is_empty() { input type="hidden" name="state" value=(wanted.state); }
            button type="submit" { "Show" }
        }
        ul.chips aria-label="States" {
            li { a href=(here(wanted, "", "")) aria-current=[current("")] { "all" } }
            @for (word, _) in STATES { li { a href=(here(wanted, word, "")) aria-current=[current(word)] { (word) } } }
        }
    }
}

/// Runs as rows.
pub(super) fn table(heads: &[Head], now: Time) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Runs" { table.stack {
            thead { tr {
                th scope="col" { "State" } th scope="col" { "Flow" } th scope="col" { "Run" } th scope="col" { "Made" }
                th.num scope="col" { "Took" } th scope="col" { "Logical time and parameters" } th scope="col" { "Error" }
            } }
            tbody { @for head in heads { (row(head, now)) } }
        } }
    }
}

fn row(head: &Head, now: Time) -> Markup {
    html! {
        tr {
            td { (Mark::of_run(head.state)) }
            td { (flow_link(&head.flow)) }
            td { (run_link(&head.run_id)) }
            td { (ago(head.created_at, now)) " " span.dim { (cause(head)) } }
            td.num { (took(head.started_at, head.finished_at, now)) }
            td {
                @if let Some(time) = head.logical_time { (super::words::at(time)) " " }
                (params(&head.params))
            }
            td.dim { @if let Some(error) = &head.error { (clipped(error)) } }
        }
    }
}

/// Who made the run.
pub(super) fn cause(head: &Head) -> &'static str {
    match (head.retry_of.is_some(), head.origin) {
        (true, _) => "as a retry",
        (_, Origin::Run) => "from the command line",
        (_, Origin::Service) => "through the server",
        (_, Origin::Schedule) => "by schedule",
    }
}
