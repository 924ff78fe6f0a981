//! What every request passes before anything else looks at it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use store::Scope;

use super::problem::Problem;
use crate::gate::{Pass, Shut};
use crate::service::Service;
use crate::site::{self, Site};
use crate::ui;

/// Closes a route to those who have been let in but lack the scope.
pub(super) fn demand(scope: Scope, route: MethodRouter<Arc<Service>>) -> MethodRouter<Arc<Service>> {
    route.route_layer(middleware::from_fn_with_state(scope, check))
}

async fn check(State(scope): State<Scope>, request: Request, next: Next) -> Response {
    match request.extensions().get::<Pass>() {
        Some(pass) if pass.allows(scope) => next.run(request).await,
        _ => {
            let detail = format!("the token lacks the scope `{scope}`");
            let hint = format!("`flowctl token create NAME --scope {scope}` makes one that has it");
            Problem::new(StatusCode::FORBIDDEN, detail).hint(Some(hint)).into_response()
        }
    }
}

/// Turns away what a page of somebody else has a browser ask.
pub(super) async fn refuse_strangers(
    State((service, listening)): State<(Arc<Service>, IpAddr)>,
    request: Request,
    next: Next,
) -> Response {
    let is_ours_alone = listening.is_loopback() && service.gate.is_open();
    let strange = site::host(request.uri(), request.headers())
        .filter(|host| is_ours_alone && !site::is_here(host, listening))
        .map(|host| format!("without tokens this server answers to localhost and {listening} only, not to `{host}`"));
    let problem = match strange {
        Some(detail) => Problem::new(StatusCode::FORBIDDEN, detail).hint(Some(
            "ask for it by one of these; or make a token (`flowctl token create NAME --scope admin`), then every name will do"
                .to_owned(),
        )),
        None if !request.method().is_safe() && Site::of(request.headers()) == Site::Other => {
            let detail =
                "a page of another site has asked for a change, which this server takes from its own pages only";
            Problem::new(StatusCode::FORBIDDEN, detail)
                .hint(Some("programs leave out `Origin` and `Sec-Fetch-Site`".to_owned()))
        }
        None => return next.run(request).await,
    };
    ui::told(problem, request.headers()).await
}

/// Lets in who shows a token that is known here, or everybody while none was ever made.
pub(super) async fn admit(State(service): State<Arc<Service>>, mut request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match service.gate.admit(shown.map(|(_, token)| token.trim()), &service.store).await {
        Ok(pass) => {
            request.extensions_mut().insert(pass);
            next.run(request).await
        }
        Err(Shut::NoToken) => {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "this service wants a token, and one that it knows");
            let problem = problem
                .hint(Some("send `Authorization: Bearer TOKEN`; `flowctl token create` makes tokens".to_owned()));
            ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
        }
        Err(Shut::Unsure) => Problem::unsure().into_response(),
    }
}
