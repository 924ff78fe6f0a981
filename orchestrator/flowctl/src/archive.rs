//! Where runs and datasets are looked up: in the store, or at a server that has it. The answers are the same.

use engine::Engine;
use flow::api::{Datasets, LIMIT_MAX, Lines, Runs};
use flow::view::{self, Dataset, Event, Head, Impact, Lineage, Show, Ways, Why};
use server::look::{self, Said, Which};
use store::Store;

use crate::client::Client;
use crate::error::Error;
use crate::print::time;

pub enum Archive {
    Here(Box<Store>),
    There(Client),
}

use Archive::{Here, There};

impl Archive {
    /// Runs, newest first, as many as `which` wants.
    pub async fn runs(&self, which: Which) -> Result<Vec<Head>, Error> {
        let client = match self {
            Here(store) => return Ok(look::runs(store, &which).await?.runs),
            There(client) => client,
        };
        let (mut heads, mut cursor, mut left) = (vec![], which.cursor, which.limit);
        let state = which.state.map(|state| serde_json::to_value(state).unwrap_or_default());
        let state = state.and_then(|state| state.as_str().map(str::to_owned));
        while left > 0 {
            let limit = left.min(LIMIT_MAX);
            let asked = [("flow", which.flow.clone()), ("state", state.clone()), ("cursor", cursor)];
            let page: Runs = client.get(&["v1", "runs"], &given(asked, limit)).await?;
            left = left.saturating_sub(page.runs.len() as u32);
            heads.extend(page.runs);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(heads)
    }

    pub async fn show(&self, run: &str) -> Result<Show, Error> {
        match self {
            Here(store) => Ok(look::show(store, run).await?),
            There(client) => client.get(&["v1", "runs", run], &[]).await,
        }
    }

    pub async fn why(&self, run: &str, task: Option<&str>) -> Result<Why, Error> {
        let query: Vec<(&str, String)> = task.map(|task| ("task", task.to_owned())).into_iter().collect();
        match self {
            Here(store) => Ok(look::why(store, None, run, task).await?),
            There(client) => client.get(&["v1", "runs", run, "why"], &query).await,
        }
    }

    /// The lines after `cursor`, a page of them.
    pub async fn logs(&self, run: &str, task: Option<&str>, cursor: Option<&str>) -> Result<Lines, Error> {
        match self {
            Here(store) => Ok(look::logs(store, run, Said { task, cursor, limit: LIMIT_MAX }).await?),
            There(client) => {
                let asked = [("task", task.map(str::to_owned)), ("cursor", cursor.map(str::to_owned))];
                client.get(&["v1", "runs", run, "logs"], &given(asked, LIMIT_MAX)).await
            }
        }
    }

    pub async fn cancel(&self, run: &str) -> Result<Event, Error> {
        match self {
            Here(store) => Ok(look::cancel(store, run, "flowctl cancel", time::now()).await?),
            There(client) => client.post(&["v1", "runs", run, "cancel"], &()).await,
        }
    }

    pub async fn lineage(&self, dataset: &str, ways: Ways) -> Result<Lineage, Error> {
        let query = [("up", ways.up.to_string()), ("down", ways.down.to_string())];
        match self {
            Here(store) => Ok(look::lineage(store, dataset, ways).await?),
            There(client) => client.get(&["v1", "datasets", dataset, "lineage"], &query).await,
        }
    }

    pub async fn impact(&self, dataset: &str) -> Result<Impact, Error> {
        match self {
            Here(store) => Ok(look::impact(store, dataset).await?),
            There(client) => client.get(&["v1", "datasets", dataset, "impact"], &[]).await,
        }
    }

    /// Every dataset. `engine` tells the sizes of those that are here.
    pub async fn datasets(&self, engine: impl FnOnce() -> Result<Engine, Error>) -> Result<Vec<Dataset>, Error> {
        let client = match self {
            Here(store) => return here(store, &engine()?).await,
            There(client) => client,
        };
        let (mut datasets, mut cursor) = (vec![], None);
        loop {
            let page: Datasets = client.get(&["v1", "datasets"], &given([("cursor", cursor)], LIMIT_MAX)).await?;
            datasets.extend(page.datasets);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(datasets);
            }
        }
    }
}

async fn here(store: &Store, engine: &Engine) -> Result<Vec<Dataset>, Error> {
    let mut datasets = vec![];
    for it in store.datasets().await? {
        let size = match it.version {
            Some(_) => engine.dataset(&it.dataset).await.ok().flatten(),
            None => None,
        };
        datasets.push(view::dataset(&it, size.map(|size| (size.rows, size.bytes))));
    }
    Ok(datasets)
}

/// What is given of what may be asked, and the limit.
fn given<const N: usize>(asked: [(&'static str, Option<String>); N], limit: u32) -> Vec<(&'static str, String)> {
    let asked = asked.into_iter().filter_map(|(name, value)| Some((name, value?)));
    asked.chain([("limit", limit.to_string())]).collect()
}
