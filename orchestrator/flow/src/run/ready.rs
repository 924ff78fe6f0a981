//! Tasks that a worker could start now, apart by what they need.

use std::collections::{BTreeMap, BTreeSet};

use super::{Run, RunState};
use crate::plan::TaskId;

/// Which tasks need the same: a pool and labels. An index that only its run understands.
pub type Demand = usize;

/// Ranks of ready tasks, by demand.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready(Vec<BTreeSet<usize>>);

impl Ready {
    pub fn insert(&mut self, demand: Demand, rank: usize) {
        if self.0.len() <= demand {
            self.0.resize_with(demand + 1, BTreeSet::new);
        }
        self.0[demand].insert(rank);
    }

    pub fn remove(&mut self, demand: Demand, rank: usize) {
        if let Some(ranks) = self.0.get_mut(demand) {
            ranks.remove(&rank);
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(BTreeSet::is_empty)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &usize> {
        self.0.iter().flatten()
    }

    /// The first `count`, in order.
    pub fn first(&self, count: usize) -> Vec<usize> {
        let mut first: Vec<usize> = self.0.iter().flat_map(|ranks| ranks.iter().take(count)).copied().collect();
        first.sort_unstable();
        first.truncate(count);
        first
    }

    /// The foremost of each demand that has any.
    fn heads(&self) -> impl Iterator<Item = (Demand, usize)> + '_ {
        self.0.iter().enumerate().filter_map(|(demand, ranks)| Some((demand, *ranks.first()?)))
    }
}

impl Run {
    /// What the task needs.
    pub fn demand(&self, id: TaskId) -> Demand {
        self.order.demand(id)
    }

    /// The ready task that goes first, those of some demands aside, and its next attempt. As with [`Run::next`], which
    /// is to be asked before, the answer stays the same until a fact is applied.
    pub fn foremost(&self, aside: &BTreeSet<Demand>) -> Option<(TaskId, u32)> {
        if self.state != RunState::Running || self.stopping() {
            return None;
        }
        let (_, rank) =
            self.ready.heads().filter(|(demand, _)| !aside.contains(demand)).min_by_key(|(_, rank)| *rank)?;
        let id = self.order.task(rank);
        Some((id, self.tasks[id].attempts + 1))
    }

    /// The pools in which ready tasks need slots, each with the highest priority among them.
    pub fn wanted_pools(&self) -> BTreeMap<String, i32> {
        let mut wanted = BTreeMap::new();
        if self.state != RunState::Running || self.stopping() {
            return wanted;
        }
        for (_, rank) in self.ready.heads() {
            let id = self.order.task(rank);
            let priority = self.plan.tasks[id].priority;
            for pool in self.plan.pools_of(id) {
                wanted.entry(pool).and_modify(|known: &mut i32| *known = priority.max(*known)).or_insert(priority);
            }
        }
        wanted
    }
}
