//! Workers of this server, and what runs on them and elsewhere.

use std::collections::BTreeMap;

use axum::extract::State;
use flow::Time;
use flow::run::{Event, Record, RunState};
use maud::{Markup, html};
use store::Head;

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{flow_link, name, run_link, took};
use super::{Shared, address};
use crate::hall::Present;
use crate::service::Service;

/// How many runs are looked into.
const RUNS: u64 = 30;

/// An attempt that runs.
struct Busy {
    head: Head,
    task: String,
    attempt: u32,
    since: Time,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor) -> Page {
    let now = service.clock.now();
    let seen = service.hall.look();
    let busy = busy(&service).await?;
    let elsewhere: Vec<&String> =
        busy.keys().filter(|it| seen.workers.iter().all(|known| known.name != **it)).collect();
    let (slots, used) = seen.workers.iter().fold((0, 0), |(slots, used), it| (slots + it.slots, used + it.busy));
    let body = html! {
        h1 { "Workers" span.dim { (used) " of " (slots) " slots in use" } }
        div data-part="workers" {
            @if seen.workers.is_empty() {
                section.bad { h2 { "There are none" } p { "Nothing can start at this server. " code { "flowctl worker --server URL --slots 4" } " adds one." } }
            } @else {
                section { (table(&seen.workers, &busy, now)) }
            }
            @if !elsewhere.is_empty() {
                section {
                    h2 { "At other servers" }
                    ul.plain { @for worker in elsewhere { li { span { (name(worker)) } (doing(busy.get(worker), now)) } } }
                }
            }
        }
    };
    Ok(Frame { title: "Workers", part: "/workers", every: Some(3), ..Frame::default() }.around(Some(&visitor), body))
}

/// What runs, by worker, as the journals of runs that are not over tell it.
async fn busy(service: &Service) -> Result<BTreeMap<String, Vec<Busy>>, store::Error> {
    let mut busy: BTreeMap<String, Vec<Busy>> = BTreeMap::new();
    for head in service.store.open_runs(RUNS).await? {
        if head.state != RunState::Running {
            continue;
        }
        let records = service.store.tail(&head.run_id, 0).await?;
        for (task, (attempt, worker, since)) in running(&records) {
            let it = Busy { head: head.clone(), task: task.to_owned(), attempt, since };
            busy.entry(worker.to_owned()).or_default().push(it);
        }
    }
    Ok(busy)
}

/// The attempts that have begun and not ended.
fn running(records: &[Record]) -> BTreeMap<&str, (u32, &str, Time)> {
    let mut running = BTreeMap::new();
    for record in records {
        match (&record.event, record.event.task()) {
            (Event::TaskStarted { task, attempt, worker, .. }, _) => {
                running.insert(task.as_str(), (*attempt, worker.as_str(), record.at));
            }
            (_, Some((task, _))) => drop(running.remove(task)),
            _ => {}
        }
    }
    running
}

fn table(workers: &[Present], busy: &BTreeMap<String, Vec<Busy>>, now: Time) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Workers" { table {
            thead { tr { th scope="col" { "Worker" } th scope="col" { "Labels" } th scope="col" { "Slots in use" } th scope="col" { "Runs" } } }
            tbody { @for worker in workers {
                tr {
                    th scope="row" { (name(&worker.name)) }
                    td {
                        @for (label, value) in &worker.labels { span.badge { (name(label)) "=" (name(value)) } " " }
                        @if worker.labels.is_empty() { span.dim { "none" } }
                    }
                    td { (worker.busy) " of " (worker.slots) }
                    td { (doing(busy.get(&worker.name), now)) }
                }
            } }
        } }
    }
}

fn doing(busy: Option<&Vec<Busy>>, now: Time) -> Markup {
    html! {
        @for it in busy.into_iter().flatten() {
            div {
                a href=(address::task(&it.head.run_id, &it.task)) { (name(&it.task)) }
                " of " (flow_link(&it.head.flow)) " " (run_link(&it.head.run_id)) " "
                span.dim { "attempt " (it.attempt) ", for " (took(Some(it.since), None, now)) }
            }
        }
    }
}
