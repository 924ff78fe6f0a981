//! Runs: listed, made, shown, explained, stopped.

use axum::extract::State;
use axum::{Extension, Json};
use flow::api::{Again, Events, LIMIT_MAX, Lines, Meant, NewRun, Runs};
use flow::plan::Plan;
use flow::run::RunState;
use flow::schedule;
use flow::view::{self, Show, Why};
use schemars::JsonSchema;
use serde::Deserialize;
use store::Origin;

use super::Shared;
use super::answer::{Accepted, Made};
use super::flows::{known, texts};
use super::problem::Problem;
use super::request::{Body, Caller, Key, Name, Params};
use crate::gate::Pass;
use crate::look::{self, Said, Which};
use crate::service::Order;

/// How many items an answer holds at most.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit(u32);

impl Limit {
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        match limit {
            1..=LIMIT_MAX => Ok(Limit(limit)),
            _ => Err(format!("it lies between 1 and {LIMIT_MAX}")),
        }
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": Limit::default().0 })
    }
}

pub(super) async fn create(
    State(service): Shared,
    key: Key,
    Caller(caller): Caller,
    Body(new): Body<NewRun>,
) -> Result<Made<Meant>, Problem> {
    let key = key.of(&new);
    // What was made before stays what it is, whatever has become of the flow.
    if let Some(run_id) = service.asked_before(key.as_ref()).await? {
        return Ok(Made { value: Meant { run_id }, is_new: false });
    }
    let flow = known(&service, &new.flow)?;
    let instant = |text: String| schedule::instant(&text).map_err(|why| Problem::bad(format!("logical_time: {why}")));
    let logical_time = new.logical_time.map(instant).transpose()?;
    let params = texts(new.params);
    let (select, force, once) = (new.select, new.force, new.once);
    let order = Order { params, logical_time, key, caller, select, force, once };
    let (run_id, is_new) = service.make(&flow, &order, Origin::Service).await?;
    Ok(Made { value: Meant { run_id }, is_new })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only runs of this flow.
    flow: Option<String>,
    /// Only runs in this state.
    state: Option<RunState>,
    /// At most so many.
    #[serde(default)]
    limit: Limit,
    /// Goes on after the page whose `next` it was.
    cursor: Option<String>,
}

pub(super) async fn list(State(service): Shared, Params(wanted): Params<Wanted>) -> Result<Json<Runs>, Problem> {
    let Wanted { flow, state, limit, cursor } = wanted;
    Ok(Json(look::runs(&service.store, &Which { flow, state, limit: limit.get(), cursor }).await?))
}

pub(super) async fn show(State(service): Shared, Name(run): Name) -> Result<Json<Show>, Problem> {
    Ok(Json(look::show(&service.store, &run).await?))
}

pub(super) async fn plan(State(service): Shared, Name(run): Name) -> Result<Json<Plan>, Problem> {
    Ok(Json(look::plan(&service.store, &run).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// A task of the run; else it is about the whole run.
    task: Option<String>,
}

pub(super) async fn why(
    State(service): Shared,
    Name(run): Name,
    Params(about): Params<About>,
) -> Result<Json<Why>, Problem> {
    Ok(Json(look::why(&service.store, Some(&service.hall), &run, about.task.as_deref()).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// At most so many.
    #[serde(default)]
    limit: Limit,
    /// Goes on after the page whose `next` it was; the number of an event goes on after that.
    cursor: Option<String>,
}

pub(super) async fn events(
    State(service): Shared,
    Name(run): Name,
    Params(page): Params<Page>,
) -> Result<Json<Events>, Problem> {
    Ok(Json(look::events(&service.store, &run, page.cursor.as_deref(), page.limit.get()).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Saying {
    /// Only what this task said.
    task: Option<String>,
    /// At most so many.
    #[serde(default)]
    limit: Limit,
    /// Goes on after the page whose `next` it was; the number of a line goes on after that.
    cursor: Option<String>,
}

pub(super) async fn logs(
    State(service): Shared,
    Name(run): Name,
    Params(saying): Params<Saying>,
) -> Result<Json<Lines>, Problem> {
    let (task, cursor) = (saying.task.as_deref(), saying.cursor.as_deref());
    Ok(Json(look::logs(&service.store, &run, Said { task, cursor, limit: saying.limit.get() }).await?))
}

pub(super) async fn retry(
    State(service): Shared,
    Name(run): Name,
    key: Key,
    Body(again): Body<Again>,
) -> Result<Made<Meant>, Problem> {
    let run_id = service.store.find(&run).await?;
    let key = key.of(&(&run_id, &again));
    if let Some(run_id) = service.asked_before(key.as_ref()).await? {
        return Ok(Made { value: Meant { run_id }, is_new: false });
    }
    let (run_id, is_new) = service.again(&run_id, &again.from, key.as_ref()).await?;
    Ok(Made { value: Meant { run_id }, is_new })
}

pub(super) async fn cancel(
    State(service): Shared,
    Extension(pass): Extension<Pass>,
    Name(run): Name,
) -> Result<Accepted<view::Event>, Problem> {
    Ok(Accepted(look::cancel(&service.store, &run, &pass.signature(), service.clock.now()).await?))
}
