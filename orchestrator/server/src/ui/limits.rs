//! Pools and the limits of flows: how many slots there are, who holds them.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use flow::{Time, pools, spec};
use maud::{Markup, html};
use store::Hold;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{name, run_link, took};
use super::{Shared, address};
use crate::service::Service;

/// How many holders of a pool are listed.
const HOLDERS: usize = 20;

pub(super) async fn page(State(service): Shared, visitor: Visitor) -> Page {
    let now = service.clock.now();
    let holds = service.store.all_holds().await?;
    let sizes = service.store.pools();
    let own = own(&service);
    let names: BTreeSet<&String> = sizes.keys().chain(holds.keys()).chain(own.keys()).collect();
    let size = |pool: &String| sizes.get(pool).or_else(|| own.get(pool));
    let body = html! {
        h1 { "Limits" }
        section data-part="limits" {
            @if names.is_empty() {
                p { "There are none. " code { "[pools]" } " in flowctl.toml makes pools, " code { "pool" } " at a task takes a slot of one, and " code { "[limits]" } " in a flow bounds its own runs and tasks." }
            } @else {
                div.wide tabindex="0" role="region" aria-label="Pools" { table {
                    thead { tr { th scope="col" { "Pool" } th scope="col" { "Slots in use" } th scope="col" { "Held by" } } }
                    tbody { @for pool in names {
                        @let held = holds.get(pool).map_or(&[][..], Vec::as_slice);
                        tr {
                            th scope="row" { (name(pool)) }
                            td { (held.len()) @if let Some(size) = size(pool) { " of " (size) } }
                            td { (holders(held, now)) }
                        }
                    } }
                } }
            }
        }
    };
    Ok(Frame { title: "Limits", part: "/limits", every: Some(3), ..Frame::default() }.around(Some(&visitor), body))
}

/// The limits that flows set themselves, as pools.
pub(crate) fn own(service: &Service) -> BTreeMap<String, u32> {
    let mut own = BTreeMap::new();
    // Texts without the word need no reading.
    for flow in service.known_flows().iter().filter(|flow| flow.written.text.contains("limits")) {
        let Some(limits) = spec::parse(&flow.written.text).0.map(|flow| flow.limits) else { continue };
        let [runs, tasks] = [limits.runs, limits.tasks].map(|it| u32::try_from(it?.into_inner()).ok());
        own.extend(runs.map(|size| (pools::of_runs(&flow.name), size)));
        own.extend(tasks.map(|size| (pools::of_tasks(&flow.name), size)));
    }
    own
}

fn holders(held: &[Hold], now: Time) -> Markup {
    html! {
        @for hold in held.iter().take(HOLDERS) {
            div {
                (run_link(&hold.run_id))
                @if !hold.task.is_empty() { " " a href=(address::task(&hold.run_id, &hold.task)) { (name(&hold.task)) } }
                " " span.dim { "for " (took(Some(hold.since), None, now)) }
            }
        }
        @if held.len() > HOLDERS { div.dim { "and " (held.len() - HOLDERS) " more" } }
    }
}
