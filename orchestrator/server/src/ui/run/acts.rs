//! What can be done about a run.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Redirect;
use flow::run::{self, RunState};
use maud::{Markup, html};

use super::Seen;
use crate::look;
use crate::ui::fault::Fault;
use crate::ui::guard::{Posted, Visitor};
use crate::ui::words::name;
use crate::ui::{Shared, address};

/// How many tasks are named of those that a retry does again, and of those that it keeps.
const NAMES: usize = 8;

/// The forms for the whole run.
pub(super) fn forms(seen: &Seen, visitor: &Visitor) -> Markup {
    let state = seen.run.state();
    let run_id = seen.run.id();
    html! {
        @if visitor.may_run() {
            div.actions {
                @if !state.is_terminal() && seen.run.cancelled_by().is_none() {
                    details.ask {
                        summary { "Cancel…" }
                        p { "What is running is stopped, and nothing new starts. What was published stays." }
                        form method="post" action=(format!("{}/cancel", address::run(run_id))) {
                            (visitor.seal())
                            button.danger type="submit" { "Cancel this run" }
                        }
                    }
                }
                // A failed run has the form where it says why it failed.
                @if state.is_terminal() && state != RunState::Failed { (again(seen, visitor, None)) }
            }
        }
    }
}

/// A form that does the run again, from a task on or what did not succeed.
pub(in crate::ui) fn again(seen: &Seen, visitor: &Visitor, from: Option<&str>) -> Markup {
    let (run, plan) = (&seen.run, seen.run.plan());
    let from_on: Vec<String> = from.iter().map(|task| (*task).to_owned()).collect();
    let kept = run::adopt(run, &seen.pins, plan, &seen.pins, &from_on).unwrap_or_default();
    let kept: BTreeSet<String> = kept.into_iter().map(|(task, _)| task).collect();
    let again = plan.tasks.iter().map(|task| task.name.as_str()).filter(|task| !kept.contains(*task));
    let (again, kept): (Vec<&str>, Vec<&str>) = (again.collect(), kept.iter().map(String::as_str).collect());
    html! {
        details.ask {
            summary { @if from.is_some() { "Retry from here…" } @else { "Retry…" } }
            p { "Makes a new run of the same flow." }
            @if !again.is_empty() { p { "Does again: " (names(&again)) } }
            @if !kept.is_empty() { p { "Keeps what has not changed since of: " (names(&kept)) } }
            @if from.is_some() || seen.head.force { p.dim { "The cache is not used." } }
            form method="post" action=(format!("{}/retry", address::run(seen.run.id()))) {
                (visitor.seal())
                @if let Some(task) = from { input type="hidden" name="from" value=(task); }
                button.main type="submit" { "Start the retry" }
            }
        }
    }
}

fn names(tasks: &[&str]) -> Markup {
    html! {
        @for (n, task) in tasks.iter().take(NAMES).enumerate() { @if n > 0 { ", " } (name(task)) }
        @if tasks.len() > NAMES { " and " (tasks.len() - NAMES) " more" }
    }
}

pub(in crate::ui) async fn cancel(
    State(service): Shared,
    visitor: Visitor,
    Path(run): Path<String>,
    _posted: Posted,
) -> Result<Redirect, Fault> {
    look::cancel(&service.store, &run, &visitor.pass.signature(), service.clock.now()).await?;
    Ok(Redirect::to(&address::run(&run)))
}

pub(in crate::ui) async fn retry(
    State(service): Shared,
    Path(run): Path<String>,
    posted: Posted,
) -> Result<Redirect, Fault> {
    let run_id = service.store.find(&run).await?;
    let from: Vec<String> =
        Some(posted.get("from")).filter(|it| !it.is_empty()).map(str::to_owned).into_iter().collect();
    let (made, _) = service.again(&run_id, &from, None).await?;
    Ok(Redirect::to(&address::run(&made)))
}
