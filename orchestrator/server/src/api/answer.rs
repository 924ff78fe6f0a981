//! What handlers answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::describe::{Answers, Operation};
use super::problem::Problem;

/// Something was made; or it was there, by the key that the client gave it.
pub(super) struct Made<T> {
    pub value: T,
    pub is_new: bool,
}

/// It will be done.
pub(super) struct Accepted<T>(pub T);

/// It is done, and there is nothing to say.
pub(super) struct Done;

/// There is an answer, or there is none yet.
pub(super) struct Maybe<T>(pub Option<T>);

impl<T: Answers> Answers for Result<T, Problem> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        T::describe(operation, schemas);
    }
}

impl<T: JsonSchema> Answers for Json<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers_json::<T>(200, "The answer.", schemas);
    }
}

impl<T: JsonSchema> Answers for Made<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers_json::<T>(201, "It was made.", schemas);
        operation.answers_json::<T>(
            200,
            "It was there: made by a request with the same Idempotency-Key, or one that stands for it.",
            schemas,
        );
    }
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        (if self.is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(self.value)).into_response()
    }
}

impl<T: JsonSchema> Answers for Accepted<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers_json::<T>(202, "It will be done.", schemas);
    }
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl Answers for Done {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        operation.answers_nothing(204, "It is done.");
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl<T: JsonSchema> Answers for Maybe<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers_json::<T>(200, "The answer.", schemas);
        operation.answers_nothing(204, "There is none yet.");
    }
}

impl<T: Serialize> IntoResponse for Maybe<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Some(value) => Json(value).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    }
}
