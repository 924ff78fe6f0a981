//! Slots of pools, counted as the store does it.

use std::collections::{BTreeMap, BTreeSet};

use flow::Time;
use flow::plan::{Plan, TaskId};
use flow::pools::{head_start_ms, of_runs, of_tasks};
use flow::run::{Event, Record, Run, RunState};
use store::{Error, Kind};

use super::store::error;
use super::tables::{RunRow, Tables};

/// The pool that all flows share.
pub const SHARED: &str = "shared";

/// How long a run that waits may say nothing before others go first.
const SILENCE_MS: Time = 3_000;

/// How long a run keeps its slots whose lease has run out while no server is known.
const ORPHAN_MS: Time = 40_000;

/// Who holds slots, and who waits for some.
#[derive(Clone, Default)]
pub struct Pools {
    /// How many slots the shared pool has.
    size: u32,
    /// Pool, run and task. An empty task: the run itself.
    holds: BTreeSet<(String, String, String)>,
    /// By pool and run: its turn, and when it was said last.
    waits: BTreeMap<(String, String), (i64, Time)>,
}

impl Pools {
    pub fn of(size: u32) -> Self {
        Pools { size, ..Pools::default() }
    }

    /// The run does not wait for these pools any more.
    pub fn leave(&mut self, run_id: &str, left: &BTreeSet<String>) {
        self.waits.retain(|(pool, waiting), _| waiting != run_id || !left.contains(pool));
    }
}

impl Tables {
    pub fn is_held(&self, run_id: &str, now: Time) -> bool {
        self.was_held(run_id, now, 0)
    }

    /// Whether its lease ran out less than so long ago, if at all.
    pub fn was_held(&self, run_id: &str, now: Time, ago_ms: Time) -> bool {
        self.leases.get(run_id).is_some_and(|lease| lease.expires_at + ago_ms > now)
    }

    fn pool_size(&self, plan: &Plan, pool: &str) -> u32 {
        let own = plan.limits.tasks.filter(|_| pool == of_tasks(&plan.flow));
        own.unwrap_or(self.pools.size)
    }

    fn is_live(&self, run_id: &str, now: Time) -> bool {
        let open = self.runs.get(run_id).is_some_and(|row| !row.head.state.is_terminal());
        let served = self.servers.values().any(|until| *until > now) || self.was_held(run_id, now, ORPHAN_MS);
        open && (self.is_held(run_id, now) || served)
    }

    fn held(&self, pool: &str, counts: impl Fn(&String) -> bool) -> i64 {
        self.pools.holds.iter().filter(|(of, run_id, _)| of == pool && counts(run_id)).count() as i64
    }

    /// How many slots of a pool nobody holds.
    pub fn left(&self, plan: &Plan, pool: &str, now: Time) -> i64 {
        i64::from(self.pool_size(plan, pool)) - self.held(pool, |holder| self.is_live(holder, now))
    }

    /// How many slots of a pool a run may take.
    pub fn room(&self, run: &Run, pool: &str, priority: i32, now: Time) -> i64 {
        let held = self.held(pool, |holder| holder == run.id() || self.is_live(holder, now));
        let turn = |waiting: &str| {
            let known = self.pools.waits.get(&(pool.to_owned(), waiting.to_owned()));
            known.filter(|(_, seen_at)| seen_at + SILENCE_MS > now).map(|(turn, _)| *turn)
        };
        let own = turn(run.id()).unwrap_or(now as i64 - head_start_ms(priority) + 1);
        let before = |(of, other): &&(String, String)| of == pool && other != run.id() && turn(other) < Some(own);
        let ahead = self.pools.waits.keys().filter(before).filter(|(_, other)| turn(other).is_some()).count();
        i64::from(self.pool_size(run.plan(), pool)) - held - ahead as i64
    }

    /// How many more runs of its flow may begin, this one the first.
    pub fn room_to_begin(&self, run: &Run, now: Time) -> i64 {
        let Some(limit) = run.plan().limits.runs else { return 1 };
        let flow = &run.plan().flow;
        let held = self.held(&of_runs(flow), |holder| holder != run.id() && self.is_live(holder, now));
        let before = |row: &&RunRow| {
            let earlier = (Some(row.head.created_at), row.head.run_id.as_str()) < (run.created_at(), run.id());
            row.head.flow == *flow && row.head.state == RunState::Queued && earlier
        };
        let ahead = self.runs.values().filter(before).filter(|row| self.is_live(&row.head.run_id, now)).count();
        i64::from(limit) - held - ahead as i64
    }

