//! Runs and flows, for people and programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use flow::run::{Run, RunState};
use flow::schedule;
use flow::view::{self, rfc3339};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Head, Origin};

use super::body::{Body, Params};
use super::problem::Problem;
use crate::service::{Order, Service};

/// How many runs or lines one answer holds at most.
const LIMIT_MAX: u64 = 1_000;

type Shared = State<Arc<Service>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    flow: String,
    #[serde(default)]
    params: Map<String, Value>,
    /// RFC 3339, or a date, which is midnight in UTC.
    logical_time: Option<String>,
}

pub(super) async fn create(
    State(service): Shared,
    headers: HeaderMap,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned)).transpose();
    let key = key.map_err(|_| Problem::bad("the Idempotency-Key is no plain text"))?;
    let Some(flow) = service.flow(&new.flow) else {
        return Err(Problem::not_found(format!("there is no flow `{}` here", new.flow)));
    };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let params: BTreeMap<String, String> = new.params.into_iter().map(|(name, value)| (name, text(value))).collect();
    let instant = |text: String| schedule::instant(&text).map_err(|why| Problem::bad(format!("logical_time: {why}")));
    let logical_time = new.logical_time.map(instant).transpose()?;
    let order = Order { params, logical_time, key };
    let (run_id, is_new) = service.make(&flow, &order, Origin::Service).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(json!({ "run_id": run_id }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    flow: Option<String>,
    state: Option<RunState>,
    #[serde(default = "some")]
    limit: u64,
}

fn some() -> u64 {
    100
}

pub(super) async fn list(State(service): Shared, Params(which): Params<Which>) -> Result<Json<Value>, Problem> {
    let heads = service.store.runs(which.flow.as_deref(), which.state, which.limit.min(LIMIT_MAX)).await?;
    Ok(Json(heads.iter().map(head).collect()))
}

fn head(head: &Head) -> Value {
    json!({
        "run_id": head.run_id, "flow": head.flow, "state": head.state, "params": head.params,
        "logical_time": head.logical_time.map(rfc3339), "created_at": rfc3339(head.created_at),
        "started_at": head.started_at.map(rfc3339), "finished_at": head.finished_at.map(rfc3339), "error": head.error,
    })
}

pub(super) async fn show(State(service): Shared, Path(run): Path<String>) -> Result<Json<view::Show>, Problem> {
    let loaded = service.store.load(&service.store.find(&run).await?).await?;
    let run = Run::replay(loaded.plan.into(), &loaded.head.run_id, &loaded.records);
    Ok(Json(view::show(&run, loaded.head.retry_of)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

pub(super) async fn events(
    State(service): Shared,
    Path(run): Path<String>,
    Params(After { after }): Params<After>,
) -> Result<Json<Vec<Value>>, Problem> {
    let run_id = service.store.find(&run).await?;
    let records = service.store.tail(&run_id, after).await?;
    let told = |error: serde_json::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let events = records.iter().take(LIMIT_MAX as usize).map(|record| view::event(record).map_err(told));
    Ok(Json(events.collect::<Result<_, _>>()?))
}

pub(super) async fn logs(
    State(service): Shared,
    Path(run): Path<String>,
    Params(After { after }): Params<After>,
) -> Result<Json<Value>, Problem> {
    let run_id = service.store.find(&run).await?;
    let lines = service.store.logs(&run_id, None, after, LIMIT_MAX).await?;
    let line = |line: &store::NumberedLine| {
        let store::Line { task, attempt, at, stream, text } = &line.line;
        json!({ "number": line.number, "task": task, "attempt": attempt, "at": rfc3339(*at), "stream": stream, "text": text })
    };
    Ok(Json(lines.iter().map(line).collect()))
}

pub(super) async fn cancel(
    State(service): Shared,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let run_id = service.store.find(&run).await?;
    service.store.request_cancel(&run_id, "the API", service.clock.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "run_id": run_id }))))
}

pub(super) async fn flows(State(service): Shared) -> Result<Json<Value>, Problem> {
    let mut flows = vec![];
    for flow in service.known_flows() {
        let standing = service.store.schedule(&flow.name).await?;
        let now = service.clock.now();
        let next = flow.schedule.as_ref().and_then(|schedule| schedule.after(now).next());
        flows.push(json!({
            "flow": flow.name, "file": flow.file, "paused": standing.is_some_and(|standing| standing.paused),
            "schedule": flow.schedule.as_ref().map(schedule::Schedule::describe), "next": next.map(rfc3339),
        }));
    }
    Ok(Json(Value::Array(flows)))
}

pub(super) async fn pause(State(service): Shared, Path(flow): Path<String>) -> Result<StatusCode, Problem> {
    hold(&service, &flow, true).await
}

pub(super) async fn go_on(State(service): Shared, Path(flow): Path<String>) -> Result<StatusCode, Problem> {
    hold(&service, &flow, false).await
}

async fn hold(service: &Service, flow: &str, paused: bool) -> Result<StatusCode, Problem> {
    let Some(known) = service.flow(flow) else {
        return Err(Problem::not_found(format!("there is no flow `{flow}` here")));
    };
    let Some(schedule) = &known.schedule else {
        return Err(Problem::new(StatusCode::CONFLICT, format!("flow `{flow}` has no schedule")));
    };
    service.store.begin_schedule(flow, schedule.begins(service.clock.now())).await?;
    service.store.pause_schedule(flow, paused).await?;
    Ok(StatusCode::NO_CONTENT)
}
