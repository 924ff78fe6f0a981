//! Metrics, as Prometheus asks for them.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use serde_json::json;
use telemetry::exposition::Format;

use super::Shared;
use super::describe::{Answers, Operation};
use super::request::Accept;
use crate::gauges;

/// Metrics in the format that was asked for.
pub(super) struct Exposed(Format, String);

pub(super) async fn expose(State(service): Shared, Accept(accept): Accept) -> Exposed {
    let format = Format::accepted(accept.as_deref());
    Exposed(format, telemetry::expose(gauges::families(&service).await, format))
}

impl Answers for Exposed {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        let text = json!({ "schema": { "type": "string" } });
        let content = json!({ "text/plain": text, "application/openmetrics-text": text });
        operation.answers.insert(200, json!({ "description": "The metrics.", "content": content }));
    }
}

impl IntoResponse for Exposed {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.0.content_type())], self.1).into_response()
    }
}
