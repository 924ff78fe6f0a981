//! Pages that say why there is no other.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::frame::Frame;
use crate::api::{AGAIN, Problem};

/// Why there is no other page.
#[derive(Debug)]
pub(super) struct Fault(Problem);

/// A page, or why there is none.
pub(super) type Page = Result<Markup, Fault>;

impl<E> From<E> for Fault
where
    Problem: From<E>,
{
    fn from(error: E) -> Self {
        Fault(error.into())
    }
}

impl Fault {
    pub fn new(problem: Problem) -> Self {
        Fault(problem)
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Fault(Problem::not_found(what))
    }

    fn title(&self) -> &'static str {
        match self.0.status {
            StatusCode::NOT_FOUND => "There is no such thing here",
            StatusCode::FORBIDDEN => "You may not do that",
            StatusCode::CONFLICT => "That is not possible now",
            StatusCode::SERVICE_UNAVAILABLE => "The store does not answer",
            status if status.is_client_error() => "That cannot be done",
            _ => "Something went wrong",
        }
    }

    fn body(&self) -> Markup {
        html! {
            h1 { (self.title()) }
            section.bad {
                p { (super::words::name(&self.0.detail)) "." }
                @if let Some(hint) = &self.0.hint {
                    p.hint { "Hint: " (super::words::name(hint)) }
                }
                @if self.0.status == StatusCode::SERVICE_UNAVAILABLE {
                    p { "Runs are not lost. This page tries again by itself every few seconds." }
                } @else {
                    p {
                        "What there is: " a.word href="/runs" { "runs" } ", " a.word href="/flows" { "flows" } ", "
                        a.word href="/datasets" { "datasets" } "."
                    }
                }
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let page = Frame { title: self.title(), ..Frame::default() }.around(None, self.body());
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                let again = [(header::RETRY_AFTER, AGAIN), (header::REFRESH, AGAIN)];
                (status, again, page).into_response()
            }
            _ => (status, page).into_response(),
        }
    }
}

/// Whether somebody would rather look at a page than read JSON.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}
