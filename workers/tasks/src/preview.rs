//! `flowctl plan`: what would run, what is cached, and why.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Engine;
use flow::plan::{Input, Plan, Task};
use flow::wire::{Assignment, Failure, Pins};
use serde::Serialize;

use crate::sql;

/// What a run would do with a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub task: String,
    pub kind: String,
    pub action: Action,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Run,
    Cached,
    Skip,
}

/// What a run of the plan would do with each task, in the plan's order. Runs and writes nothing.
pub async fn preview(engine: &Engine, plan: Arc<Plan>, pins: Arc<Pins>, force: bool) -> Result<Vec<Preview>, Failure> {
    let mut versions: std::collections::BTreeMap<String, u64> = Default::default();
    let mut actions: HashMap<usize, Action> = HashMap::new();
    let mut previews = vec![];
    for (id, task) in plan.tasks.iter().enumerate() {
        let (action, reason) = match blocked(&plan, task, &actions) {
            Some(found) => found,
            None => {
                let assignment = Assignment {
                    run_id: String::new(),
                    plan: plan.clone(),
                    pins: pins.clone(),
                    task: id,
                    attempt: 1,
                    token: u64::MAX,
                    versions: versions.clone(),
                    force,
                };
                cached(engine, &assignment, task, &mut versions).await?
            }
        };
        actions.insert(id, action);
        previews.push(Preview { task: task.name.clone(), kind: task.kind.clone(), action, reason });
    }
    Ok(previews)
}

/// What follows for a task from what it needs, before anything is looked up.
fn blocked(plan: &Plan, task: &Task, actions: &HashMap<usize, Action>) -> Option<(Action, String)> {
    if let Some(reason) = &task.skip {
        return Some((Action::Skip, reason.clone()));
    }
    let skipped = task.needs.iter().find(|need| need.data && actions.get(&need.task) == Some(&Action::Skip));
    if let Some(need) = skipped {
        return Some((Action::Skip, format!("`{}` is skipped", plan.tasks[need.task].name)));
    }
    let ran = runs_before(plan, task, actions);
    ran.map(|id| (Action::Run, format!("its input `{}` runs", plan.tasks[id].name)))
}

/// A table that the task reads, through views too, and that runs.
fn runs_before(plan: &Plan, task: &Task, actions: &HashMap<usize, Action>) -> Option<usize> {
    task.inputs.values().find_map(|input| match input {
        Input::Task(id) if is_view(&plan.tasks[*id]) => runs_before(plan, &plan.tasks[*id], actions),
        Input::Task(id) if actions.get(id) == Some(&Action::Run) => Some(*id),
        _ => None,
    })
}

fn is_view(task: &Task) -> bool {
    task.output.as_ref().is_some_and(|output| output.view)
}

async fn cached(
    engine: &Engine,
    assignment: &Assignment,
    task: &Task,
    versions: &mut std::collections::BTreeMap<String, u64>,
) -> Result<(Action, String), Failure> {
    let run = |reason: &str| Ok((Action::Run, reason.to_string()));
    if task.kind == "noop" {
        return run("a point of order: no work");
    }
    let Some(output) = &task.output else { return run("it makes no dataset, so nothing can be kept") };
    if output.view {
        return run("a view: computed where it is read");
    }
    if assignment.force {
        return run("--force");
    }
    if task.fingerprint.is_none() {
        return run(if task.kind == "command" {
            "a command without `cache = true`"
        } else {
            "its result changes by itself"
        });
    }
    let publish = sql::publication(engine, assignment, engine.fingerprint(assignment).await?)?;
    match engine.cached(&publish).await? {
        Some(outcome) => {
            let version = outcome.version.unwrap_or_default();
            versions.insert(output.dataset.clone(), version);
            Ok((Action::Cached, format!("version {version} is what it would write")))
        }
        None if engine.exists(&output.dataset).await? => run("its query, its settings or what it reads has changed"),
        None => run("nothing is published yet"),
    }
}
