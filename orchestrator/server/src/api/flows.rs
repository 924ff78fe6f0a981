//! Flows: listed, looked ahead, held.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flow::Time;
use flow::api::{Coming, Flow, Flows, Range, Times};
use flow::name;
use flow::schedule::{self, Schedule};
use flow::view::rfc3339;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Shared;
use super::answer::Done;
use super::problem::Problem;
use super::request::{Body, Name, Params};
use super::runs::Limit;
use crate::look;
use crate::service::{Order, Service};

/// The most times that one answer holds.
const TIMES_MAX: usize = 100_000;

pub(super) async fn list(State(service): Shared) -> Result<Json<Flows>, Problem> {
    let mut flows = vec![];
    let now = service.clock.now();
    let standings = service.store.schedules().await?;
    for flow in service.known_flows() {
        let next = flow.schedule.as_ref().and_then(|schedule| schedule.after(now).next());
        flows.push(Flow {
            flow: flow.name.clone(),
            file: flow.written.file.display().to_string(),
            paused: standings.get(&flow.name).is_some_and(|standing| standing.paused),
            schedule: flow.schedule.as_ref().map(Schedule::describe),
            next: next.map(rfc3339),
        });
    }
    Ok(Json(Flows { flows }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ahead {
    /// Times at or after this one instead of now: RFC 3339, or a date, which is midnight in UTC.
    from: Option<String>,
    /// At most so many.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn next(
    State(service): Shared,
    Name(flow): Name,
    Params(ahead): Params<Ahead>,
) -> Result<Json<Coming>, Problem> {
    let schedule = scheduled(&service, &flow)?;
    let from = ahead.from.as_deref().map(schedule::instant).transpose();
    let from = from.map_err(|why| Problem::bad(format!("from: {why}")))?;
    let after = from.map_or(service.clock.now(), |from| from.saturating_sub(1));
    let paused = service.store.schedule(&flow).await?.is_some_and(|standing| standing.paused);
    Ok(Json(look::coming(&flow, &schedule, paused, after, ahead.limit.get())))
}

pub(super) async fn times(
    State(service): Shared,
    Name(flow): Name,
    Body(range): Body<Range>,
) -> Result<Json<Times>, Problem> {
    let schedule = scheduled(&service, &flow)?;
    let known = known(&service, &flow)?;
    let from = schedule::instant(&range.from).map_err(|why| Problem::bad(format!("from: {why}")))?;
    let to = schedule::until(&range.to).map_err(|why| Problem::bad(format!("to: {why}")))?.min(service.clock.now());
    let times = schedule.after(from.saturating_sub(1)).take_while(|time| *time <= to).take(TIMES_MAX + 1);
    let times: Vec<Time> = times.collect();
    if times.len() > TIMES_MAX {
        return Err(Problem::bad(format!("there are more than {TIMES_MAX} times from `from` to `to`")));
    }
    if times.is_empty() {
        return Ok(Json(Times::default()));
    }
    let order = Order { params: texts(range.params), logical_time: times.first().copied(), ..Order::default() };
    let plan = service.compile.plan(&known.written, &order).await?;
    Ok(Json(look::undone(&service.store, &plan, &times, range.again).await?))
}

pub(super) async fn pause(State(service): Shared, Name(flow): Name) -> Result<Done, Problem> {
    hold(&service, &flow, true).await.map(|()| Done)
}

pub(super) async fn resume(State(service): Shared, Name(flow): Name) -> Result<Done, Problem> {
    hold(&service, &flow, false).await.map(|()| Done)
}

/// Holds the schedule of a flow, or lets it go on.
pub(crate) async fn hold(service: &Service, flow: &str, paused: bool) -> Result<(), Problem> {
    let schedule = scheduled(service, flow)?;
    service.store.begin_schedule(flow, schedule.begins(service.clock.now())).await?;
    Ok(service.store.pause_schedule(flow, paused).await.map(drop)?)
}

/// The flow called `name`.
pub(super) fn known(service: &Service, name: &str) -> Result<Arc<crate::service::Flow>, Problem> {
    service.flow(name).ok_or_else(|| {
        let all = service.known_flows();
        let hint = name::suggest(name, all.iter().map(|flow| flow.name.as_str()));
        Problem::not_found(format!("there is no flow `{name}` here")).hint(hint)
    })
}

/// Parameters as on the command line.
pub(super) fn texts(params: Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    params.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn scheduled(service: &Service, flow: &str) -> Result<Schedule, Problem> {
    let known = known(service, flow)?;
    known.schedule.clone().ok_or_else(|| Problem::conflict(format!("flow `{flow}` has no schedule")))
}
