//! The HTTP interface: JSON in and out, errors as `application/problem+json`. One table of endpoints makes the router and
//! the document that describes it.

mod answer;
mod datasets;
mod describe;
mod document;
mod endpoint;
mod flows;
mod guard;
mod live;
mod metrics;
mod problem;
mod request;
mod runs;
mod workers;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::{Json, Router, middleware, routing};
use flow::api::Health;
use serde_json::Value;
use store::Scope::{Read, Run, Work};

use crate::service::Service;
use crate::ui;
use endpoint::{Endpoint, get, post};

pub(crate) use flows::hold;
pub(crate) use live::route as live_route;
pub(crate) use problem::{AGAIN, Problem};

/// The largest body that is read: a report with its checks, a batch of log lines.
const BODY_BYTES_MAX: usize = 8 << 20;

type Shared = State<Arc<Service>>;

/// Everything that can be asked for, and the scope that a token needs for it.
fn endpoints() -> Vec<Endpoint> {
    let server = vec![
        get(None, "/health", "health", health).says("Says that the server is there."),
        get(Read, "/metrics", "metrics", metrics::expose)
            .says("What was counted here and how things are now, for Prometheus."),
        get(Read, "/v1/openapi.json", "openapi", openapi).says("This document."),
    ];
    let runs = vec![
        get(Read, "/v1/runs", "list_runs", runs::list).says("Lists runs, newest first."),
        post(Run, "/v1/runs", "make_run", runs::create).says("Makes a run of a flow.").fails(&[404, 409]),
        get(Read, "/v1/runs/{run}", "show_run", runs::show).says("Shows a run with its tasks.").fails(&[409]),
        get(Read, "/v1/runs/{run}/why", "why", runs::why)
            .says("Says why a run, or a task of it, is where it is.")
            .fails(&[409]),
        get(Read, "/v1/runs/{run}/events", "list_events", runs::events)
            .says("Lists what has happened in a run, oldest first.")
            .fails(&[409]),
        get(Read, "/v1/runs/{run}/logs", "list_logs", runs::logs)
            .says("Lists what the tasks of a run said, oldest first.")
            .fails(&[409]),
        get(Read, "/v1/runs/{run}/live", "follow_run", live::follow)
            .says("Tells what happens in a run while it happens, as server-sent events, to its end.")
            .fails(&[409]),
        get(Read, "/v1/runs/{run}/plan", "show_plan", runs::plan).says("Shows what a run is to do.").fails(&[409]),
        post(Run, "/v1/runs/{run}/cancel", "cancel_run", runs::cancel).says("Asks a run to stop.").fails(&[409]),
        post(Run, "/v1/runs/{run}/retry", "retry_run", runs::retry)
            .says("Does again what did not succeed in a run that is over, and tasks that are named.")
            .fails(&[409]),
        get(Work, "/v1/runs/{run}/work", "show_work", workers::work).says("What all attempts of a run share."),
    ];
    let flows = vec![
        get(Read, "/v1/flows", "list_flows", flows::list).says("Lists the flows that are in force."),
        get(Read, "/v1/flows/{flow}/next", "next_times", flows::next)
            .says("Lists the coming times of a flow's schedule.")
            .fails(&[409]),
        post(Read, "/v1/flows/{flow}/times", "open_times", flows::times)
            .says("Lists the times of a range that no run has succeeded for.")
            .fails(&[409]),
        post(Run, "/v1/flows/{flow}/pause", "pause_flow", flows::pause).says("Holds a flow's schedule.").fails(&[409]),
        post(Run, "/v1/flows/{flow}/resume", "resume_flow", flows::resume)
            .says("Lets a flow's schedule go on.")
            .fails(&[409]),
    ];
    let datasets = vec![
        get(Read, "/v1/datasets", "list_datasets", datasets::list).says("Lists what runs have published, by name."),
        get(Read, "/v1/datasets/{dataset}/lineage", "lineage", datasets::lineage)
            .says("Shows which columns each column comes from.")
            .fails(&[409]),
        get(Read, "/v1/datasets/{dataset}/impact", "impact", datasets::impact)
            .says("Shows what breaks if a column changes.")
            .fails(&[409]),
    ];
    let workers = vec![
        post(Work, "/v1/workers", "register_worker", workers::register).says("A worker comes.").fails(&[409]),
        post(Work, "/v1/workers/{worker}/claim", "claim", workers::claim).says("Waits for work.").fails(&[410]),
        post(Work, "/v1/workers/{worker}/beat", "beat", workers::beat).says("The worker lives.").fails(&[410]),
        post(Work, "/v1/workers/{worker}/report", "report", workers::report).says("An attempt ended.").fails(&[410]),
        post(Work, "/v1/workers/{worker}/log", "log", workers::log).says("Attempts said something."),
        post(Work, "/v1/workers/{worker}/leave", "leave", workers::leave).says("The worker goes."),
    ];
    [server, runs, flows, datasets, workers].into_iter().flatten().collect()
}

pub(crate) fn router(service: Arc<Service>, by: ui::Connections, listening: IpAddr) -> Router {
    let add = |router: Router<_>, it: Endpoint| router.route(it.path, it.route);
    let (asked, open): (Vec<_>, Vec<_>) = endpoints().into_iter().partition(|it| it.scope.is_some());
    let asked = asked
        .into_iter()
        .fold(Router::new(), add)
        .route("/v1/{*anything}", routing::any(nothing))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
        })
        .layer(middleware::from_fn_with_state(service.clone(), guard::admit));
    open.into_iter()
        .fold(asked, add)
        .merge(ui::router(service.clone(), by))
        .fallback(ui::nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state((service.clone(), listening), guard::refuse_strangers))
        .layer(middleware::map_response(signed))
        .with_state(service)
}

/// The description of the interface: OpenAPI 3.1.
pub fn document() -> Value {
    document::openapi(&endpoints())
}

/// Clients of another version should be able to tell.
async fn signed(mut response: Response) -> Response {
    let name = HeaderValue::from_static(concat!("flowctl/", env!("CARGO_PKG_VERSION")));
    response.headers_mut().insert(header::SERVER, name);
    response
}

async fn health(State(service): Shared) -> Json<Health> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Health { status: "ok".to_owned(), name: service.name.clone(), version })
}

async fn nothing() -> Problem {
    Problem::not_found("there is nothing at this address")
}

async fn openapi() -> Json<Value> {
    Json(document())
}
