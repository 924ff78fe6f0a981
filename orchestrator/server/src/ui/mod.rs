//! The pages that people look at: HTML that is made here, one stylesheet, and one script that keeps what is shown up to
//! date. Everything can be read and done without the script.

mod address;
mod assets;
mod dataset;
mod datasets;
mod events;
mod fault;
mod flow;
mod flows;
mod frame;
mod gantt;
mod graph;
mod guard;
mod home;
mod limits;
mod lineage;
mod run;
mod runs;
mod task;
mod trend;
mod words;
mod workers;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};

use crate::api::{self, Problem};
use crate::service::Service;
use fault::Fault;

pub(crate) use guard::Connections;
pub(crate) use limits::own as own_limits;

type Shared = State<Arc<Service>>;

/// Nothing but ours is loaded, nothing of ours is written into a page, and nobody puts a page into theirs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All pages, and what their forms do.
pub(crate) fn router(service: Arc<Service>, by: Connections) -> Router<Arc<Service>> {
    let pages = Router::new()
        .route("/", get(home::page))
        .route("/runs", get(runs::page))
        .route("/runs/{run}", get(run::page))
        .route("/runs/{run}/live", api::live_route())
        .route("/runs/{run}/events", get(events::of_run))
        .route("/runs/{run}/cancel", post(run::cancel))
        .route("/runs/{run}/retry", post(run::retry))
        .route("/runs/{run}/tasks/{task}", get(task::page))
        .route("/flows", get(flows::page))
        .route("/flows/{flow}", get(flow::page))
        .route("/flows/{flow}/run", post(flow::run))
        .route("/flows/{flow}/pause", post(flow::pause))
        .route("/flows/{flow}/resume", post(flow::resume))
        .route("/datasets", get(datasets::page))
        .route("/datasets/{dataset}", get(dataset::page))
        .route("/lineage/{dataset}", get(lineage::page))
        .route("/workers", get(workers::page))
        .route("/limits", get(limits::page))
        .route("/events", get(events::page))
        .route("/logout", post(guard::logout))
        .layer(middleware::from_fn_with_state((service, by), guard::admit));
    let doors = Router::new().route("/login", get(guard::login_page).post(guard::login));
    pages.merge(doors).layer(Extension(by)).layer(middleware::map_response(safe)).merge(assets::router())
}

/// What the browser is told of every page.
async fn safe(mut response: Response) -> Response {
    let told = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// There is nothing at the address.
pub(crate) async fn nothing(headers: HeaderMap) -> Response {
    told(Problem::not_found("there is nothing at this address"), &headers).await
}

/// A problem as whoever asks likes it: as a page, or as JSON.
pub(crate) async fn told(problem: Problem, headers: &HeaderMap) -> Response {
    if fault::wants_page(headers) { safe(Fault::new(problem).into_response()).await } else { problem.into_response() }
}
