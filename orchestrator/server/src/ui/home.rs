//! The first page: what needs somebody, what goes on, what comes, what was.

use std::collections::HashMap;

use axum::extract::State;
use flow::run::RunState;
use flow::{Time, human};
use maud::{Markup, html};
use store::{Head, Scheduled};

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::words::{Mark, ago, clipped, flow_link, name, run_link};
use super::{Shared, runs};
use crate::hall::Seen;
use crate::service::Service;

/// How far back failures are looked for.
const BACK_MS: Time = 7 * 86_400_000;
/// How late a schedule may be before somebody is told.
const LATE_MS: Time = 60_000;
/// How many of each.
const SHOWN: u64 = 12;

/// What a flow's schedule is about to do.
struct Turn {
    flow: String,
    at: Time,
    is_late: bool,
}

pub(super) async fn page(State(service): Shared, visitor: Visitor) -> Page {
    let now = service.clock.now();
    let open = service.store.open_runs(200).await?;
    let troubled = service.store.troubled_runs(now.saturating_sub(BACK_MS), SHOWN + 1).await?;
    let recent = service.store.runs(None, None, SHOWN).await?;
    let turns = turns(&service, &service.store.schedules().await?, now);
    let body = html! {
        h1 { "What is going on" }
        div data-part="attention" { (attention(&service, &troubled, &turns, &open, now)) }
        div.two data-part="now" {
            (live(&open, now))
            (coming(&turns, now))
        }
        section data-part="recent" {
            h2 { "Recent runs" }
            @if recent.is_empty() { (nothing_yet(&service)) } @else { (runs::table(&recent, now)) }
            p { a.word href="/runs" { "All runs" } }
        }
    };
    Ok(Frame { title: "Home", part: "/", every: Some(5), ..Frame::default() }.around(Some(&visitor), body))
}

/// The next time of each schedule that is not held, soonest first.
fn turns(service: &Service, known: &HashMap<String, Scheduled>, now: Time) -> Vec<Turn> {
    let mut turns: Vec<Turn> = vec![];
    for flow in service.known_flows() {
        let (Some(schedule), standing) = (&flow.schedule, known.get(&flow.name)) else { continue };
        if standing.is_some_and(|it| it.paused) {
            continue;
        }
        let due = schedule.next_due(&flow.name, standing.map_or(now, |it| it.handled));
        turns.extend(due.map(|at| Turn { flow: flow.name.clone(), at, is_late: at + LATE_MS < now }));
    }
    turns.sort_by_key(|turn| turn.at);
    turns
}

fn attention(service: &Service, troubled: &[Head], turns: &[Turn], open: &[Head], now: Time) -> Markup {
    let late: Vec<&Turn> = turns.iter().filter(|turn| turn.is_late).collect();
    let workers = service.hall.look();
    let hungry = hungry(&workers, open);
    let quiet = troubled.is_empty() && late.is_empty() && hungry.is_none() && !workers.workers.is_empty();
    html! {
        @if quiet {
            section.good { h2 { "Nothing needs you" } p { "No failed run is left alone, no schedule is late, and there are workers." } }
        } @else {
            section.bad {
                h2 { "Needs attention" }
                ul.plain {
                    @if workers.workers.is_empty() {
                        li { span { "There are no workers: nothing can start. " code { "flowctl worker" } " adds some; " code { "flowctl serve --slots N" } " has its own." } }
                    }
                    @if let Some(why) = hungry { li { span { (why) } a href="/workers" { "Workers" } } }
                    @for turn in late.iter().take(SHOWN as usize) {
                        li { (Mark::LATE) (flow_link(&turn.flow)) span { "its run was due " (ago(turn.at, now)) } }
                    }
                    @for head in troubled.iter().take(SHOWN as usize) { (failed(head, now)) }
                    @if troubled.len() as u64 > SHOWN { li { a href="/runs?state=failed" { "More failed runs" } } }
                }
            }
        }
    }
}

fn failed(head: &Head, now: Time) -> Markup {
    html! {
        li {
            (Mark::of_run(head.state)) (flow_link(&head.flow)) (run_link(&head.run_id)) (ago(head.finished_at.unwrap_or(head.created_at), now))
            @if let Some(error) = &head.error { span.dim { (clipped(error)) } }
        }
    }
}

/// Runs that want a slot and get none.
fn hungry(hall: &Seen, open: &[Head]) -> Option<String> {
    let waiting =
        open.iter().filter(|head| head.state == RunState::Running && hall.waiting.contains(&head.run_id)).count()
            as u64;
    let free: usize = hall.workers.iter().map(|worker| worker.slots.saturating_sub(worker.busy)).sum();
    let runs = human::plural(waiting, "run");
    match (waiting, free) {
        (0, _) => None,
        (_, 0) => Some(format!("{runs} with tasks that wait for a free slot: all workers are busy.")),
        _ => Some(format!("{runs} with tasks that no worker may take: the labels that they require are missing.")),
    }
}

fn live(open: &[Head], now: Time) -> Markup {
    html! {
        section {
            h2 { "Under way" @if !open.is_empty() { " · " (open.len()) } }
            @if open.is_empty() { p.dim { "Nothing runs." } }
            ul.plain {
                @for head in open.iter().take(SHOWN as usize) {
                    li {
                        (Mark::of_run(head.state)) (flow_link(&head.flow)) (run_link(&head.run_id))
                        span.dim { (super::words::took(head.started_at.or(Some(head.created_at)), None, now)) }
                    }
                }
            }
            @if open.len() as u64 > SHOWN { p { a.word href="/runs?state=running" { "All running" } } }
        }
    }
}

fn coming(turns: &[Turn], now: Time) -> Markup {
    html! {
        section {
            h2 { "Next by schedule" }
            @if turns.is_empty() { p.dim { "No flow has a schedule that goes on." } }
            ul.plain {
                @for turn in turns.iter().filter(|turn| !turn.is_late).take(SHOWN as usize) {
                    li { (flow_link(&turn.flow)) span.dim { (ago(turn.at, now)) } span { (super::words::at(turn.at)) } }
                }
            }
        }
    }
}

fn nothing_yet(service: &Service) -> Markup {
    let flows = service.known_flows();
    html! {
        p {
            "Nothing has run yet. "
            @match flows.first() {
                Some(flow) => { "Open a flow, say " (flow_link(&flow.name)) ", and run it." }
                None => { "There are no flows either: write one into the folder that this server was started with. " code { "flowctl init" } " makes an example." }
            }
        }
        p.dim { "Store: " (name(service.store.place())) }
    }
}
