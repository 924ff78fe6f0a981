//! Errors as RFC 9457 tells them: `application/problem+json`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flow::api;
use store::Kind;

use crate::look;
use crate::service::{Cause, Trouble};

/// In how many seconds to ask again what cannot be answered now.
pub(crate) const AGAIN: HeaderValue = HeaderValue::from_static("5");

/// Why a request has no other answer.
#[derive(Debug)]
pub(crate) struct Problem {
    pub kind: &'static str,
    pub status: StatusCode,
    pub detail: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { kind: api::Problem::BLANK, status, detail: detail.into(), hint: None }
    }

    /// The body or a parameter is wrong.
    pub fn bad(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// The state of what is meant does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    /// Nobody can tell whether a token is good.
    pub fn unsure() -> Self {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store that knows the tokens does not answer");
        problem.hint(Some("check that the database runs".to_owned()))
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: Option<String>) -> Self {
        Problem { hint, ..self }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let status = match error.kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::KeyTaken => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Refused | Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unreachable | Kind::Busy | Kind::Full | Kind::Unknown => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, format!("failed to {error}")).hint(error.hint)
    }
}

impl From<look::Error> for Problem {
    fn from(error: look::Error) -> Self {
        match error {
            look::Error::Store(error) => error.into(),
            look::Error::Name(miss) if miss.ambiguous => Problem::conflict(miss.message).hint(miss.hint),
            look::Error::Name(miss) => Problem::not_found(miss.message).hint(miss.hint),
            look::Error::Cursor => Problem::bad("the cursor is none that this list gives"),
        }
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => error.into(),
            Trouble::Flow(cause, told) => {
                let (status, kind) = match cause {
                    Cause::Mistake => (StatusCode::CONFLICT, api::Problem::NOT_COMPILED),
                    Cause::Request => (StatusCode::BAD_REQUEST, api::Problem::BLANK),
                    Cause::Missing => (StatusCode::NOT_FOUND, api::Problem::BLANK),
                    Cause::Unreadable => (StatusCode::CONFLICT, api::Problem::UNREADABLE),
                    Cause::Away => (StatusCode::SERVICE_UNAVAILABLE, api::Problem::BLANK),
                };
                Problem { kind, ..Problem::new(status, told.message).hint(told.hint) }
            }
        }
    }
}

impl From<crate::remotes::Unknown> for Problem {
    fn from(_: crate::remotes::Unknown) -> Self {
        Problem::new(StatusCode::GONE, "this server does not know the worker, or has given it up; register again")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let again = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some((header::RETRY_AFTER, AGAIN));
        let body = api::Problem {
            kind: self.kind.to_owned(),
            title: self.status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            hint: self.hint,
        };
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let headers: HeaderMap = again.into_iter().chain([kind]).collect();
        (self.status, headers, Json(body)).into_response()
    }
}
