//! An endpoint: a line of the table from which both the router and the document are made.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use schemars::SchemaGenerator;
use store::Scope;

use super::describe::{Described, Operation};
use super::guard;
use crate::service::Service;

/// A method at an address.
pub(super) struct Endpoint {
    /// In lower case.
    pub method: &'static str,
    /// Names in braces are told by [`super::request::Name`].
    pub path: &'static str,
    pub id: &'static str,
    /// What a token must be good for; `None`: nobody is asked for one.
    pub scope: Option<Scope>,
    pub summary: &'static str,
    pub problems: BTreeSet<u16>,
    pub describe: fn(&mut Operation, &mut SchemaGenerator),
    pub route: MethodRouter<Arc<Service>>,
}

pub(super) fn get<H, T, A>(
    scope: impl Into<Option<Scope>>,
    path: &'static str,
    id: &'static str,
    handler: H,
) -> Endpoint
where
    H: Handler<T, Arc<Service>> + Described<A>,
    T: 'static,
{
    Endpoint::new::<H, A>("get", scope.into(), path, id, routing::get(handler))
}

pub(super) fn post<H, T, A>(
    scope: impl Into<Option<Scope>>,
    path: &'static str,
    id: &'static str,
    handler: H,
) -> Endpoint
where
    H: Handler<T, Arc<Service>> + Described<A>,
    T: 'static,
{
    Endpoint::new::<H, A>("post", scope.into(), path, id, routing::post(handler))
}

impl Endpoint {
    fn new<H: Described<A>, A>(
        method: &'static str,
        scope: Option<Scope>,
        path: &'static str,
        id: &'static str,
        route: MethodRouter<Arc<Service>>,
    ) -> Self {
        let (describe, problems) = (H::describe as fn(&mut Operation, &mut SchemaGenerator), BTreeSet::new());
        let route = match scope {
            Some(scope) => guard::demand(scope, route),
            None => route,
        };
        Endpoint { method, path, id, scope, summary: "", problems, describe, route }
    }

    /// What it does, in a sentence.
    pub fn says(self, summary: &'static str) -> Self {
        Endpoint { summary, ..self }
    }

    /// The statuses of its own problems.
    pub fn fails(self, problems: &[u16]) -> Self {
        Endpoint { problems: problems.iter().copied().collect(), ..self }
    }
}
