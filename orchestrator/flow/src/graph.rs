//! The order of a flow's tasks.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use toml::Spanned;

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::spec::Flow;

/// One task needs another, by their places in the list of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The task that waits.
    pub task: usize,
    /// The task that it waits for.
    pub needs: usize,
    /// Where the flow file says so.
    pub span: Span,
}

/// The tasks in an order in which each comes after all that it needs; where there is a choice, in the order given.
///
/// # Errors
/// One diagnostic for each group of tasks that need each other, with the path of a shortest cycle.
///
/// # Panics
/// If an edge names a task beyond the list.
pub fn order(tasks: &[&str], edges: &[Edge]) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let mut needs_open = vec![0_usize; tasks.len()];
    let mut needed_by = vec![vec![]; tasks.len()];
    for edge in edges {
        needs_open[edge.task] += 1;
        needed_by[edge.needs].push(edge.task);
    }
    let mut ready: BinaryHeap<_> = (0..tasks.len()).filter(|&task| needs_open[task] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(Reverse(task)) = ready.pop() {
        order.push(task);
        for &next in &needed_by[task] {
            needs_open[next] -= 1;
            if needs_open[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if order.len() == tasks.len() { Ok(order) } else { Err(cycles(tasks, edges, &needs_open)) }
}

/// The edges that a flow declares with `after` and `inputs`, with the flow's tasks in the order of the file.
/// Names that are no tasks make none.
pub fn declared(flow: &Flow) -> (Vec<&str>, Vec<Edge>) {
    let tasks = flow.tasks_in_order();
    let places: HashMap<_, _> = tasks.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let mut edges = vec![];
    for (task, (_, spec)) in tasks.iter().enumerate() {
        let named = spec.get_ref().after.iter().chain(&spec.get_ref().inputs);
        let edge = |name: &Spanned<String>| {
            let needs = *places.get(name.get_ref().as_str())?;
            Some(Edge { task, needs, span: name.span() })
        };
        edges.extend(named.filter_map(edge));
    }
    (tasks.iter().map(|(name, _)| *name).collect(), edges)
}

/// A diagnostic for each group of tasks that are left over with open needs and need each other.
fn cycles(tasks: &[&str], edges: &[Edge], needs_open: &[usize]) -> Vec<Diagnostic> {
    let left: Vec<_> = edges.iter().filter(|edge| needs_open[edge.task] > 0 && needs_open[edge.needs] > 0).collect();
    let mut graph = DiGraph::<(), ()>::with_capacity(tasks.len(), left.len());
    for _ in tasks {
        graph.add_node(());
    }
    let mut needs = vec![vec![]; tasks.len()];
    for edge in left {
        graph.add_edge(NodeIndex::new(edge.task), NodeIndex::new(edge.needs), ());
        needs[edge.task].push(edge);
    }
    let mut group_of = vec![usize::MAX; tasks.len()];
    // The recursion of Tarjan's algorithm would overflow the stack on a long chain.
    let groups = kosaraju_scc(&graph);
    for (group, members) in groups.iter().enumerate() {
        members.iter().for_each(|member| group_of[member.index()] = group);
    }
    let first = |members: &Vec<NodeIndex>| members.iter().map(|member| member.index()).min();
    let mut starts: Vec<_> = groups.iter().filter_map(first).collect();
    starts.sort_unstable();
    needs.iter_mut().for_each(|edges| edges.retain(|edge: &&Edge| group_of[edge.needs] == group_of[edge.task]));
    starts.into_iter().filter_map(|start| shortest(start, &needs)).map(|path| tell(tasks, &path)).collect()
}

/// The edges of a shortest cycle through `start`, if there is one.
fn shortest<'e>(start: usize, needs: &[Vec<&'e Edge>]) -> Option<Vec<&'e Edge>> {
    let mut reached_by: HashMap<usize, &Edge> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(task) = queue.pop_front() {
        for edge in &needs[task] {
            if let Entry::Vacant(entry) = reached_by.entry(edge.needs) {
                entry.insert(edge);
                queue.push_back(edge.needs);
            }
        }
    }
    let mut path = vec![*reached_by.get(&start)?];
    while path[path.len() - 1].task != start {
        path.push(*reached_by.get(&path[path.len() - 1].task)?);
    }
    path.reverse();
    Some(path)
}

fn tell(tasks: &[&str], path: &[&Edge]) -> Diagnostic {
    const SHOWN: usize = 12;
    let first = tasks[path[0].task];
    let mut steps: Vec<_> = path.iter().map(|edge| tasks[edge.task]).collect();
    let hidden = format!("({} more)", steps.len().saturating_sub(SHOWN));
    if steps.len() > SHOWN + 1 {
        steps.splice(SHOWN - 1..steps.len() - 1, [hidden.as_str()]);
    }
    let message = match path {
        [_] => format!("task `{first}` needs itself"),
        _ => format!("task `{first}` needs itself through other tasks"),
    };
    let hint = format!("{} → {first}", steps.join(" → "));
    Diagnostic::error(codes::CYCLE, path[0].span.clone(), message).hint(hint).task(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(task: usize, needs: usize) -> Edge {
        Edge { task, needs, span: task * 10 + needs..task * 10 + needs + 1 }
    }

    fn told(tasks: &[&str], edges: &[Edge]) -> Vec<(Span, String)> {
        let diagnostics = order(tasks, edges).unwrap_err();
        diagnostics.into_iter().map(|diagnostic| (diagnostic.span, diagnostic.hint.unwrap())).collect()
    }

    #[test]
    fn ties_go_in_the_order_of_the_file() {
        assert_eq!(order(&["a", "b", "c", "d"], &[edge(0, 3)]), Ok(vec![1, 2, 3, 0]));
        assert_eq!(order(&["a", "b", "c"], &[edge(0, 1), edge(0, 1)]), Ok(vec![1, 0, 2]));
        assert_eq!(order(&[], &[]), Ok(vec![]));
    }

    #[test]
    fn a_cycle_is_shown_with_its_shortest_path() {
        let tasks = ["a", "b", "c", "d"];
        assert_eq!(
            told(&tasks, &[edge(0, 1), edge(1, 2), edge(2, 0), edge(1, 0), edge(3, 0)]),
            [(1..2, "a → b → a".to_owned())]
        );
        assert_eq!(told(&tasks, &[edge(2, 2)]), [(22..23, "c → c".to_owned())]);
    }

    #[test]
    fn every_group_is_told_once_and_what_waits_for_it_is_not() {
        let tasks = ["a", "b", "c", "d", "e"];
        let edges = [edge(4, 0), edge(1, 0), edge(0, 1), edge(3, 2), edge(2, 3), edge(2, 1)];
        assert_eq!(told(&tasks, &edges), [(1..2, "a → b → a".to_owned()), (23..24, "c → d → c".to_owned())]);
    }

    #[test]
    fn a_hundred_thousand_tasks_are_ordered_without_recursion() {
        let names: Vec<_> = (0..100_000).map(|n| format!("t{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut edges: Vec<_> = (0..99_999).map(|n| edge(n, n + 1)).collect();
        assert_eq!(order(&names, &edges), Ok((0..100_000).rev().collect()));
        edges.push(edge(99_999, 0));
        let told = told(&names, &edges);
        assert!(
            told[0].1.starts_with("t0 → t1 → ") && told[0].1.ends_with(" → (99988 more) → t99999 → t0"),
            "{told:?}"
        );
    }
}
