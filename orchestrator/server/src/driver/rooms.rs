//! Slots of pools: what the driver knows of them, asks the store for, and waits for.
//!
//! The store counts, and refuses what would be too much. That the driver asks before it proposes only saves it from
//! being refused.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use flow::Time;
use flow::plan::{Plan, TaskId};
use flow::pools;
use flow::run::{Event, Record, RunState};

use super::{Driver, TAIL_MS};
use crate::Error;

/// How often the store hears that the run still waits.
const STAY_MS: Time = 1_000;

/// What a driver knows of pools.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// How many slots of each pool the run may take. Of a pool that is not there nothing is known.
    free: HashMap<String, i64>,
    /// Pools that were too full for a ready task, with its priority.
    short: BTreeMap<String, i32>,
    /// These, and the pools that such a task would take first: there it keeps its place.
    queued: BTreeMap<String, i32>,
    /// When the store heard last that the run waits for a pool.
    said: HashMap<String, Time>,
    /// Whether a task needs a pool of which nothing is known.
    pub unknown: bool,
    /// Until then nothing starts that needs a pool: the store has refused.
    refused_until: Time,
    /// Whether that is so in this turn.
    is_refused: bool,
    /// What begins the run, until its turn among those of its flow has come.
    gate: VecDeque<Event>,
    /// Whether it has.
    is_open: bool,
}

impl Rooms {
    /// For a run that is to begin with these facts once its flow allows another.
    pub fn behind(gate: VecDeque<Event>) -> Self {
        Rooms { gate, ..Rooms::default() }
    }

    /// Whether the task's pools have a slot each. One that has none is remembered, the flow's own before that of the
    /// task: nobody waits for a pool while he could not use what he got there.
    pub fn admit(&mut self, plan: &Plan, task: TaskId) -> bool {
        let mut passed = vec![];
        for pool in plan.pools_of(task) {
            match self.free.get(&pool) {
                Some(1..) => passed.push(pool),
                Some(_) => {
                    let priority = plan.tasks[task].priority;
                    raise(&mut self.short, pool.clone(), priority);
                    passed.push(pool);
                    passed.into_iter().for_each(|pool| raise(&mut self.queued, pool, priority));
                    return false;
                }
                None => {
                    self.unknown = true;
                    return false;
                }
            }
        }
        true
    }

    /// An attempt starts.
    pub fn take(&mut self, plan: &Plan, task: TaskId) {
        for pool in plan.pools_of(task) {
            // With the slot ends the wait for it.
            self.said.remove(&pool);
            self.free.entry(pool).and_modify(|free| *free -= 1);
        }
    }

    /// An attempt ends. Others may wait for its slots, so after a refusal they are not the run's again at once.
    pub fn give(&mut self, plan: &Plan, task: TaskId) {
        if self.is_refused && !planted!(RefusalOverlooked) {
            return;
        }
        plan.pools_of(task).for_each(|pool| _ = self.free.entry(pool).and_modify(|free| *free += 1));
    }

    /// What is to be recorded now that the run may begin.
    pub fn opened(&self) -> Vec<Event> {
        if self.is_open { self.gate.iter().cloned().collect() } else { vec![] }
    }
}

fn raise(pools: &mut BTreeMap<String, i32>, pool: String, priority: i32) {
    pools.entry(pool).and_modify(|known| *known = priority.max(*known)).or_insert(priority);
}

impl Driver<'_> {
    /// Asks the store how pools stand that ready tasks need, and whether it is the run's turn.
    pub(super) async fn look_at_rooms(&mut self) -> Result<(), Error> {
        self.rooms.unknown = false;
        self.rooms.short.clear();
        self.rooms.queued.clear();
        let refused = self.seat.clock.now() < self.rooms.refused_until;
        self.rooms.is_refused = refused;
        if self.run.state() == RunState::Queued {
            self.rooms.is_open = self.seq > 0 && !self.rooms.gate.is_empty() && !refused && self.may_begin().await?;
            return Ok(());
        }
        self.rooms.is_open = false;
        let wanted = self.run.wanted_pools();
        self.rooms.free = match refused || wanted.is_empty() {
            true => wanted.into_keys().map(|pool| (pool, 0)).collect(),
            false => self.ask_rooms(&wanted).await?,
        };
        Ok(())
    }

    /// Queues up for the pools that were too full, here and in the store. When there was nothing else to do, it leaves the
    /// queues of those that are of no use any more: who stays in one for nothing keeps others out.
    pub(super) async fn queue_up(&mut self, quiet: bool) -> Result<(), Error> {
        if !self.rooms.gate.is_empty() && self.run.state() == RunState::Queued {
            self.seat.desk.wait_for_pool(&pools::of_runs(&self.run.plan().flow), 0);
        }
        for (pool, priority) in &self.rooms.short {
            self.seat.desk.wait_for_pool(pool, *priority);
        }
        let now = self.seat.clock.now();
        let Rooms { queued, said, .. } = &self.rooms;
        let is_news = |(pool, _): &(&String, &i32)| said.get(*pool).is_none_or(|at| now >= at + STAY_MS);
        let news: BTreeMap<String, i32> =
            queued.iter().filter(is_news).map(|(pool, priority)| (pool.clone(), *priority)).collect();
        let is_left = |pool: &&String| quiet && !self.rooms.is_refused && !queued.contains_key(*pool);
        let left: BTreeSet<String> = said.keys().filter(is_left).cloned().collect();
        if (!news.is_empty() || !left.is_empty()) && !planted!(WaitUnsaid) {
            self.say_waiting(&news, &left).await?;
            self.rooms.said.retain(|pool, _| !left.contains(pool));
            self.rooms.said.extend(news.into_keys().map(|pool| (pool, now)));
        }
        Ok(())
    }

    /// The store has refused: somebody else was faster.
    pub(super) fn refused(&mut self) {
        self.rooms.refused_until =
            self.seat.clock.now() + if planted!(RefusalIsFinal) { Time::MAX / 2 } else { TAIL_MS };
        self.rooms.is_open = false;
    }

    /// Lets others in this process know of slots that are free now.
    pub(super) fn tell_of_room(&self, record: &Record) {
        let plan = self.run.plan();
        match &record.event {
            Event::TaskStarted { .. } => {}
            Event::RunClosed { .. } if plan.limits.runs.is_some() => {
                self.seat.desk.free_pool(&pools::of_runs(&plan.flow));
            }
            event => {
                let ended = event.task().and_then(|(task, _)| plan.task_id(task));
                ended.into_iter().flat_map(|id| plan.pools_of(id)).for_each(|pool| self.seat.desk.free_pool(&pool));
            }
        }
    }
}
