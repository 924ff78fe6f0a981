//! `--select`: a part of a plan.

use std::collections::{BTreeMap, HashSet};

use flow::name;
use flow::plan::{Index, Input, Need, Plan, Task, TaskId};
use flow::value::Problem;

/// The plan of the wanted tasks only: `name`, `+name` (with what it needs), `name+` (with what needs it), separated by
/// commas. What is left out is read as last published; views that wanted tasks read come along, since they are not stored.
///
/// # Errors
/// A name that is no task, or a selection of nothing.
pub(crate) fn select(plan: Plan, selection: &str) -> Result<Plan, Problem> {
    let mut wanted = HashSet::new();
    for term in selection.split(',').map(str::trim).filter(|term| !term.is_empty()) {
        let name = term.trim_start_matches('+').trim_end_matches('+');
        let id = plan.task_id(name).ok_or_else(|| unknown(&plan, name))?;
        wanted.insert(id);
        if term.starts_with('+') {
            reach(id, &mut wanted, |id| plan.tasks[id].needs.iter().map(|need| need.task).collect());
        }
        if term.ends_with('+') {
            let needed_by = needed_by(&plan);
            reach(id, &mut wanted, |id| needed_by[id].clone());
        }
    }
    if wanted.is_empty() {
        let hint = Some("name a task, such as `--select daily` or `--select +daily`".into());
        return Err(Problem { param: "select".into(), message: "the selection names no task".into(), hint });
    }
    for id in wanted.clone() {
        reach(id, &mut wanted, |id| views(&plan, id));
    }
    Ok(part(plan, &wanted))
}

fn unknown(plan: &Plan, name: &str) -> Problem {
    let hint = name::suggest(name, plan.tasks.iter().map(|task| task.name.as_str()));
    Problem { param: "select".into(), message: format!("the flow has no task `{name}`"), hint }
}

fn needed_by(plan: &Plan) -> Vec<Vec<TaskId>> {
    let mut needed_by = vec![vec![]; plan.tasks.len()];
    for (id, task) in plan.tasks.iter().enumerate() {
        task.needs.iter().for_each(|need| needed_by[need.task].push(id));
    }
    needed_by
}

/// The views that a task reads.
fn views(plan: &Plan, id: TaskId) -> Vec<TaskId> {
    let read = plan.tasks[id].inputs.values().filter_map(|input| match input {
        Input::Task(task) => Some(*task),
        _ => None,
    });
    read.filter(|task| plan.tasks[*task].output.as_ref().is_some_and(|output| output.view)).collect()
}

fn reach(from: TaskId, found: &mut HashSet<TaskId>, next: impl Fn(TaskId) -> Vec<TaskId>) {
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        open.extend(next(id).into_iter().filter(|id| found.insert(*id)));
    }
}

fn part(mut plan: Plan, wanted: &HashSet<TaskId>) -> Plan {
    let tasks = std::mem::take(&mut plan.tasks);
    let mut ids = BTreeMap::new();
    for id in (0..tasks.len()).filter(|id| wanted.contains(id)) {
        ids.insert(id, ids.len());
    }
    let datasets: Vec<Option<String>> =
        tasks.iter().map(|task| task.output.as_ref().map(|output| output.dataset.clone())).collect();
    let kept = tasks.into_iter().enumerate().filter(|(id, _)| wanted.contains(id));
    let tasks: Vec<Task> = kept.map(|(_, task)| moved(task, &ids, &datasets)).collect();
    let externals = tasks.iter().flat_map(|task| task.inputs.values()).filter_map(|input| match input {
        Input::External(dataset) => Some(dataset.clone()),
        _ => None,
    });
    let externals: std::collections::BTreeSet<String> = externals.collect();
    let sources: HashSet<&String> = tasks
        .iter()
        .flat_map(|task| task.inputs.values())
        .filter_map(|input| match input {
            Input::Source(name) => Some(name),
            _ => None,
        })
        .collect();
    plan.sources.retain(|source| sources.contains(&source.name));
    Plan { tasks, externals: externals.into_iter().collect(), index: Index::default(), ..plan }
}

/// A task with its edges and inputs renumbered; what was left out becomes a dataset of another run.
fn moved(mut task: Task, ids: &BTreeMap<TaskId, TaskId>, datasets: &[Option<String>]) -> Task {
    let needs = task.needs.iter().filter_map(|need| Some(Need { task: *ids.get(&need.task)?, ..*need }));
    task.needs = needs.collect();
    for input in task.inputs.values_mut() {
        if let Input::Task(id) = input {
            *input = match ids.get(id) {
                Some(id) => Input::Task(*id),
                None => Input::External(datasets[*id].clone().unwrap_or_default()),
            };
        }
    }
    task
}
