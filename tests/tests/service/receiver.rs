//! Somebody who speaks OTLP over HTTP: takes what is sent, and shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use crate::world::until;

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty: it is the root.
    pub parent: String,
    pub name: String,
    /// Nanoseconds since the epoch.
    pub took: (u64, u64),
    pub attributes: BTreeMap<String, String>,
    /// Why it failed.
    pub error: Option<String>,
    /// The traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
    /// Who sent it.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Seen {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    headers: Vec<HeaderMap>,
}

pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub fn start() -> Receiver {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router =
            Router::new().route("/v1/traces", post(traces)).route("/v1/logs", post(logs)).with_state(seen.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Receiver { url, seen, _runtime: runtime }
    }

    /// The spans of a run's trace, once so many of this name are there.
    pub fn trace(&self, run: &str, (count, awaited): (usize, &str)) -> Vec<Span> {
        let trace = run.replace('-', "");
        let of_run =
            || self.seen.lock().unwrap().spans.iter().filter(|it| it.trace == trace).cloned().collect::<Vec<_>>();
        let are_there = || of_run().iter().filter(|it| it.name == awaited).count() >= count;
        until(&format!("{count} spans `{awaited}`"), Duration::from_secs(20), are_there);
        of_run()
    }

    pub fn logs(&self) -> Vec<LogRecord> {
        self.seen.lock().unwrap().logs.clone()
    }

    /// The headers of every request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.seen.lock().unwrap().headers.clone()
    }
}

type Shared = State<Arc<Mutex<Seen>>>;

async fn traces(State(seen): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let mut seen = seen.lock().unwrap();
    seen.headers.push(headers);
    for part in request.resource_spans {
        let resource = part.resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
        for span in part.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            seen.spans.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                took: (span.start_time_unix_nano, span.end_time_unix_nano),
                attributes: texts(&span.attributes),
                error: span.status.filter(|status| status.code == 2).map(|status| status.message),
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                resource: resource.clone(),
            });
        }
    }
    StatusCode::OK
}

async fn logs(State(seen): Shared, body: Bytes) -> StatusCode {
    let Ok(request) = ExportLogsServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let records =
        request.resource_logs.into_iter().flat_map(|part| part.scope_logs).flat_map(|scope| scope.log_records);
    seen.lock().unwrap().logs.extend(records);
    StatusCode::OK
}

pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value as text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|it| (it.key.clone(), it.value.as_ref().map(text).unwrap_or_default())).collect()
}
