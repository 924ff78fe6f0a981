//! Who looks at pages, what they may do, and that they mean it.
//!
//! A visitor shows a token once; a cookie that no script can read shows it from then on, and no other site can make a
//! browser send it. What changes something is asked for by a form of ours: its hidden field repeats a cookie, and the
//! browser says that the request comes from a page of this server.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;
use store::Scope;
use uuid::Uuid;

use super::address;
use super::fault::Fault;
use super::frame::Frame;
use crate::api::Problem;
use crate::gate::{Pass, Shut};
use crate::service::Service;
use crate::site::Site;

/// The cookie with the visitor's token.
const SESSION: &str = "flowctl_session";
/// The cookie that forms repeat.
const SEAL: &str = "flowctl_seal";

/// What lies between this server and browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// TLS: cookies are sent over nothing else.
    Safe,
    Plain,
}

/// Who looks.
#[derive(Clone)]
pub(super) struct Visitor {
    pub pass: Pass,
    seal: String,
}

impl Visitor {
    /// Whether they may have flows run and runs stop.
    pub fn may_run(&self) -> bool {
        self.pass.allows(Scope::Run)
    }

    /// The name of their token.
    pub fn name(&self) -> Option<&str> {
        match &self.pass {
            Pass::Open => None,
            Pass::Token(token) => Some(&token.name),
        }
    }

    /// What each form carries.
    pub fn seal(&self) -> Markup {
        html! { input type="hidden" name="seal" value=(self.seal); }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        visitor.ok_or_else(|| Fault::new(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody was let in")))
    }
}

/// The fields of a form of ours.
pub(super) struct Posted(Vec<(String, String)>);

impl Posted {
    /// What a field says; nothing if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The fields that begin like that, without the beginning.
    pub fn beginning<'a>(&'a self, with: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(with)?, value.as_str())))
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let headers = request.headers().clone();
        let read: Result<Form<Vec<(String, String)>>, FormRejection> = Form::from_request(request, state).await;
        let Form(fields) = read.map_err(|error| Fault::new(Problem::new(error.status(), error.body_text())))?;
        let posted = Posted(fields);
        let seal = cookie(&headers, SEAL).unwrap_or_default();
        if Site::of(&headers) != Site::Ours || seal.is_empty() || posted.get("seal") != seal {
            let problem = Problem::new(StatusCode::FORBIDDEN, "the request does not come from a form of this server");
            return Err(Fault::new(problem.hint(Some("go back, reload the page and try again".to_owned()))));
        }
        Ok(posted)
    }
}

/// What a cookie holds.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| text.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// A cookie that no script reads and no other site sends. An empty one ends at once.
fn baked(by: Connections, name: &str, value: &str) -> Option<HeaderValue> {
    let secure = if by == Connections::Safe { "; Secure" } else { "" };
    let life = if value.is_empty() { "; Max-Age=0" } else { "" };
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{life}")).ok()
}

/// Lets in whom the gate lets in; others are asked for a token.
pub(super) async fn admit(
    State((service, by)): State<(Arc<Service>, Connections)>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = cookie(request.headers(), SESSION).map(str::to_owned);
    let pass = match service.gate.admit(token.as_deref(), &service.store).await {
        Ok(pass) => pass,
        Err(Shut::NoToken) if request.method() == Method::GET => {
            let wanted = request.uri().path_and_query().map_or("/", |it| it.as_str());
            return Redirect::to(&address::with("/login", &[("to", wanted)])).into_response();
        }
        Err(shut) => return Fault::from(shut).into_response(),
    };
    let needed = if request.method() == Method::GET { Scope::Read } else { Scope::Run };
    if !pass.allows(needed) {
        let problem = Problem::new(StatusCode::FORBIDDEN, format!("the token lacks the scope `{needed}`"));
        let hint = format!("`flowctl token create NAME --scope {needed}` makes one that has it");
        return Fault::new(problem.hint(Some(hint))).into_response();
    }
    let (seal, is_new) = sealed(request.headers());
    request.extensions_mut().insert(pass.clone());
    request.extensions_mut().insert(Visitor { pass, seal: seal.clone() });
    let mut response = next.run(request).await;
    if let Some(baked) = baked(by, SEAL, &seal).filter(|_| is_new) {
        response.headers_mut().append(header::SET_COOKIE, baked);
    }
    response
}