    pub fn wait_for(&mut self, run_id: &str, pool: &str, priority: i32, now: Time) {
        let turn = now as i64 - head_start_ms(priority);
        let wait = self.pools.waits.entry((pool.to_owned(), run_id.to_owned())).or_insert((turn, now));
        let is_fresh = wait.1 + SILENCE_MS > now;
        *wait = (if is_fresh { wait.0.min(turn) } else { turn }, now);
    }

    /// Gives back the slots of what the records end, and takes those of what they begin, or changes nothing.
    pub fn admit(&mut self, run: &Run, records: &[Record], now: Time) -> Result<(), Error> {
        let before = self.pools.clone();
        let admitted = self.give_and_take(run, records, now);
        if admitted.is_err() {
            self.pools = before;
        }
        admitted
    }

    fn give_and_take(&mut self, run: &Run, records: &[Record], now: Time) -> Result<(), Error> {
        let (plan, id) = (run.plan(), run.id().to_owned());
        let mut starting: BTreeMap<String, BTreeSet<TaskId>> = BTreeMap::new();
        for record in records {
            if matches!(record.event, Event::RunStarted) && plan.limits.runs.is_some() {
                if self.room_to_begin(run, now) < 1 {
                    return Err(error(Kind::NoRoom));
                }
                self.pools.holds.insert((of_runs(&plan.flow), id.clone(), String::new()));
            }
            let Some((name, 1..)) = record.event.task() else { continue };
            let Some(task) = plan.task_id(name) else { continue };
            if !planted!(HoldKept) {
                self.pools.holds.retain(|(_, holder, held)| *holder != id || held != name);
            }
            for pool in plan.pools_of(task).filter(|_| run.running_attempt(task).is_some()) {
                starting.entry(pool).or_default().insert(task);
            }
        }
        for (pool, tasks) in starting {
            let priority = tasks.iter().map(|&task| plan.tasks[task].priority).max().unwrap_or_default();
            let wanted = if planted!(BatchUncounted) { 1 } else { tasks.len() as i64 };
            if self.room(run, &pool, priority, now) < wanted {
                return Err(error(Kind::NoRoom));
            }
            let hold = |&task: &TaskId| (pool.clone(), id.clone(), plan.tasks[task].name.clone());
            self.pools.holds.extend(tasks.iter().map(hold));
            let waiting = (pool.clone(), id.clone());
            match (run.wanted_pools().get(&pool), self.pools.waits.get_mut(&waiting)) {
                (Some(priority), Some(wait)) => wait.0 = now as i64 - head_start_ms(*priority),
                (None, Some(_)) => _ = self.pools.waits.remove(&waiting),
                (_, None) => {}
            }
        }
        if run.state().is_terminal() {
            self.pools.holds.retain(|(_, holder, _)| *holder != id);
            self.pools.waits.retain(|(_, waiting), _| *waiting != id);
        }
        Ok(())
    }

    /// What the journals say of the pools of which records take slots: none has more running than it has slots, as far
    /// as somebody drives the runs.
    pub fn overfull(&self, run: &Run, records: &[Record], now: Time) -> Option<String> {
        let plan = run.plan();
        let started = records.iter().filter_map(|record| match &record.event {
            Event::TaskStarted { task, .. } => plan.task_id(task),
            _ => None,
        });
        let pools: BTreeSet<String> = started.flat_map(|id| plan.pools_of(id)).collect();
        let over = pools.into_iter().find_map(|pool| {
            let live = self.runs.values().filter(|row| self.is_live(&row.head.run_id, now));
            let used: usize = live.map(|row| row.uses(&pool)).sum();
            (used > self.pool_size(plan, &pool) as usize).then(|| format!("{used} attempts run in pool {pool}"))
        });
        let begins = records.iter().any(|record| matches!(record.event, Event::RunStarted));
        let begun = |row: &&RunRow| row.plan.flow == plan.flow && row.plan.limits.runs.is_some() && row.is_begun();
        let runs = self.runs.values().filter(begun).filter(|row| self.is_live(&row.head.run_id, now)).count();
        let many = plan.limits.runs.filter(|limit| begins && runs > *limit as usize);
        over.or_else(|| many.map(|limit| format!("{runs} runs of {} are under way, of at most {limit}", plan.flow)))
    }
}

impl RunRow {
    /// How many of its attempts that run take a slot of the pool.
    fn uses(&self, pool: &str) -> usize {
        let takes =
            |name: &&String| self.plan.task_id(name).is_some_and(|id| self.plan.pools_of(id).any(|of| of == pool));
        self.running.iter().filter(takes).count()
    }

    fn is_begun(&self) -> bool {
        self.head.state == RunState::Running
    }
}
