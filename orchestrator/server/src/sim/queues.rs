//! Who waits for a slot, seen from outside, and who is passed over: nobody takes a slot whose turn comes after that of
//! somebody else who waits for such a one and could use it.

use std::collections::BTreeMap;

use flow::Time;
use flow::plan::TaskId;
use flow::pools::{of_tasks, turn};
use flow::run::{Event, Record, Run, TaskState};

/// Who has not asked for so long wants nothing any more.
const SILENCE_MS: Time = 1_500;
/// Turns so close may come in any order, and so young a claim may not be known yet: it is on its way, or a slot is to
/// somebody who was told of it.
const CLOSE_MS: Time = 2_000;

#[derive(Default)]
pub struct Queues {
    /// By pool and run.
    claims: BTreeMap<(String, String), Claim>,
    /// By run and task: those that are ready.
    ready: BTreeMap<(String, TaskId), Ready>,
}

struct Claim {
    /// The turn that it has at best.
    turn: i64,
    /// The one that it has, and since when, if there has been nothing for it whenever its run asked. Who could have taken a
    /// slot and found no worker leaves the queue.
    short: Option<(i64, Time)>,
    /// When its run asked last.
    asked_at: Time,
}

struct Ready {
    server: String,
    priority: i32,
    /// Since when it is ready.
    since: Time,
    /// Since when its run has besides started nothing, which might have taken the slot for which it waited.
    still_since: Time,
    /// When somebody took a slot although it was its turn. Perhaps it was about to take another.
    passed_at: Option<Time>,
    /// Whether any slot would do.
    takes_any: bool,
}

impl Queues {
    /// A driver has heard how many slots of pools it might take.
    pub fn asked(&mut self, run: &Run, rooms: &[(&String, i32, i64)], now: Time) {
        let own = of_tasks(&run.plan().flow);
        // Nobody waits for a pool while he could not use what he got there.
        let is_held_up = rooms.iter().any(|(pool, _, room)| **pool == own && *room <= 0);
        self.claims.retain(|(pool, id), _| id != run.id() || rooms.iter().any(|(wanted, ..)| *wanted == pool));
        for (pool, priority, room) in rooms {
            let turn = turn(now, *priority);
            let key = ((*pool).clone(), run.id().to_owned());
            let claim = self.claims.entry(key).or_insert(Claim { turn, short: None, asked_at: now });
            claim.turn = claim.turn.min(turn);
            claim.asked_at = now;
            let is_short = *room <= 0 && (**pool == own || !is_held_up);
            claim.short = is_short.then(|| claim.short.map_or((turn, now), |known| known.min((turn, now))));
        }
    }

    /// Facts of a run have become durable, after which it stands so.
    pub fn recorded(&mut self, run: &Run, records: &[Record], server: &str, now: Time) {
        let id = run.id().to_owned();
        let starts = started(run, records).next().is_some();
        let taken = |pool: &String| started(run, records).any(|task| run.plan().pools_of(task).any(|of| of == *pool));
        let wanted = run.wanted_pools();
        self.claims.retain(|(pool, waiting), _| *waiting != id || wanted.contains_key(pool) && !taken(pool));
        for (task, spec) in run.plan().tasks.iter().enumerate() {
            let key = (id.clone(), task);
            let state = run.task(task).state;
            if !matches!(state, TaskState::Ready | TaskState::Retrying) || run.cancelled_by().is_some() {
                self.ready.remove(&key);
                continue;
            }
            let is_plain = spec.requires.is_empty() && run.plan().pools_of(task).next().is_none();
            let (server, priority, takes_any) =
                (server.to_owned(), spec.priority, is_plain && state == TaskState::Ready);
            let ready = Ready { server, priority, since: now, still_since: now, passed_at: None, takes_any };
            let ready = match self.ready.get(&key) {
                Some(known) if starts => Ready { since: known.since, ..ready },
                Some(Ready { since, still_since, passed_at, .. }) => {
                    Ready { since: *since, still_since: *still_since, passed_at: *passed_at, ..ready }
                }
                None => ready,
            };
            self.ready.insert(key, ready);
        }
    }

    /// The run wants nothing any more.
    pub fn forget(&mut self, run_id: &str) {
        self.claims.retain(|(_, waiting), _| waiting != run_id);
        self.ready.retain(|(waiting, _), _| waiting != run_id);
    }

    /// Who waits for a pool of which a run takes slots, though it is their turn, and more of them than slots are `left`.
    pub fn passed_in_pools(
        &self,
        run: &Run,
        records: &[Record],
        left: impl Fn(&str) -> i64,
        now: Time,
    ) -> Option<String> {
        for task in started(run, records) {
            for pool in run.plan().pools_of(task) {
                let own = turn(now, run.plan().tasks[task].priority);
                let own =
                    self.claims.get(&(pool.clone(), run.id().to_owned())).map_or(own, |claim| claim.turn.min(own));
                let first = |((of, waiting), claim): &(&(String, String), &Claim)| {
                    let is_there = claim.asked_at + SILENCE_MS > now;
                    let is_before = claim.short.is_some_and(|(turn, since)| is_first(turn, since, own, now));
                    *of == pool && waiting != run.id() && is_there && is_before
                };
                let passed: Vec<&str> = self.claims.iter().filter(first).map(|((_, run), _)| run.as_str()).collect();
                if passed.len() as i64 > left(&pool).max(0) {
                    return Some(format!("takes a slot of pool {pool}, where it is the turn of {passed:?}"));
                }
            }
        }
        None
    }

    /// Who waits for any slot of a server, and waits on after it was his turn and another run took one.
    pub fn passed_in_hall(&mut self, run: &Run, records: &[Record], server: &str, now: Time) -> Option<String> {
        let own = self.ready.iter().filter(|((waiting, _), _)| waiting == run.id());
        let own = own.map(|(_, ready)| turn(ready.since, ready.priority)).min().unwrap_or(i64::MAX);
        if let Some(turn) = started(run, records).map(|task| turn(now, run.plan().tasks[task].priority)).min() {
            self.pass(run.id(), turn.min(own), server, now);
        }
        let is_left = |ready: &Ready| ready.passed_at.is_some_and(|at| at + CLOSE_MS < now);
        let (who, _) = self.ready.iter().find(|((waiting, _), ready)| waiting != run.id() && is_left(ready))?;
        Some(format!("records something, and {who:?} still waits for a slot that others have taken"))
    }

    /// A run takes a slot of a server.
    fn pass(&mut self, run_id: &str, own: i64, server: &str, now: Time) {
        for ((waiting, _), ready) in &mut self.ready {
            let others = waiting != run_id && ready.server == server && ready.takes_any;
            if others && is_first(turn(ready.still_since, ready.priority), ready.still_since, own, now) {
                ready.passed_at.get_or_insert(now);
            }
        }
    }
}

/// Whether a turn comes before another, without doubt.
fn is_first(turn: i64, since: Time, other: i64, now: Time) -> bool {
    turn + (CLOSE_MS as i64) < other && since + CLOSE_MS <= now
}

fn started<'a>(run: &'a Run, records: &'a [Record]) -> impl Iterator<Item = TaskId> + 'a {
    records.iter().filter_map(|record| match &record.event {
        Event::TaskStarted { task, .. } => run.plan().task_id(task),
        _ => None,
    })
}