/// What forms repeat: what the visitor has, or something new.
fn sealed(headers: &HeaderMap) -> (String, bool) {
    match cookie(headers, SEAL).filter(|seal| seal.len() == 32 && seal.bytes().all(|it| it.is_ascii_hexdigit())) {
        Some(seal) => (seal.to_owned(), false),
        None => (Uuid::new_v4().simple().to_string(), true),
    }
}

impl From<Shut> for Fault {
    fn from(shut: Shut) -> Self {
        Fault::new(match shut {
            Shut::NoToken => Problem::new(StatusCode::UNAUTHORIZED, "you are not signed in any more")
                .hint(Some("open the first page and sign in again".to_owned())),
            Shut::Unsure => Problem::unsure(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    to: String,
}

pub(super) async fn login_page(
    Extension(by): Extension<Connections>,
    headers: HeaderMap,
    Query(Wanted { to }): Query<Wanted>,
) -> Response {
    let (seal, is_new) = sealed(&headers);
    let page = login_form(&seal, address::own(&to), None);
    let baked = baked(by, SEAL, &seal).filter(|_| is_new);
    (baked.map(|it| [(header::SET_COOKIE, it)]).into_iter().flatten().collect::<HeaderMap>(), page).into_response()
}

fn login_form(seal: &str, to: &str, trouble: Option<&str>) -> Markup {
    let body = html! {
        h1 { "Sign in" }
        section {
            @if let Some(trouble) = trouble { p role="alert" { (trouble) } }
            form method="post" action="/login" {
                input type="hidden" name="seal" value=(seal);
                input type="hidden" name="to" value=(to);
                div.field {
                    label for="token" { "Token" }
                    input #token type="password" name="token" required autofocus autocomplete="current-password" size="48";
                }
                button.main type="submit" { "Sign in" }
            }
            p.hint { "Whoever keeps this server makes tokens: " code { "flowctl token create NAME --scope run" } "." }
            p.hint { a.word href=(to) { "Go on" } ", if you have signed in already." }
        }
    };
    Frame { title: "Sign in", ..Frame::default() }.around(None, body)
}

pub(super) async fn login(
    State(service): State<Arc<Service>>,
    Extension(by): Extension<Connections>,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    let (token, to) = (posted.get("token").trim(), address::own(posted.get("to")));
    match service.gate.admit(Some(token), &service.store).await {
        Ok(_) => {
            let cookie = baked(by, SESSION, token).map(|it| (header::SET_COOKIE, it));
            (cookie.into_iter().collect::<HeaderMap>(), Redirect::to(to)).into_response()
        }
        Err(Shut::NoToken) => {
            let page = login_form(&sealed(&headers).0, to, Some("This token opens nothing here, or not any more."));
            (StatusCode::FORBIDDEN, page).into_response()
        }
        Err(shut) => Fault::from(shut).into_response(),
    }
}

pub(super) async fn logout(Extension(by): Extension<Connections>, _posted: Posted) -> Response {
    let cookie = baked(by, SESSION, "").map(|it| (header::SET_COOKIE, it));
    (cookie.into_iter().collect::<HeaderMap>(), Redirect::to("/login")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let both = headers(&[("cookie", "a=1; flowctl_seal=ab; flowctl_sealed=no")]);
        assert_eq!(cookie(&both, SEAL), Some("ab"));
        assert_eq!(cookie(&both, SESSION), None);
        assert!(sealed(&both).1, "what is no seal is made anew");
    }
}
