//! Datasets: listed, and how their columns hang together.

use axum::Json;
use axum::extract::State;
use flow::api::Datasets;
use flow::view::{self, Impact, Lineage, Ways};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Shared;
use super::problem::Problem;
use super::request::{Name, Params};
use super::runs::Limit;
use crate::look;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// At most so many.
    #[serde(default)]
    limit: Limit,
    /// Goes on after the page whose `next` it was.
    cursor: Option<String>,
}

pub(super) async fn list(State(service): Shared, Params(page): Params<Page>) -> Result<Json<Datasets>, Problem> {
    let after = page.cursor.unwrap_or_default();
    let mut all = service.store.datasets().await?;
    all.retain(|it| it.dataset > after);
    let more = all.len() > page.limit.get() as usize;
    all.truncate(page.limit.get() as usize);
    let next = all.last().filter(|_| more).map(|it| it.dataset.clone());
    let mut datasets = vec![];
    for it in &all {
        let size = match it.version {
            Some(_) => service.compile.size(&it.dataset).await,
            None => None,
        };
        datasets.push(view::dataset(it, size));
    }
    Ok(Json(Datasets { datasets, next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Followed {
    /// Everything it comes from, too, hop by hop.
    #[serde(default)]
    up: bool,
    /// Everything that is made of it, too, hop by hop.
    #[serde(default)]
    down: bool,
}

pub(super) async fn lineage(
    State(service): Shared,
    Name(dataset): Name,
    Params(Followed { up, down }): Params<Followed>,
) -> Result<Json<Lineage>, Problem> {
    Ok(Json(look::lineage(&service.store, &dataset, Ways { up, down, ..Ways::default() }).await?))
}

pub(super) async fn impact(State(service): Shared, Name(dataset): Name) -> Result<Json<Impact>, Problem> {
    Ok(Json(look::impact(&service.store, &dataset).await?))
}
