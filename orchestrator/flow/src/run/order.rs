//! What follows from the plan alone: who waits for whom, and who goes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::ready::Demand;
use crate::Time;
use crate::plan::{Plan, TaskId};

/// What a task that has never run is thought to take.
const UNKNOWN_MS: Time = 1_000;

/// The plan's edges in the direction in which success travels, and the order among ready tasks.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// `edges[starts[id]..starts[id + 1]]` lead from task `id` to the tasks that need it.
    starts: Vec<usize>,
    edges: Vec<Edge>,
    /// The place of each task in the queue; smaller goes first.
    rank: Vec<usize>,
    /// The task at each place.
    task: Vec<TaskId>,
    demand: Vec<Demand>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub to: TaskId,
    pub data: bool,
}

impl Order {
    /// `durations_ms` are those of earlier runs, by task.
    pub fn new(plan: &Plan, durations_ms: &HashMap<String, Time>) -> Self {
        let (starts, edges) = dependents(plan);
        let task = (0..plan.tasks.len()).collect();
        let mut order = Order { starts, edges, rank: vec![0; plan.tasks.len()], task, demand: demands(plan) };
        let path_ms = order.critical_paths(plan, durations_ms);
        order.task.sort_by_key(|&id| (Reverse(plan.tasks[id].priority), Reverse(path_ms[id]), id));
        for (rank, &id) in order.task.iter().enumerate() {
            order.rank[id] = rank;
        }
        order
    }

    pub fn dependents(&self, id: TaskId) -> std::ops::Range<usize> {
        self.starts[id]..self.starts[id + 1]
    }

    pub fn edge(&self, index: usize) -> Edge {
        self.edges[index]
    }

    pub fn rank(&self, id: TaskId) -> usize {
        self.rank[id]
    }

    pub fn task(&self, rank: usize) -> TaskId {
        self.task[rank]
    }

    pub fn demand(&self, id: TaskId) -> Demand {
        self.demand[id]
    }

    /// The longest way from the start of each task to the end of the run. Tasks are in topological order,
    /// so one pass from the back does.
    fn critical_paths(&self, plan: &Plan, durations_ms: &HashMap<String, Time>) -> Vec<Time> {
        let mut path_ms = vec![0; plan.tasks.len()];
        for (id, task) in plan.tasks.iter().enumerate().rev() {
            let own_ms = match durations_ms.get(&task.name) {
                Some(&known) => known,
                None if task.is_noop() => 0,
                None => UNKNOWN_MS,
            };
            let rest_ms = self.dependents(id).map(|edge| path_ms[self.edge(edge).to]).max();
            path_ms[id] = own_ms.saturating_add(rest_ms.unwrap_or(0));
        }
        path_ms
    }
}

/// Turns the needs around: a counting sort of all edges by the task they come from.
fn dependents(plan: &Plan) -> (Vec<usize>, Vec<Edge>) {
    let mut starts = vec![0; plan.tasks.len() + 1];
    for need in plan.tasks.iter().flat_map(|task| &task.needs) {
        starts[need.task + 1] += 1;
    }
    for id in 0..plan.tasks.len() {
        starts[id + 1] += starts[id];
    }
    let mut edges = vec![Edge { to: 0, data: false }; starts[plan.tasks.len()]];
    let mut free = starts.clone();
    for (id, task) in plan.tasks.iter().enumerate() {
        for need in &task.needs {
            edges[free[need.task]] = Edge { to: id, data: need.data };
            free[need.task] += 1;
        }
    }
    (starts, edges)
}

/// Numbers what tasks need, as it comes up first.
fn demands(plan: &Plan) -> Vec<Demand> {
    let mut known = BTreeMap::new();
    let needs = plan.tasks.iter().map(|task| (&task.pool, &task.requires));
    let number = |need| {
        let next = known.len();
        *known.entry(need).or_insert(next)
    };
    needs.map(number).collect()
}
