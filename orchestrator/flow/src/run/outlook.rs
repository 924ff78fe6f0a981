//! Why things wait, for who can see more than one run: the pools, the runs before it, how long tasks take otherwise.

use std::collections::{BTreeMap, HashMap};

use super::reasons::{NAMES_MAX, labels};
use super::{Reason, Run, RunState, TaskState};
use crate::plan::TaskId;
use crate::{Time, duration, pools};

/// From how many earlier attempts on a running one may be called slow.
const ATTEMPTS_MIN: usize = 5;

/// What a run's journal does not tell.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    pub now: Time,
    /// The pools that its tasks need.
    pub pools: BTreeMap<String, Crowd>,
    /// For a run that is queued, the runs of its flow that go first.
    pub before: Vec<String>,
    /// How long its tasks took in earlier runs.
    pub took: HashMap<String, Took>,
    /// Who could be given its tasks. `None`: that is not known here.
    pub workers: Option<Vec<Worker>>,
}

/// A worker that is connected.
#[derive(Clone, Debug, Default)]
pub struct Worker {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// Who is in a pool.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// How many slots it has.
    pub size: u32,
    /// Who holds them: `RUN/TASK`.
    pub holders: Vec<String>,
}

/// How long a task took lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub median_ms: Time,
    /// 95 of 100 attempts took no longer.
    pub p95_ms: Time,
    /// Of how many attempts that is known.
    pub attempts: usize,
}

impl Took {
    /// What these attempts amount to; `None` of none.
    pub fn of(mut took_ms: Vec<Time>) -> Option<Took> {
        took_ms.sort_unstable();
        let attempts = took_ms.len();
        let rank = |percent: usize| Some(took_ms[(attempts * percent).div_ceil(100).checked_sub(1)?]);
        Some(Took { median_ms: rank(50)?, p95_ms: rank(95)?, attempts })
    }
}

impl Outlook {
    /// As [`Run::reasons`], with what others have to do with it.
    pub fn reasons(&self, run: &Run, id: TaskId) -> Vec<Reason> {
        let mut reasons = run.reasons(id);
        let root = run.waits_in_the_end_for(id);
        let name = |message: String| match root == id {
            true => message,
            false => format!("`{}`: {message}", run.plan().tasks[root].name),
        };
        if let Some(last) = reasons.last_mut() {
            let since = last.since;
            if let Some((kind, message, blocking)) = self.held_up(run, root) {
                *last = Reason { kind, message: name(message), since, blocking };
            }
        }
        reasons.extend(self.slow(run, root).map(|message| Reason {
            kind: "slow",
            message: name(message),
            since: run.running_since(root),
            blocking: vec![],
        }));
        reasons
    }

    /// Why a run that is queued is not under way, if that is for other runs.
    pub fn queued(&self, run: &Run) -> Option<Reason> {
        let (limit, first) = (run.plan().limits.runs?, self.before.first()?);
        let more = match self.before.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "queued behind run {first}{more}: the limits of flow `{}` allow {limit} at a time",
            run.plan().flow
        );
        Some(Reason { kind: "limit", message, since: run.created_at(), blocking: self.before.clone() })
    }

    /// What holds up a task that could start otherwise: the kind of reason, the message, and who is in the way.
    fn held_up(&self, run: &Run, id: TaskId) -> Option<(&'static str, String, Vec<String>)> {
        if run.state() == RunState::Queued {
            return self.queued(run).map(|reason| (reason.kind, reason.message, reason.blocking));
        }
        if run.task(id).state != TaskState::Ready || run.cancelled_by().is_some() {
            return None;
        }
        if let Some(message) = self.unsuited(run, id) {
            return Some(("slot", message, vec![]));
        }
        let is_full =
            |pool: &String| self.pools.get(pool).is_some_and(|Crowd { size, holders }| holders.len() >= *size as usize);
        let pool = run.plan().pools_of(id).find(is_full)?;
        let Crowd { size, holders } = self.pools[&pool].clone();
        let flow = &run.plan().flow;
        Some(match size {
            _ if pool == pools::of_tasks(flow) => (
                "limit",
                format!("ready; {size} tasks of flow `{flow}` are running, as many as its limits allow"),
                holders,
            ),
            0 => (
                "pool",
                format!("ready; pool `{pool}` is not declared in flowctl.toml, so nothing starts in it"),
                holders,
            ),
            1 => ("pool", format!("ready; waits for the slot of pool `{pool}`, which is taken"), holders),
            _ => ("pool", format!("ready; waits for a slot of pool `{pool}`: all {size} are taken"), holders),
        })
    }

    /// Says so if nobody who is connected has what a task requires.
    fn unsuited(&self, run: &Run, id: TaskId) -> Option<String> {
        let requires = &run.plan().tasks[id].requires;
        let workers = self.workers.as_ref().filter(|_| !requires.is_empty())?;
        let suits = |worker: &Worker| requires.iter().all(|(label, value)| worker.labels.get(label) == Some(value));
        if workers.iter().any(suits) {
            return None;
        }
        let wanted = labels(requires);
        let has = |worker: &Worker| match worker.labels.is_empty() {
            true => format!("`{}` has no labels", worker.name),
            false => format!("`{}` has {}", worker.name, labels(&worker.labels)),
        };
        let there: Vec<String> = workers.iter().take(NAMES_MAX).map(has).collect();
        let more = match workers.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!("; and {more} more without"),
        };
        Some(match there.is_empty() {
            true => format!("ready; waits for a worker with {wanted}: none is connected to this server"),
            false => format!("ready; no worker of this server has {wanted}: {}{more}", there.join("; ")),
        })
    }

    /// Says so if a running attempt takes longer than nearly all before it.
    fn slow(&self, run: &Run, id: TaskId) -> Option<String> {
        let running_ms = self.now.saturating_sub(run.running_since(id)?);
        let took = self.took.get(&run.plan().tasks[id].name).filter(|took| took.attempts >= ATTEMPTS_MIN)?;
        let Took { median_ms, p95_ms, attempts } = *took;
        // Of more than some seconds nobody wants to know the milliseconds.
        let told = |ms: Time| duration::display(if ms >= 10_000 { ms / 1_000 * 1_000 } else { ms });
        let (running, p95, median) = (told(running_ms), told(p95_ms), told(median_ms));
        let message = format!("slower than usual: it has been running for {running}; of its last {attempts} times");
        (running_ms > p95_ms).then(|| format!("{message} 95 % took no longer than {p95}, half of them {median}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_attempts_the_rank_is_rounded_up() {
        let of = |took_ms: &[Time]| Took::of(took_ms.to_vec()).map(|took| (took.median_ms, took.p95_ms));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((7, 7)));
        assert_eq!(of(&[900, 100, 300]), Some((300, 900)));
        assert_eq!(of(&(1..=20).rev().collect::<Vec<_>>()), Some((10, 19)));
    }
}
