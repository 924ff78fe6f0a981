//! The HTTP interface: JSON in and out, errors as `application/problem+json`.

mod body;
mod problem;
mod runs;
mod workers;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::service::Service;
use problem::Problem;

/// The largest body that is read: a report with its checks, a batch of log lines.
const BODY_BYTES_MAX: usize = 8 << 20;

pub(crate) fn router(service: Arc<Service>) -> Router {
    let workers = Router::new()
        .route("/", post(workers::register))
        .route("/{worker}/claim", post(workers::claim))
        .route("/{worker}/beat", post(workers::beat))
        .route("/{worker}/report", post(workers::report))
        .route("/{worker}/log", post(workers::log))
        .route("/{worker}/leave", post(workers::leave));
    let runs = Router::new()
        .route("/", get(runs::list).post(runs::create))
        .route("/{run}", get(runs::show))
        .route("/{run}/events", get(runs::events))
        .route("/{run}/logs", get(runs::logs))
        .route("/{run}/cancel", post(runs::cancel))
        .route("/{run}/work", get(workers::work));
    let flows = Router::new()
        .route("/", get(runs::flows))
        .route("/{flow}/pause", post(runs::pause))
        .route("/{flow}/resume", post(runs::go_on));
    Router::new()
        .route("/health", get(health))
        .nest("/v1/workers", workers)
        .nest("/v1/runs", runs)
        .nest("/v1/flows", flows)
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service)
}

async fn health(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(json!({ "status": "ok", "name": service.name }))
}
