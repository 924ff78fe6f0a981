//! The tables that an attempt reads, at the versions it was assigned.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{At, Engine, Session};
use flow::plan::{Input, Plan, Task, TaskId};
use flow::wire::{Assignment, Failure, Pins};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::sql;

/// Tables of which the log or the files are asked for at the same time.
const OPENED_AT_ONCE: usize = 16;

/// A session in which every input of the attempt can be named, those of the views it reads included.
pub(crate) async fn session(engine: &Engine, assignment: &Assignment) -> Result<Session, Failure> {
    let session = engine.session();
    let task = &assignment.plan.tasks[assignment.task];
    let is_view = |(_, input): &(String, Input)| view(&assignment.plan, input).is_some();
    let (views, tables): (Vec<_>, Vec<_>) = all(&assignment.plan, task).into_iter().partition(is_view);
    let add = async |(name, input): (String, Input)| add(engine, &session, assignment, &name, &input).await;
    stream::iter(tables).map(Ok).try_for_each_concurrent(OPENED_AT_ONCE, add).await?;
    for view in views {
        add(view).await?;
    }
    Ok(session)
}

/// Makes a view known to `session` as `name`, as the run that recorded `plan` and `pins` had it: its sources as they
/// were pinned, datasets at their versions `at`.
///
/// # Errors
/// What it reads was never published, or is gone.
pub async fn add_view(
    engine: &Engine,
    session: &Session,
    name: &str,
    (plan, pins, view): (Arc<Plan>, Arc<Pins>, TaskId),
    at: &[At],
) -> Result<(), engine::Error> {
    let mut versions = BTreeMap::new();
    let mut datasets = pins.datasets.clone();
    for (_, input) in all(&plan, &plan.tasks[view]) {
        match input {
            Input::Task(id) => {
                let made = plan.tasks[id].output.as_ref().filter(|output| !output.view);
                let Some(dataset) = made.map(|output| &output.dataset) else { continue };
                versions.extend(engine.version_at(dataset, at).await?.map(|version| (dataset.clone(), version)));
            }
            Input::External(dataset) => {
                datasets.extend(engine.version_at(&dataset, at).await?.map(|version| (dataset, version)));
            }
            Input::Source(_) => {}
        }
    }
    let pins = Arc::new(Pins { datasets, sources: pins.sources.clone() });
    let run_id = String::new();
    let assignment = Assignment { run_id, plan, pins, task: view, attempt: 0, token: 0, versions, force: false };
    let tables = self::session(engine, &assignment).await?;
    let query = sql::bound(engine, &assignment, &sql::Settings::of(&assignment.plan.tasks[view])?.sql)?;
    Ok(session.add_view_of(name, &tables, &query).await?)
}

/// The inputs of a task, and before each view those that it reads.
fn all(plan: &Plan, task: &Task) -> Vec<(String, Input)> {
    let mut found: BTreeMap<String, Input> = BTreeMap::new();
    let mut ordered = vec![];
    visit(plan, task, &mut found, &mut ordered);
    ordered
}

fn visit(plan: &Plan, task: &Task, found: &mut BTreeMap<String, Input>, ordered: &mut Vec<(String, Input)>) {
    for (name, input) in &task.inputs {
        if found.insert(name.clone(), input.clone()).is_some() {
            continue;
        }
        if let Some(view) = view(plan, input) {
            visit(plan, view, found, ordered);
        }
        ordered.push((name.clone(), input.clone()));
    }
}

fn view<'a>(plan: &'a Plan, input: &Input) -> Option<&'a Task> {
    let Input::Task(id) = input else { return None };
    let task = &plan.tasks[*id];
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
            if view(&assignment.plan, input).is_some() {
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
