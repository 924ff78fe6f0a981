//! What a run that does another one again takes over from it.

use std::collections::{HashMap, HashSet};

use super::Run;
use crate::plan::{Input, Plan, Task, TaskId};
use crate::wire::{Outcome, Pins};

/// What of `earlier`, which read `before`, still is what `plan` asks for, together with everything it reads: the tasks
/// that succeeded, with their outcomes. Not the tasks in `again`, nor what comes after them.
///
/// # Errors
/// The first name in `again` that is no task of `plan`.
pub fn adopt<'a>(
    earlier: &Run,
    before: &Pins,
    plan: &Plan,
    now: &Pins,
    again: &'a [String],
) -> Result<Vec<(String, Outcome)>, &'a str> {
    let mut anew: HashSet<TaskId> = HashSet::new();
    for name in again {
        anew.insert(plan.task_id(name).ok_or(name.as_str())?);
    }
    let mut made: HashMap<&str, Outcome> = earlier.made().collect();
    let mut kept = HashSet::new();
    let mut adopted = vec![];
    for (id, task) in plan.tasks.iter().enumerate() {
        // Tasks come after all they need, so one look is enough.
        if task.needs.iter().any(|need| anew.contains(&need.task)) {
            anew.insert(id);
        }
        let known = earlier.plan().task_id(&task.name).map(|id| &earlier.plan().tasks[id]);
        let fed = task.needs.iter().filter(|need| need.data).all(|need| kept.contains(&need.task));
        if let (Some(known), true, false) = (known, fed, anew.contains(&id))
            && is_same(known, task)
            && is_unchanged(task, before, now)
            && let Some(outcome) = made.remove(task.name.as_str())
        {
            kept.insert(id);
            adopted.push((task.name.clone(), outcome));
        }
    }
    Ok(adopted)
}

/// Whether what the task reads from outside the run is as it was.
fn is_unchanged(task: &Task, before: &Pins, now: &Pins) -> bool {
    let content = |pins: &Pins, source: &str| -> Option<Vec<String>> {
        Some(pins.sources.get(source)?.iter().map(|file| file.hash.clone()).collect())
    };
    task.inputs.values().all(|input| match input {
        Input::Source(source) => content(before, source) == content(now, source),
        Input::External(dataset) => before.datasets.get(dataset) == now.datasets.get(dataset),
        Input::Task(_) => true,
    })
}

fn is_same(before: &Task, now: &Task) -> bool {
    before.kind == now.kind && before.with == now.with && before.fingerprint == now.fingerprint
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::Need;
    use crate::run::{Event, Record};

    /// `a` feeds `b`, `c` comes after `b` without its data, `d` stands alone. All have succeeded.
    fn earlier() -> Run {
        let task = |name: &str, needs: &[(TaskId, bool)]| Task {
            name: name.into(),
            kind: "sql".into(),
            needs: needs.iter().map(|&(task, data)| Need { task, data }).collect(),
            ..Task::default()
        };
        let tasks = vec![task("a", &[]), task("b", &[(0, true)]), task("c", &[(1, false)]), task("d", &[])];
        let plan = Plan { flow: "f".into(), tasks, ..Plan::default() };
        let succeeded = |task: &str| Event::TaskSucceeded { task: task.into(), attempt: 0, outcome: Box::default() };
        let made = ["a", "b", "c", "d"].map(succeeded);
        let record = |(seq, event)| Record { run_id: "r".into(), seq, at: 0, event };
        let events = [Event::RunCreated, Event::RunStarted].into_iter().chain(made);
        let records: Vec<Record> = (1..).zip(events).map(record).collect();
        Run::replay(Arc::new(plan), "r", &records)
    }

    fn names(plan: &Plan, again: &[&str]) -> Vec<String> {
        let again: Vec<String> = again.iter().map(|name| name.to_string()).collect();
        let adopted = adopt(&earlier(), &Pins::default(), plan, &Pins::default(), &again);
        adopted.expect("the tasks are there").into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_comes_after_is_done_again_too_with_and_without_data() {
        let plan = earlier().plan().clone();
        assert_eq!(names(&plan, &[]), ["a", "b", "c", "d"]);
        assert_eq!(names(&plan, &["b"]), ["a", "d"]);
        assert_eq!(names(&plan, &["a"]), ["d"]);
        assert_eq!(names(&plan, &["c", "d"]), ["a", "b"]);
        assert_eq!(adopt(&earlier(), &Pins::default(), &plan, &Pins::default(), &["x".into()]), Err("x"));
    }

    #[test]
    fn what_has_changed_is_done_again_with_what_reads_it() {
        let mut plan = Plan::clone(earlier().plan());
        plan.tasks[0].with = serde_json::json!({ "sql": "select 2" });
        assert_eq!(names(&plan, &[]), ["c", "d"], "an ordering hands on no change");
    }
}
