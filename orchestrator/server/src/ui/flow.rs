//! A flow: its graph as it ran last, its schedule, how its runs went, and a form that runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Redirect;
use flow::run::Run;
use flow::spec::{self, Param};
use flow::value::{ParamType, Value};
use flow::{Time, schedule};
use maud::{Markup, html};
use store::{Head, Origin, Scheduled};

use super::fault::{Fault, Page};
use super::frame::Frame;
use super::graph::of_run;
use super::guard::{Posted, Visitor};
use super::run::Seen;
use super::words::{Mark, ago, at, name};
use super::{Shared, address, runs, trend};
use crate::service::{Flow, Order, Service, Trouble};

/// How many runs the history holds.
const RUNS: u64 = 60;
/// How many of them are listed.
const LISTED: usize = 15;
/// How many coming times are told.
const TIMES: usize = 5;
/// How long a flow that has never run may take to compile for its picture.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) async fn page(State(service): Shared, visitor: Visitor, Path(wanted): Path<String>) -> Page {
    let now = service.clock.now();
    let flow = service.flow(&wanted);
    let heads = service.store.runs(Some(&wanted), None, RUNS).await?;
    if flow.is_none() && heads.is_empty() {
        return Err(Fault::not_found(format!("there is no flow `{wanted}` here, and none of that name has run")));
    }
    let written = flow.as_ref().and_then(|flow| spec::parse(&flow.written.text).0);
    let standing = service.store.schedule(&wanted).await?;
    let body = html! {
        h1 { (name(&wanted)) @if standing.is_some_and(|it| it.paused) { (Mark::PAUSED) } }
        @if let Some(about) = written.as_ref().and_then(|it| it.description.as_ref()) { p { (name(about)) } }
        @if flow.is_none() { section.warn { p { "Its file is gone, or does not compile: it runs no more. What it did is below." } } }
        @if let Some(flow) = &flow {
            div.two {
                section data-part="schedule" { h2 { "Schedule" } (scheduled(flow, standing, &visitor, now)) }
                @if visitor.may_run() { section { h2 { "Run it now" } (form(flow, written.as_ref(), &visitor)) } }
            }
        }
        section data-part="history" {
            h2 { "History" }
            @if heads.is_empty() { p.dim { "It has not run yet." } } @else {
                (trend::strip(&heads))
                (trend::durations(&heads))
                (runs::table(&heads[..heads.len().min(LISTED)], now))
                p { a.word href=(address::with("/runs", &[("flow", &wanted)])) { "All its runs" } }
            }
        }
        section data-part="graph" { h2 { "Graph" } (graph(&service, flow.as_deref(), &heads).await?) }
        @if let Some(flow) = &flow { p.dim { "File: " (name(&flow.written.file.display().to_string())) } }
    };
    let path = vec![("Flows".to_owned(), "/flows".to_owned())];
    Ok(Frame { title: &wanted, part: "/flows", path, every: Some(5), ..Frame::default() }.around(Some(&visitor), body))
}

fn scheduled(flow: &Flow, standing: Option<Scheduled>, visitor: &Visitor, now: Time) -> Markup {
    let Some(schedule) = &flow.schedule else {
        return html! { p.dim { "None: it runs when it is asked for." } };
    };
    let paused = standing.is_some_and(|it| it.paused);
    let (act, word) = if paused { ("resume", "Resume") } else { ("pause", "Pause") };
    html! {
        p { (name(&schedule.describe())) }
        @if paused { p { "Paused: times that come up wait until it goes on." } }
        ul.plain { @for time in schedule.after(now).take(TIMES) { li { span { (schedule.wall(time)) } span.dim { (ago(time, now)) } } } }
        @if visitor.may_run() {
            form.actions method="post" action=(format!("{}/{act}", address::flow(&flow.name))) {
                (visitor.seal())
                button type="submit" { (word) " the schedule" }
            }
        }
    }
}

/// The graph as the last run had it; of a flow that has never run, as it compiles.
async fn graph(service: &Service, flow: Option<&Flow>, heads: &[Head]) -> Result<Markup, Fault> {
    if let Some(head) = heads.first() {
        let seen = Seen::load(&service.store, &head.run_id).await?;
        return Ok(html! { p.dim { "As of the last run, made " (at(head.created_at)) "." } (of_run(&seen.run)) });
    }
    let Some(flow) = flow else { return Ok(html! {}) };
    let order = Order::default();
    let planned = tokio::time::timeout(PATIENCE, service.compile.plan(&flow.written, &order)).await;
    Ok(match planned {
        Ok(Ok(plan)) => of_run(&Run::new(Arc::new(plan), "")),
        Ok(Err(Trouble::Flow(_, why))) => {
            html! { p.dim { "To be seen after its first run: " (name(&why.message)) "." } }
        }
        Ok(Err(_)) | Err(_) => html! { p.dim { "To be seen after its first run." } },
    })
}

