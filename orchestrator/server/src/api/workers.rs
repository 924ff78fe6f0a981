//! What workers on other machines say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flow::wire::{Beat, Line, Orders, Registration, Report, WIRE, Welcome, Work};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::problem::Problem;
use crate::hall::Receipt;
use crate::remotes::LEASE;
use crate::service::Service;

/// The longest that a claim waits.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The most slots that one worker may have.
const SLOTS_MAX: usize = 1024;

type Shared = State<Arc<Service>>;

pub(super) async fn register(
    State(service): Shared,
    Body(registration): Body<Registration>,
) -> Result<Json<Welcome>, Problem> {
    let Registration { wire, worker, slots, .. } = &registration;
    if *wire != WIRE {
        let detail =
            format!("the worker speaks version {wire} of the protocol, this server {WIRE}: use the same flowctl");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@".contains(letter);
    if worker.is_empty() || worker.len() > 128 || !worker.chars().all(plain) {
        return Err(Problem::bad("a worker's name has up to 128 letters, digits, or any of -_.:@"));
    }
    if !(1..=SLOTS_MAX).contains(slots) {
        return Err(Problem::bad(format!("a worker has between 1 and {SLOTS_MAX} slots, not {slots}")));
    }
    service.remotes.register(&registration);
    Ok(Json(Welcome { lease_ms: LEASE.as_millis() as u64 }))
}

#[derive(Deserialize)]
pub(super) struct Wait {
    wait_ms: u64,
}

pub(super) async fn claim(
    State(service): Shared,
    Path(worker): Path<String>,
    Body(Wait { wait_ms }): Body<Wait>,
) -> Result<Response, Problem> {
    let wait = Duration::from_millis(wait_ms).min(WAIT_MAX);
    Ok(match service.remotes.claim(&worker, wait).await? {
        Some(handout) => Json(handout).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

pub(super) async fn beat(
    State(service): Shared,
    Path(worker): Path<String>,
    Body(beat): Body<Beat>,
) -> Result<Json<Orders>, Problem> {
    Ok(Json(service.remotes.beat(&worker, &beat)?))
}

pub(super) async fn report(
    State(service): Shared,
    Path(worker): Path<String>,
    Body(report): Body<Report>,
) -> Result<Json<Value>, Problem> {
    let receipt = match service.remotes.report(&worker, &report.id, report.ending).await? {
        Receipt::Recorded => "recorded",
        Receipt::Stale => "stale",
        // Whoever takes the run over does not know of the attempt either.
        Receipt::Unheard => "unheard",
    };
    Ok(Json(json!({ "receipt": receipt })))
}

pub(super) async fn log(
    State(service): Shared,
    Path(_worker): Path<String>,
    Body(lines): Body<Vec<Line>>,
) -> Result<StatusCode, Problem> {
    let mut by_run: BTreeMap<String, Vec<store::Line>> = BTreeMap::new();
    for line in lines {
        let Line { run_id, task, attempt, at, stream, text } = line;
        by_run.entry(run_id).or_default().push(store::Line { task, attempt, at, stream: stream.name().into(), text });
    }
    for (run_id, lines) in by_run {
        service.store.log(&run_id, &lines).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn leave(State(service): Shared, Path(worker): Path<String>) -> StatusCode {
    service.remotes.leave(&worker);
    StatusCode::NO_CONTENT
}

pub(super) async fn work(State(service): Shared, Path(run): Path<String>) -> Result<Json<Work>, Problem> {
    let loaded = service.store.load(&run).await?;
    Ok(Json(Work { plan: loaded.plan, pins: loaded.pins }))
}
