//! Who waits for something that others hold, and who is next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow::pools;
use tokio::time::Instant;

use super::Labels;

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// A slot of a worker with these labels.
    Slot(Labels),
    /// A slot of a pool.
    Pool(String),
}

/// The place of a claim in the queue: its turn, and of equal ones the number in which they came.
pub(super) type Turn = (i64, u64);

/// Claims of runs, at most one for each thing that a run wants.
#[derive(Debug)]
pub(super) struct Queue {
    born: Instant,
    /// How many claims there have been.
    made: u64,
    claims: BTreeMap<Turn, (String, Want)>,
    turns: HashMap<(String, Want), Turn>,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { born: Instant::now(), made: 0, claims: BTreeMap::new(), turns: HashMap::new() }
    }
}

impl Queue {
    /// The turn that a claim would have which is made now.
    fn next_turn(&self, priority: i32) -> Turn {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        (pools::turn(now, priority), self.made)
    }

    /// The run waits. It keeps its place if it has one already, unless its priority gives it a better one.
    pub fn wait(&mut self, run_id: &str, want: Want, priority: i32) {
        let key = (run_id.to_owned(), want);
        let turn = self.next_turn(priority);
        if let Some(&known) = self.turns.get(&key) {
            if known <= turn {
                return;
            }
            self.claims.remove(&known);
        }
        self.made += 1;
        self.claims.insert(turn, key.clone());
        self.turns.insert(key, turn);
    }

    /// The runs that wait for a slot of a worker.
    pub fn waiting(&self) -> BTreeSet<String> {
        let slots = self.claims.values().filter(|(_, want)| matches!(want, Want::Slot(_)));
        slots.map(|(run_id, _)| run_id.clone()).collect()
    }

    /// Takes out the foremost claim that is for something of this kind.
    pub fn pop(&mut self, is_for: impl Fn(&Want) -> bool) -> Option<String> {
        let mut suited = self.claims.iter().filter(|(_, (_, want))| is_for(want));
        let (&turn, _) = if planted!(LastServedFirst) { suited.last()? } else { suited.next()? };
        let key = self.claims.remove(&turn)?;
        self.turns.remove(&key);
        Some(key.0)
    }

    /// Whether another run comes before one that wants this with a priority, among the claims of a kind.
    pub fn is_behind(&self, run_id: &str, want: &Want, priority: i32, is_for: impl Fn(&Want) -> bool) -> bool {
        let known = self.turns.get(&(run_id.to_owned(), want.clone())).copied();
        let turn = self.next_turn(priority);
        let turn = known.map_or(turn, |known| known.min(turn));
        let before = self.claims.range(..turn);
        before.into_iter().any(|(_, (other, theirs))| other != run_id && is_for(theirs))
    }

    /// The run has got what it waited for.
    pub fn served(&mut self, run_id: &str, want: &Want) {
        if let Some(turn) = self.turns.remove(&(run_id.to_owned(), want.clone())) {
            self.claims.remove(&turn);
        }
    }

    /// The run wants nothing more.
    pub fn forget(&mut self, run_id: &str) {
        self.claims.retain(|_, (waiting, _)| waiting != run_id);
        self.turns.retain(|(waiting, _), _| waiting != run_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Want {
        Want::Slot(Labels::new())
    }

    fn any(_: &Want) -> bool {
        true
    }

    #[tokio::test(start_paused = true)]
    async fn the_highest_priority_goes_first_and_equals_in_turn() {
        let mut queue = Queue::default();
        for (run, priority) in [("low", -1), ("first", 0), ("second", 0), ("high", 1)] {
            queue.wait(run, slot(), priority);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(any)).collect();
        assert_eq!(order, ["high", "first", "second", "low"]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_outweighs_priority() {
        let mut queue = Queue::default();
        queue.wait("patient", slot(), 0);
        assert!(!queue.is_behind("hasty", &slot(), 1, any) && queue.is_behind("hasty", &slot(), 0, any));
        tokio::time::advance(std::time::Duration::from_millis(10_001)).await;
        assert!(queue.is_behind("hasty", &slot(), 1, any));
        queue.wait("patient", slot(), 0);
        queue.wait("hasty", slot(), 1);
        assert_eq!(queue.pop(any).as_deref(), Some("patient"), "asking again costs nobody his place");
    }

    /// Runs of any priorities ask without end, each for as many slots as it can get; each is served within the bound.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let runs: Vec<(String, i32)> = (0..7).map(|run| (format!("r{run}"), (run - 3) * 1_000)).collect();
        let mut queue = Queue::default();
        let mut served = vec![0_u32; runs.len()];
        let hour = 3_600;
        for _ in 0..hour {
            for (run, priority) in &runs {
                queue.wait(run, slot(), *priority);
            }
            let next = queue.pop(any).expect("all of them wait");
            served[runs.iter().position(|(run, _)| *run == next).expect("one of them")] += 1;
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        assert!(served.is_sorted(), "a higher priority gets more: {served:?}");
        assert!(served[0] > 0, "and the lowest gets something: {served:?}");
    }
}
