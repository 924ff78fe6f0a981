//! What handlers take from requests, with errors that say what is wrong.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use flow::trace;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::describe::{Operation, Takes};
use super::problem::Problem;
use crate::gate::Pass;
use crate::service::Service;

/// The longest name in an address.
pub(super) const NAME_MAX: usize = 256;
/// The longest key that a client gives a run.
const KEY_MAX: usize = 256;

/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A body that is a JSON object.
pub(super) struct Body<T>(pub T);

/// A body that is a JSON array.
pub(super) struct List<T>(pub Vec<T>);

/// The parameters behind the `?`.
pub(super) struct Params<T>(pub T);

/// The name in the address.
pub(super) struct Name(pub String);

/// What the client calls what it asks for.
pub(super) struct Key(pub Option<String>);

/// Where the client is in a trace of its own.
pub(super) struct Caller(pub Option<trace::Place>);

/// Which formats the client takes.
pub(super) struct Accept(pub Option<String>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // An array would else be taken for an object, field by field in the order of their declaration.
        read(request, state, '{', "object").await.map(Body)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for List<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state, '[', "array").await.map(List)
    }
}

/// Reads a body that begins with `first`, as every `kind` does.
async fn read<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    first: char,
    kind: &str,
) -> Result<T, Problem> {
    let rejected = |error: JsonRejection| Problem::new(error.status(), error.body_text());
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body of the request did not come");
    let body = timeout(BODY_PATIENCE, Json::<Box<RawValue>>::from_request(request, state)).await;
    let Json(body) = body.map_err(late)?.map_err(rejected)?;
    if !body.get().starts_with(first) {
        return Err(Problem::bad(format!("the body is no JSON {kind}")));
    }
    Json::from_bytes(body.get().as_bytes()).map(|Json(value)| value).map_err(rejected)
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Params(value)).map_err(|error| Problem::new(error.status(), error.body_text()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = read.map_err(|error| Problem::new(error.status(), error.body_text()))?;
        if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Problem::not_found(format!(
                "no name here is longer than {NAME_MAX} or has control characters"
            )));
        }
        Ok(Name(name))
    }
}

impl Key {
    /// The key as the name of this request and of no other.
    pub fn of(self, request: &impl Serialize) -> Option<store::Key> {
        let name = self.0?;
        // What has come as JSON can be written as JSON.
        let request = blake3::hash(&serde_json::to_vec(request).unwrap_or_default()).to_hex().to_string();
        Some(store::Key { name, request })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // A map of headers can always be had.
        let headers = HeaderMap::from_request_parts(parts, state).await.unwrap_or_default();
        let Some(key) = headers.get("idempotency-key") else { return Ok(Key(None)) };
        match key.to_str() {
            Ok(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Key(Some(key.to_owned()))),
            _ => Err(Problem::bad(format!("the Idempotency-Key is no plain text of 1 to {KEY_MAX} characters"))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Caller(text(parts, "traceparent").and_then(|header| trace::parse_parent(&header))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Accept {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Accept(text(parts, "accept")))
    }
}

fn text(parts: &Parts, header: &str) -> Option<String> {
    parts.headers.get(header)?.to_str().ok().map(str::to_owned)
}

impl<T: JsonSchema> Takes for Body<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        takes_json::<T>(operation, schemas);
    }
}

impl<T: JsonSchema> Takes for List<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        takes_json::<Vec<T>>(operation, schemas);
    }
}

fn takes_json<T: JsonSchema>(operation: &mut Operation, schemas: &mut SchemaGenerator) {
    let content = json!({ "application/json": { "schema": schemas.subschema_for::<T>() } });
    operation.body = Some(json!({ "required": true, "content": content }));
    operation.problems.extend([400, 408, 413, 415, 422]);
}

impl<T: JsonSchema> Takes for Params<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.takes_query::<T>(schemas);
        operation.problems.insert(400);
    }
}

impl Takes for Name {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        operation.problems.extend([400, 404]);
    }
}

impl Takes for Key {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        operation.parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "What the client calls the run: asking again makes no second one.",
            "schema": { "type": "string", "minLength": 1, "maxLength": KEY_MAX },
        }));
        operation.problems.insert(400);
    }
}

impl Takes for Caller {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        operation.parameters.push(json!({
            "name": "traceparent", "in": "header", "required": false,
            "description": "The span that asks, as W3C trace context says it; the run's trace has a link to it.",
            "schema": { "type": "string" },
        }));
    }
}

impl Takes for Accept {
    fn describe(_operation: &mut Operation, _schemas: &mut SchemaGenerator) {}
}

impl Takes for Extension<Pass> {
    fn describe(_operation: &mut Operation, _schemas: &mut SchemaGenerator) {}
}

impl Takes for State<Arc<Service>> {
    fn describe(_operation: &mut Operation, _schemas: &mut SchemaGenerator) {}
}
