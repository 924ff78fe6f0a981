//! One file per subcommand: its arguments with their manual, and what it does, ending in an `Exit`.

pub mod backfill;
pub mod cancel;
pub mod check;
pub mod completions;
pub mod datasets;
pub mod doctor;
pub mod explain;
pub mod fsck;
pub mod impact;
pub mod init;
pub mod lineage;
pub mod logs;
pub mod next;
pub mod plan;
pub mod query;
pub mod retry;
pub mod run;
pub mod runs;
pub mod schema;
pub mod serve;
pub mod show;
pub mod why;
pub mod worker;

use flow::lineage::Subtype;
use flow::name;
use flow::plan::Plan;

use crate::catalogue::{Catalogue, Named, Place};
use crate::context::Context;
use crate::error::Error;

/// The run has no such task.
fn unknown_task(plan: &Plan, task: &str) -> Error {
    let names = plan.tasks.iter().map(|task| task.name.as_str());
    Error::not_found(format!("flow `{}` has no task `{task}`", plan.flow)).maybe_hint(name::suggest(task, names))
}

/// What has been published here.
async fn catalogue(cx: &Context) -> Result<Catalogue, Error> {
    let store = cx.store_with_runs().await?;
    Ok(Catalogue::new(store.datasets().await?))
}

/// Where lineage is followed from: a column, or all columns of a dataset.
fn places(catalogue: &Catalogue, named: &Named) -> Vec<Place> {
    let columns = match &named.column {
        Some(column) => vec![column.as_str()],
        None => catalogue.columns(&named.dataset),
    };
    let place = |column: &str| Place { dataset: named.dataset.clone(), column: column.to_owned() };
    columns.into_iter().map(place).collect()
}

/// How a column takes part in another, in a word.
fn word(subtype: Subtype) -> &'static str {
    match subtype {
        Subtype::Identity => "as it is",
        Subtype::Transformation => "transformed",
        Subtype::Aggregation => "aggregated",
        Subtype::Join => "joins",
        Subtype::GroupBy => "groups",
        Subtype::Filter => "filters",
        Subtype::Sort => "sorts",
        Subtype::Window => "windows",
        Subtype::Conditional => "decides",
    }
}
