//! Many tasks as few groups: those of a depth whose names begin alike and that stand alike.

use std::collections::{BTreeMap, BTreeSet};

use flow::plan::TaskId;
use flow::run::Run;

use super::{Node, Picture};
use crate::ui::address;
use crate::ui::words::{Mark, Tone};

/// How many columns of groups there are at most.
const COLUMNS: usize = 24;
/// How many groups; if names make more, they are left out of account.
const GROUPS_MAX: usize = 80;
/// How many edges between groups are drawn, the short ones first.
const EDGES_MAX: usize = 160;

/// What the tasks of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    column: usize,
    prefix: String,
    tone: Tone,
}

pub(super) fn groups(run: &Run) -> Picture {
    let depths = depths(run);
    let deepest = depths.iter().max().copied().unwrap_or_default() + 1;
    let column = |id: TaskId| depths[id] * COLUMNS.min(deepest) / deepest;
    let tone = |id: TaskId| Mark::of_task(&run.task(id)).tone;
    let named =
        |id: TaskId| Key { column: column(id), prefix: prefix(&run.plan().tasks[id].name).to_owned(), tone: tone(id) };
    let mut keys: Vec<Key> = (0..depths.len()).map(named).collect();
    if keys.iter().collect::<BTreeSet<_>>().len() > GROUPS_MAX {
        keys.iter_mut().for_each(|key| key.prefix.clear());
    }
    let mut members: BTreeMap<&Key, Vec<TaskId>> = BTreeMap::new();
    for (id, key) in keys.iter().enumerate() {
        members.entry(key).or_default().push(id);
    }
    let places: BTreeMap<&Key, usize> = members.keys().enumerate().map(|(at, key)| (*key, at)).collect();
    let nodes = members.iter().map(|(key, ids)| node(run, key, ids)).collect();
    Picture { nodes, edges: edges(run, &keys, &places) }
}

/// How many tasks come before each, one after the other.
fn depths(run: &Run) -> Vec<usize> {
    let mut depths: Vec<usize> = vec![];
    for task in &run.plan().tasks {
        depths.push(task.needs.iter().map(|need| depths[need.task] + 1).max().unwrap_or(0));
    }
    depths
}

/// What a name begins with: up to its last mark or number.
fn prefix(name: &str) -> &str {
    let letters = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let end = if letters.len() < name.len() { letters.len() } else { name.find(['_', '-']).unwrap_or(name.len()) };
    name[..end].trim_end_matches(['_', '-'])
}

fn node(run: &Run, key: &Key, ids: &[TaskId]) -> Node {
    let tasks = &run.plan().tasks;
    let mark = Mark::of_task(&run.task(ids[0]));
    if let [id] = ids {
        return super::node(run, *id);
    }
    let label = if key.prefix.is_empty() {
        format!("{} tasks", ids.len())
    } else {
        format!("{}… ×{}", key.prefix, ids.len())
    };
    let words: BTreeSet<&str> = ids.iter().map(|&id| Mark::of_task(&run.task(id)).word).collect();
    let note = format!("{} {}", mark.sign, words.into_iter().collect::<Vec<_>>().join(", "));
    let title =
        format!("{} tasks from {} to {}: {note}", ids.len(), tasks[ids[0]].name, tasks[ids[ids.len() - 1]].name);
    let state = Mark::of_state(run.task(ids[0]).state).word;
    let href = run.created_at().map(|_| address::with(&address::run(run.id()), &[("state", state)]));
    Node { label, note, title, tone: key.tone, href }
}

fn edges(run: &Run, keys: &[Key], places: &BTreeMap<&Key, usize>) -> Vec<(usize, usize, bool)> {
    let mut found: BTreeMap<(usize, usize, usize), bool> = BTreeMap::new();
    for (id, task) in run.plan().tasks.iter().enumerate() {
        for need in &task.needs {
            let (from, to) = (&keys[need.task], &keys[id]);
            if from.column < to.column {
                *found.entry((to.column - from.column, places[from], places[to])).or_default() |= need.data;
            }
        }
    }
    found.into_iter().take(EDGES_MAX).map(|((_, from, to), data)| (from, to, data)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::plan::{Need, Plan, Task};

    use super::*;

    fn run(count: usize, needs: impl Fn(usize) -> Vec<usize>) -> Run {
        let task = |id: usize| Task {
            name: format!("part_{id}"),
            kind: "noop".to_owned(),
            needs: needs(id).into_iter().map(|task| Need { task, data: true }).collect(),
            ..Task::default()
        };
        Run::new(Arc::new(Plan { tasks: (0..count).map(task).collect(), ..Plan::default() }), "r")
    }

    #[test]
    fn many_tasks_become_few_groups() {
        for (count, needs) in [
            (5_000, (|id| id.checked_sub(1).into_iter().collect()) as fn(usize) -> Vec<usize>),
            (5_000, |_| vec![]),
            (5_000, |id| if id < 2_500 { vec![] } else { (0..4).map(|n| (id * 7 + n * 13) % 2_500).collect() }),
        ] {
            let picture = groups(&run(count, needs));
            assert!((1..=GROUPS_MAX).contains(&picture.nodes.len()), "{} groups", picture.nodes.len());
            assert!(picture.edges.len() <= EDGES_MAX);
            assert!(picture.edges.iter().all(|(from, to, _)| from != to));
            let drawn = super::super::drawn(&picture).into_string();
            assert!(drawn.len() < 60_000, "{} bytes", drawn.len());
        }
    }

    #[test]
    fn prefixes_are_what_names_share() {
        let all = ["part_1", "part_22", "load-eu", "load-us", "t17", "plain"];
        assert_eq!(all.map(prefix), ["part", "part", "load", "load", "t", "plain"]);
    }
}
