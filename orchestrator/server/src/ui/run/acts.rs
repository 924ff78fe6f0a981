//! What can be done about a run.

use axum::extract::{Path, State};
use axum::response::Redirect;
use flow::run::RunState;
use maud::{Markup, html};

use super::Seen;
use crate::look;
use crate::ui::fault::Fault;
use crate::ui::guard::{Posted, Visitor};
use crate::ui::{Shared, address};

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
                @if state.is_terminal() { (again(seen, visitor, None)) }
            }
        }
    }
}

/// A form that does the run again, from a task on or what did not succeed.
pub(in crate::ui) fn again(seen: &Seen, visitor: &Visitor, from: Option<&str>) -> Markup {
    let what = match (from, seen.run.state()) {
        (Some(_), _) => {
            "Does this task and all that come after it again, and what did not succeed; the rest is adopted."
        }
        (None, RunState::Succeeded) => "Everything succeeded: the new run adopts what has not changed since.",
        (None, _) => "A new run adopts what succeeded, unless it has changed since, and does the rest.",
    };
    html! {
        details.ask {
            summary { @if from.is_some() { "Retry from here…" } @else { "Retry…" } }
            p { (what) }
            form method="post" action=(format!("{}/retry", address::run(seen.run.id()))) {
                (visitor.seal())
                @if let Some(task) = from { input type="hidden" name="from" value=(task); }
                button.main type="submit" { "Start the retry" }
            }
        }
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
