//! A run: how it goes, what went wrong and what that affects, its graph and its tasks.

pub(super) mod acts;
mod tasks;
pub(super) mod wrong;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use flow::run::{Outlook, Record, Run, RunState};
use flow::wire::Pins;
use flow::{Time, view};
use futures::future::OptionFuture;
use maud::{Markup, html};
use store::{Head, Store};

use super::fault::Fault;
use super::frame::Frame;
use super::graph::of_run;
use super::guard::Visitor;
use super::words::{Mark, at, name, params, run_link, short, took};
use super::{Shared, address, runs};
use crate::look;

pub(super) use acts::{cancel, retry};

/// How many reasons why a run does not go on are told.
const REASONS: usize = 8;

/// A run as the store has it.
pub(super) struct Seen {
    pub head: Head,
    pub run: Run,
    pub pins: Pins,
    pub records: Vec<Record>,
}

impl Seen {
    pub async fn load(store: &Store, run_id: &str) -> Result<Seen, store::Error> {
        let loaded = store.load(run_id).await?;
        let run = Run::replay(Arc::new(loaded.plan), run_id, &loaded.records);
        Ok(Seen { head: loaded.head, run, pins: loaded.pins, records: loaded.records })
    }

    /// The number of the last event that is known.
    fn last(&self) -> u64 {
        self.records.last().map_or(0, |record| record.seq)
    }

    /// Where a page hears of what happens next.
    pub fn live(&self, logs: bool) -> Option<String> {
        let address = format!("{}/live?after={}&logs={logs}", address::run(self.run.id()), self.last());
        (!self.run.state().is_terminal()).then_some(address)
    }

    /// The pages above those of the run's tasks.
    pub fn path(&self) -> Vec<(String, String)> {
        let flow = &self.run.plan().flow;
        vec![
            ("Flows".to_owned(), "/flows".to_owned()),
            (flow.clone(), address::flow(flow)),
            (format!("run {}", short(self.run.id())), address::run(self.run.id())),
        ]
    }
}

pub(super) async fn page(
    State(service): Shared,
    visitor: Visitor,
    Path(reference): Path<String>,
    Query(shown): Query<tasks::Shown>,
) -> Result<Response, Fault> {
    let run_id = service.store.find(&reference).await?;
    if run_id != reference {
        return Ok(Redirect::to(&address::run(&run_id)).into_response());
    }
    let seen = Seen::load(&service.store, &run_id).await?;
    let now = service.clock.now();
    let outlook = look::outlook(&service.store, Some(&service.hall), &seen.run, now).await?;
    let paused = look::paused(&service.store, &seen.head.flow).await?;
    let failed = seen.run.state() == RunState::Failed;
    let catalogue = if failed { Some(service.catalogue().await?) } else { None };
    let first = wrong::failed(&seen.run).next().filter(|_| failed);
    let rejected = OptionFuture::from(first.map(|id| wrong::rejected(&service, &seen, id))).await.unwrap_or_default();
    let after = service.store.retries(&seen.head).await?;
    let title = format!("{} run {}", seen.head.flow, short(&run_id));
    let mut path = seen.path();
    path.pop();
    let body = html! {
        h1 { span { "Run of " (name(&seen.head.flow)) } span.mono.dim { (short(&run_id)) } span role="status" data-part="state" { (Mark::of_run(seen.run.state())) } }
        div data-part="facts" { (facts(&seen, &after, now)) }
        div data-part="acts" { (acts::forms(&seen, &visitor)) }
        div data-part="wrong" {
            @if let Some(catalogue) = &catalogue { (wrong::section(&seen, &visitor, catalogue, &rejected, now)) }
            (reasons(&seen, &outlook))
            @if let Some(paused) = &paused { section.warn { p { (name(&paused.message)) } } }
        }
        section data-part="graph" { h2 { "Graph" } (of_run(&seen.run)) }
        section data-part="tasks" { (tasks::section(&seen, &shown, now)) }
        p { a.word href=(format!("{}/events", address::run(&run_id))) { "Journal" } }
    };
    let frame = Frame { title: &title, part: "/runs", path, live: seen.live(false), ..Frame::default() };
    Ok(frame.around(Some(&visitor), body).into_response())
}

fn facts(seen: &Seen, after: &[String], now: Time) -> Markup {
    let head = &seen.head;
    html! {
        dl.facts {
            div { dt { "Made" } dd { (at(head.created_at)) " " (runs::cause(head)) } }
            @if let Some(time) = head.logical_time { div { dt { "Logical time" } dd { (at(time)) } } }
            @if seen.run.started_at().is_some() {
                div { dt { @if head.finished_at.is_some() { "Took" } @else { "Running for" } } dd { (took(seen.run.started_at(), seen.run.finished_at(), now)) } }
            }
            @if !head.params.is_empty() { div { dt { "Parameters" } dd { (params(&head.params)) } } }
            @if let Some(select) = &seen.run.plan().selection { div { dt { "Only" } dd.mono { (name(select)) } } }
            @if head.force { div { dt { "Cache" } dd { "not used" } } }
            @if let Some(earlier) = &head.retry_of { div { dt { "Retry of" } dd { (run_link(earlier)) } } }
            @if let Some(later) = after.first() { div { dt { "Retried by" } dd { (run_link(later)) } } }
            @if let Some(by) = seen.run.cancelled_by() { div { dt { "Cancelled by" } dd { (name(by)) } } }
        }
    }
}

/// Why it does not go on, or ended as it did.
fn reasons(seen: &Seen, outlook: &Outlook) -> Markup {
    if matches!(seen.run.state(), RunState::Succeeded | RunState::Failed) {
        return html! {};
    }
    // It is asked about the whole run, so no name can be missed.
    let reasons = view::why(&seen.run, &seen.records, None, outlook).map(|why| why.reasons).unwrap_or_default();
    let told: Vec<_> = reasons.iter().filter(|it| !matches!(it.kind.as_str(), "duration" | "skipped")).collect();
    html! {
        @if !told.is_empty() {
            section.busy {
                h2 { "What it waits for" }
                ul.plain {
                    @for reason in told.iter().take(REASONS) {
                        li {
                            @if let Some(task) = &reason.task { a href=(address::task(seen.run.id(), task)) { (name(task)) } }
                            span { (name(&reason.message)) }
                        }
                    }
                }
                @if told.len() > REASONS { p.dim { "And " (told.len() - REASONS) " more." } }
            }
        }
    }
}
