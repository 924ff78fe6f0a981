//! The tables that an attempt reads, at the versions it was assigned.

use std::collections::BTreeMap;

use engine::{Engine, Session};
use flow::plan::{Input, Task};
use flow::wire::{Assignment, Failure};

use crate::sql;

/// A session in which every input of the attempt can be named, those of the views it reads included.
pub(crate) async fn session(engine: &Engine, assignment: &Assignment) -> Result<Session, Failure> {
    let session = engine.session();
    let task = &assignment.plan.tasks[assignment.task];
    for (name, input) in all(assignment, task) {
        add(engine, &session, assignment, &name, &input).await?;
    }
    Ok(session)
}

/// The inputs of a task, and before each view those that it reads.
fn all(assignment: &Assignment, task: &Task) -> Vec<(String, Input)> {
    let mut found: BTreeMap<String, Input> = BTreeMap::new();
    let mut ordered = vec![];
    visit(assignment, task, &mut found, &mut ordered);
    ordered
}

fn visit(
    assignment: &Assignment,
    task: &Task,
    found: &mut BTreeMap<String, Input>,
    ordered: &mut Vec<(String, Input)>,
) {
    for (name, input) in &task.inputs {
        if found.insert(name.clone(), input.clone()).is_some() {
            continue;
        }
        if let Some(view) = view(assignment, input) {
            visit(assignment, view, found, ordered);
        }
        ordered.push((name.clone(), input.clone()));
    }
}

fn view<'a>(assignment: &'a Assignment, input: &Input) -> Option<&'a Task> {
    let Input::Task(id) = input else { return None };
    let task = &assignment.plan.tasks[*id];
    task.output.as_ref().is_some_and(|output| output.view).then_some(task)
}

async fn add(
    engine: &Engine,
    session: &Session,
    assignment: &Assignment,
    name: &str,
    input: &Input,
) -> Result<(), Failure> {
    let missing = |what: &str| Failure::internal(format!("no version of `{what}` was assigned"));
    match input {
        Input::Source(source) => {
            let files = assignment.pins.sources.get(source).ok_or_else(|| missing(source))?;
            let source =
                assignment.plan.sources.iter().find(|known| known.name == *source).ok_or_else(|| missing(source))?;
            session.add_source(name, source, files).await
        }
        Input::External(dataset) => {
            let version = assignment.pins.datasets.get(dataset).ok_or_else(|| missing(dataset))?;
            session.add_dataset(name, dataset, *version).await
        }
        Input::Task(id) => {
            let task = &assignment.plan.tasks[*id];
            if view(assignment, input).is_some() {
                let query = sql::bound(engine, assignment, &sql::Settings::of(task)?.sql)?;
                return session.add_view(name, &query).await;
            }
            let dataset =
                task.output.as_ref().map(|output| output.dataset.as_str()).ok_or_else(|| missing(&task.name))?;
            let version = assignment.versions.get(dataset).ok_or_else(|| missing(dataset))?;
            session.add_dataset(name, dataset, *version).await
        }
    }
}
