//! A run while it goes on, as server-sent events.
//!
//! What is told is read from the store, a batch at a time and only when the last one is gone, so a slow reader costs
//! nothing. A driver in this process says when there is something to read; otherwise the store is looked at.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use flow::view;
use futures::stream;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::answer::Done;
use super::describe::{Answers, Operation, Takes};
use super::problem::Problem;
use super::request::{Name, Params};
use crate::gate::Pass;
use crate::look;
use crate::service::{FOLLOWERS_MAX, Following, Service};

/// How many events, or lines, are read at once.
const BATCH: u64 = 500;
/// How often the store is looked at when nobody says anything.
const LOOK: Duration = Duration::from_millis(500);
/// How long what is told in a burst is gathered.
const GATHER: Duration = Duration::from_millis(20);
/// How often something is said at least, so that nobody in between hangs up.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The number of the last event that is known; those after it are told.
    #[serde(default)]
    after: u64,
    /// Whether what the tasks say is told, too, as events called `log`.
    #[serde(default)]
    logs: bool,
}

/// Where a reader has been: `SEQ`, or `SEQ.LINE` with what tasks say.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    seq: u64,
    line: u64,
}

/// The `Last-Event-ID` with which a reader comes back.
pub(super) struct Last(Option<Position>);

impl<S: Send + Sync> FromRequestParts<S> for Last {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(id) = parts.headers.get("last-event-id") else { return Ok(Last(None)) };
        let position = id.to_str().ok().and_then(|id| {
            let (seq, line) = id.split_once('.').unwrap_or((id, "0"));
            Some(Position { seq: seq.parse().ok()?, line: line.parse().ok()? })
        });
        position.map(|it| Last(Some(it))).ok_or_else(|| Problem::bad("the Last-Event-ID is none of this stream's"))
    }
}

impl Takes for Last {
    fn describe(operation: &mut Operation, _schemas: &mut SchemaGenerator) {
        operation.parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The id of the last event that was read. Counts instead of `after`.",
            "schema": { "type": "string", "pattern": "^[0-9]{1,15}([.][0-9]{1,15})?$" },
        }));
        operation.problems.insert(400);
    }
}

/// A stream, or nothing if everything has been told.
pub(super) enum Live {
    Stream(Box<Follower>),
    Over,
}

/// Reads a run as it goes on.
pub(super) struct Follower {
    service: Arc<Service>,
    pass: Pass,
    run_id: String,
    at: Position,
    logs: bool,
    following: Following,
    ready: VecDeque<Event>,
    over: bool,
}

/// The stream for those whom another guard has let in.
pub(crate) fn route() -> MethodRouter<Arc<Service>> {
    routing::get(follow)
}

pub(super) async fn follow(
    State(service): Shared,
    Extension(pass): Extension<Pass>,
    Name(run): Name,
    Params(from): Params<From>,
    Last(last): Last,
) -> Result<Live, Problem> {
    let run_id = service.store.find(&run).await?;
    let at = last.unwrap_or(Position { seq: from.after, line: 0 });
    let head = service.store.head(&run_id).await?;
    if head.state.is_terminal() && at.seq >= head.seq {
        return Ok(Live::Over);
    }
    let following = service.followers.follow(&run_id).ok_or_else(crowded)?;
    let (logs, ready, over) = (from.logs, VecDeque::new(), false);
    Ok(Live::Stream(Box::new(Follower { service, pass, run_id, at, logs, following, ready, over })))
}

fn crowded() -> Problem {
    let detail = format!("{FOLLOWERS_MAX} streams of events are open, as many as this server takes");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .hint(Some("close some, or ask for the run itself now and then".to_owned()))
}

impl Follower {
    /// `None` after the run's last event, and as soon as who listens would not be let in any more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.service.gate.admits_still(&self.pass) {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            match self.read().await {
                Ok(()) if !self.ready.is_empty() => {}
                Ok(()) => {
                    // Told or not, the store is looked at.
                    let _ = timeout(LOOK, self.following.told()).await;
                    sleep(GATHER).await;
                }
                Err(error) => {
                    tracing::warn!("failed to {error}; a reader of run {} waits", self.run_id);
                    sleep(LOOK).await;
                }
            }
        }
    }

    /// Reads on. What tasks said comes before the events that were there then, so none of it follows the last.
    async fn read(&mut self) -> Result<(), store::Error> {
        let records = self.service.store.events(&self.run_id, self.at.seq, BATCH).await?;
        if self.logs {
            let lines = self.service.store.logs(&self.run_id, None, self.at.line, BATCH).await?;
            let full = lines.len() as u64 == BATCH;
            for line in lines {
                self.at.line = line.number;
                self.push("log", &look::line(&self.run_id, line));
            }
            if full {
                return Ok(());
            }
        }
        for record in &records {
            self.at.seq = record.seq;
            let event = view::event(record);
            self.push(event.event.name(), &event);
            self.over |= matches!(record.event, flow::run::Event::RunClosed { .. });
        }
        Ok(())
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        let Position { seq, line } = self.at;
        let id = if self.logs { format!("{seq}.{line}") } else { seq.to_string() };
        match Event::default().id(id).event(name).json_data(data) {
            Ok(event) => self.ready.push_back(event),
            Err(error) => tracing::error!("an event of run {} has no form in JSON: {error}", self.run_id),
        }
    }
}

impl Answers for Live {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        let data = [schemas.subschema_for::<view::Event>(), schemas.subschema_for::<view::Line>()];
        let description = "Events, each with its place as `id`, its name as `event` and itself as `data`. The last is \
            `run_closed`, unless the token is over before; comments keep the connection alive. The schema is that of one of them.";
        let data =
            json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": { "anyOf": data } });
        let text = json!({ "type": "string" });
        let parts = json!({ "id": text, "event": text, "data": data });
        let schema = json!({ "type": "object", "required": ["data"], "properties": parts });
        let content = json!({ "text/event-stream": { "schema": schema } });
        operation.answers.insert(200, json!({ "description": description, "content": content }));
        operation.answers_nothing(204, "The run is over and everything of it has been told.");
    }
}

impl IntoResponse for Live {
    fn into_response(self) -> Response {
        let Live::Stream(follower) = self else { return Done.into_response() };
        let events = stream::unfold(follower, |mut follower| async {
            let event = follower.next().await?;
            Some((Ok::<Event, Infallible>(event), follower))
        });
        Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
    }
}