fn form(flow: &Flow, written: Option<&spec::Flow>, visitor: &Visitor) -> Markup {
    html! {
        form method="post" action=(format!("{}/run", address::flow(&flow.name))) {
            (visitor.seal())
            @for (key, param) in written.into_iter().flat_map(|it| &it.params) { (field(key.get_ref(), param.get_ref())) }
            @if flow.schedule.is_some() {
                div.field {
                    label for="logical_time" { "Logical time" }
                    input #logical_time name="logical_time" placeholder="2013-01-31T06:30:00Z" size="26";
                    div.hint { "The time that the run is for, where there is one. A date is midnight in UTC." }
                }
            }
            div.field { label.inline { input type="checkbox" name="force" value="yes"; "Run tasks that have not changed, too" } }
            button.main type="submit" { "Run" }
        }
    }
}

/// A field of the parameter's type, with its default in it.
fn field(key: &str, param: &Param) -> Markup {
    let kind = ParamType::of(param).unwrap_or(ParamType::String);
    let default =
        param.default.as_ref().and_then(|it| Value::of_toml(it.get_ref(), &kind).ok()).map(|it| it.to_string());
    let (id, field) = (format!("param-{key}"), format!("param.{key}"));
    let value = default.as_deref();
    let (input, step) = match kind {
        ParamType::Int => ("number", Some("1")),
        ParamType::Float => ("number", Some("any")),
        ParamType::Date => ("date", None),
        _ => ("text", None),
    };
    let pattern = param.pattern.as_ref().filter(|_| kind == ParamType::String).map(|it| it.get_ref().as_str());
    html! {
        div.field {
            label for=(id) { (name(key)) }
            @match &kind {
                ParamType::Bool => (choices(&id, &field, &["true".to_owned(), "false".to_owned()], value)),
                ParamType::Enum(all) => (choices(&id, &field, all, value)),
                _ => input id=(id) name=(field) type=(input) step=[step] pattern=[pattern] value=[value] required[value.is_none()];
            }
            @if let Some(about) = &param.description { div.hint { (name(about)) } }
        }
    }
}

fn choices(id: &str, field: &str, all: &[String], chosen: Option<&str>) -> Markup {
    html! {
        select id=(id) name=(field) { @for choice in all { option value=(choice) selected[Some(choice.as_str()) == chosen] { (choice) } } }
    }
}

fn known(service: &Service, flow: &str) -> Result<Arc<Flow>, Fault> {
    service.flow(flow).ok_or_else(|| Fault::not_found(format!("there is no flow `{flow}` here")))
}

pub(super) async fn run(State(service): Shared, Path(wanted): Path<String>, posted: Posted) -> Result<Redirect, Fault> {
    let flow = known(&service, &wanted)?;
    let params: BTreeMap<String, String> =
        posted.beginning("param.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let time = Some(posted.get("logical_time").trim()).filter(|it| !it.is_empty());
    let bad = |why: String| Fault::new(crate::api::Problem::bad(format!("logical time: {why}")));
    let logical_time = time.map(schedule::instant).transpose().map_err(bad)?;
    let order = Order { params, logical_time, force: posted.get("force") == "yes", ..Order::default() };
    let (run_id, _) = service.make(&flow, &order, Origin::Service).await?;
    Ok(Redirect::to(&address::run(&run_id)))
}

pub(super) async fn pause(
    State(service): Shared,
    Path(flow): Path<String>,
    _posted: Posted,
) -> Result<Redirect, Fault> {
    hold(&service, &flow, true).await
}

pub(super) async fn resume(
    State(service): Shared,
    Path(flow): Path<String>,
    _posted: Posted,
) -> Result<Redirect, Fault> {
    hold(&service, &flow, false).await
}

async fn hold(service: &Service, flow: &str, paused: bool) -> Result<Redirect, Fault> {
    crate::api::hold(service, flow, paused).await?;
    Ok(Redirect::to(&address::flow(flow)))
}
