//! Every flow with how it went lately and when it comes up next.

use std::collections::HashMap;

use axum::extract::{Query, State};
use flow::Time;
use futures::future::try_join_all;
use maud::{Markup, html};
use serde::Deserialize;
use store::{Head, Scheduled};

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{Mark, ago, clipped, flow_link, name};
use super::{Shared, address};

/// How many flows a page has.
const PAGE: usize = 100;
/// How many of its last runs are shown.
const RUNS: u64 = 10;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    from: usize,
}

/// A flow as a row.
struct Row {
    flow: String,
    schedule: Option<String>,
    next: Option<Time>,
    paused: bool,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor, Query(wanted): Query<Wanted>) -> Page {
    let now = service.clock.now();
    let known = service.store.schedules().await?;
    let mut flows = service.known_flows();
    flows.retain(|flow| flow.name.to_lowercase().contains(&wanted.search.to_lowercase()));
    flows.sort_by(|a, b| a.name.cmp(&b.name));
    let count = flows.len();
    let rows: Vec<Row> = flows.iter().skip(wanted.from).take(PAGE).map(|flow| row_of(flow, &known, now)).collect();
    let runs = try_join_all(rows.iter().map(|row| service.store.runs(Some(&row.flow), None, RUNS))).await?;
    let body = html! {
        h1 { "Flows" span.dim { (count) } }
        form.row method="get" action="/flows" {
            div { label for="search" { "Name contains" } input #search name="search" value=(wanted.search) maxlength="64"; }
            button type="submit" { "Search" }
        }
        section data-part="flows" {
            @if rows.is_empty() { p.dim { "No flows." } } @else { (table(rows.iter().zip(&runs), now)) }
        }
        nav.actions aria-label="Pages" {
            @if wanted.from > 0 { a.button href=(here(&wanted, wanted.from.saturating_sub(PAGE))) { "Before" } }
            @if wanted.from + PAGE < count { a.button href=(here(&wanted, wanted.from + PAGE)) { "After" } }
        }
    };
    Ok(Frame { title: "Flows", part: "/flows", every: Some(10), ..Frame::default() }.around(Some(&visitor), body))
}

fn here(wanted: &Wanted, from: usize) -> String {
    address::with("/flows", &[("search", &wanted.search), ("from", &from.to_string())])
}

fn row_of(flow: &crate::service::Flow, known: &HashMap<String, Scheduled>, now: Time) -> Row {
    let paused = known.get(&flow.name).is_some_and(|it| it.paused);
    let schedule = flow.schedule.as_ref();
    let next = schedule.filter(|_| !paused).and_then(|it| it.after(now).next());
    Row { flow: flow.name.clone(), schedule: schedule.map(|it| it.describe()), next, paused }
}

fn table<'r>(rows: impl Iterator<Item = (&'r Row, &'r Vec<Head>)>, now: Time) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Flows" { table {
            thead { tr {
                th scope="col" { "Flow" } th scope="col" { "Last run" } th scope="col" { "Lately" }
                th scope="col" { "Next" } th scope="col" { "Schedule" }
            } }
            tbody {
                @for (row, last) in rows {
                    tr {
                        th scope="row" { (flow_link(&row.flow)) }
                        td { @if let Some(head) = last.first() { a href=(address::run(&head.run_id)) { (Mark::of_run(head.state)) } " " (ago(head.created_at, now)) } }
                        td { (lately(last)) }
                        td { @if row.paused { (Mark::PAUSED) } @else if let Some(next) = row.next { (ago(next, now)) } @else { span.dim { "–" } } }
                        td.dim { @match &row.schedule { Some(schedule) => (clipped(schedule)), None => "none" } }
                    }
                }
            }
        } }
    }
}

/// The last runs, oldest first, a sign each.
pub(super) fn lately(heads: &[Head]) -> Markup {
    html! {
        span.nowrap {
            @for head in heads.iter().rev() {
                @let mark = Mark::of_run(head.state);
                span.badge.(mark.tone.class()) title=(mark.word) { i aria-hidden="true" { (mark.sign) } span.unseen { (name(mark.word)) } }
            }
        }
    }
}
