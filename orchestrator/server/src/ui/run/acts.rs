//! What can be done about a run.

use axum::extract::{Path, State};
use axum::response::Redirect;
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
