//! Flows: listed, looked ahead, held.

use axum::Json;
use axum::extract::State;
use flow::api::{Coming, Flow, Flows};
use flow::schedule::{self, Schedule};
use flow::view::rfc3339;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Shared;
use super::answer::Done;
use super::problem::Problem;
use super::request::{Name, Params};
use super::runs::Limit;
use crate::look;
use crate::service::Service;

pub(super) async fn list(State(service): Shared) -> Result<Json<Flows>, Problem> {
    let mut flows = vec![];
    let now = service.clock.now();
    for flow in service.known_flows() {
        let standing = service.store.schedule(&flow.name).await?;
        let next = flow.schedule.as_ref().and_then(|schedule| schedule.after(now).next());
        flows.push(Flow {
            flow: flow.name.clone(),
            file: flow.file.display().to_string(),
            paused: standing.is_some_and(|standing| standing.paused),
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
    Ok(Json(look::coming(&flow, &schedule, after, ahead.limit.get())))
}

pub(super) async fn pause(State(service): Shared, Name(flow): Name) -> Result<Done, Problem> {
    hold(&service, &flow, true).await
}

pub(super) async fn resume(State(service): Shared, Name(flow): Name) -> Result<Done, Problem> {
    hold(&service, &flow, false).await
}

async fn hold(service: &Service, flow: &str, paused: bool) -> Result<Done, Problem> {
    let schedule = scheduled(service, flow)?;
    service.store.begin_schedule(flow, schedule.begins(service.clock.now())).await?;
    service.store.pause_schedule(flow, paused).await?;
    Ok(Done)
}

fn scheduled(service: &Service, flow: &str) -> Result<Schedule, Problem> {
    let Some(known) = service.flow(flow) else {
        return Err(Problem::not_found(format!("there is no flow `{flow}` here")));
    };
    known.schedule.clone().ok_or_else(|| Problem::conflict(format!("flow `{flow}` has no schedule")))
}
