//! `sql`: a query whose rows become the dataset.

use engine::{Audit, Engine, Predicate, Publish, Query, Session};
use flow::plan::{Rule, Task};
use flow::wire::{Assignment, Ending, Failure, Outcome};
use serde::{Deserialize, Serialize};

use crate::{compile, inputs};

/// The `with` of an `sql` task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The query as written.
    pub sql: String,
}

impl Settings {
    pub fn of(task: &Task) -> Result<Settings, Failure> {
        serde_json::from_value(task.with.clone())
            .map_err(|error| Failure::internal(format!("the plan of `{}` has no query: {error}", task.name)))
    }
}

/// Runs an attempt to its end.
pub(crate) async fn execute(engine: &Engine, assignment: &Assignment) -> Ending {
    match attempt(engine, assignment).await {
        Ok(outcome) => Ending::Succeeded(outcome),
        Err(failure) => Ending::Failed(failure),
    }
}

async fn attempt(engine: &Engine, assignment: &Assignment) -> Result<Outcome, Failure> {
    let task = &assignment.plan.tasks[assignment.task];
    let publish = publication(engine, assignment, engine.fingerprint(assignment).await?)?;
    let query = bound(engine, assignment, &Settings::of(task)?.sql)?;
    if publish.output.view {
        return checked_view(engine, assignment, &query, &publish).await;
    }
    if let Some(outcome) = engine.reuse(&publish).await? {
        return Ok(outcome);
    }
    let session = inputs::session(engine, assignment).await?;
    engine.publish(&session, &query, publish).await
}

/// A view stores nothing; it fails where its checks do.
async fn checked_view(
    engine: &Engine,
    assignment: &Assignment,
    query: &Query,
    publish: &Publish<'_>,
) -> Result<Outcome, Failure> {
    let dataset = &publish.output.dataset;
    let told = |location| {
        format!("`{dataset}` was a table before: other flows read its last version as long as `{location}` is there")
    };
    let warnings = engine.left_over(dataset).await?.map(told).into_iter().collect();
    let outcome = Outcome { dataset: Some(dataset.clone()), warnings, ..Outcome::default() };
    if publish.audits.is_empty() {
        return Ok(outcome);
    }
    let session: Session = inputs::session(engine, assignment).await?;
    let checks = engine.audit_view(&session, query, publish).await?;
    Ok(Outcome { checks, ..outcome })
}

/// What an attempt is about to publish.
pub(crate) fn publication<'a>(
    engine: &Engine,
    assignment: &'a Assignment,
    fingerprint: Option<String>,
) -> Result<Publish<'a>, Failure> {
    let task = &assignment.plan.tasks[assignment.task];
    let output = task.output.as_ref().ok_or_else(|| Failure::internal(format!("`{}` makes no dataset", task.name)))?;
    let audits = task.checks.iter().map(|check| {
        let query = match &check.rule {
            Rule::Sql(text) => Some(bound(engine, assignment, text)?),
            _ => None,
        };
        Ok(Audit { check, query })
    });
    let predicate =
        output.predicate.as_ref().map(|text| predicate(engine, assignment, &task.name, text)).transpose()?;
    Ok(Publish { assignment, output, fingerprint, audits: audits.collect::<Result<_, Failure>>()?, predicate })
}

fn predicate(engine: &Engine, assignment: &Assignment, task: &str, text: &str) -> Result<Predicate, Failure> {
    let values = compile::bound_in(&assignment.plan);
    let condition = engine.parse_condition(text);
    condition
        .and_then(|condition| engine.predicate(task, &condition, &values))
        .map_err(|problem| Failure::user(problem.message))
}

/// A query of the plan with its parameters bound.
pub(crate) fn bound(engine: &Engine, assignment: &Assignment, text: &str) -> Result<Query, Failure> {
    let query = engine.parse(text).map_err(|problem| Failure::user(problem.message))?;
    Ok(query.bind(&compile::bound_in(&assignment.plan)))
}
