//! A store in memory that is less kind than a real one, and sees who writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use flow::Time;
use flow::run::{Record, Run};
use flow::wire::Pins;
use store::{Created, Error, Head, Kind, Loaded, NewRun, Origin, Scheduled};

use super::tables::{Lease, RunRow, ScheduleRow, Tables};
use super::world::World;
use crate::Journal;
use crate::journal::Ledger;

/// How long a schedule may be held before no run is made for it any more: what was under way may still end, which takes
/// longer where the store is slow.
const HOLD_MS: Time = 1_000;
const HOLD_SLOW_MS: Time = 20_000;

/// A server's way to the store.
pub struct Link {
    pub world: Arc<World>,
    pub server: String,
    /// Which server of the world this is.
    pub index: usize,
}

pub fn error(kind: Kind) -> Error {
    Error { kind, message: format!("use the store: {kind:?}"), hint: None }
}

impl Link {
    /// Asks for something that changes nothing.
    async fn read<T>(
        &self,
        verb: &'static str,
        ask: impl FnOnce(&mut Tables, Time) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.world.store_delay().await;
        self.is_there()?;
        let answer = {
            let mut tables = self.world.tables();
            tables.asked.read(verb);
            ask(&mut tables, self.world.store_now())
        };
        self.world.store_delay().await;
        self.is_there()?;
        answer
    }

    /// Changes something. When the answer gets lost nobody knows whether it did.
    async fn write<T>(
        &self,
        verb: &'static str,
        change: impl FnOnce(&mut Tables, Time) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.world.store_delay().await;
        self.is_there()?;
        if self.world.fault(|faults| faults.unknowns, 40) {
            return Err(error(Kind::Unknown));
        }
        let answer = {
            let mut tables = self.world.tables();
            tables.asked.write(verb);
            change(&mut tables, self.world.store_now())
        };
        self.world.store_delay().await;
        let lost = self.is_there().is_err() || self.world.fault(|faults| faults.unknowns, 40);
        if lost && answer.is_ok() { Err(error(Kind::Unknown)) } else { answer }
    }

    fn is_there(&self) -> Result<(), Error> {
        if self.world.is_cut(self.index) {
            return Err(error(Kind::Unreachable));
        }
        if self.world.fault(|faults| faults.busy, 60) {
            return Err(error(Kind::Busy));
        }
        Ok(())
    }

    /// Whoever takes slots, it is his turn.
    fn judge_turns(&self, tables: &mut Tables, run: &Run, records: &[Record]) {
        let (now, store_now, faults) = (self.world.now(), self.world.store_now(), &self.world.faults);
        let left = |pool: &str| tables.left(run.plan(), pool, store_now);
        // Who does not reach the store cannot say that he waits, and a slot that is lost before it is used takes its turn along.
        let in_pools = tables.queues.passed_in_pools(run, records, left, now).filter(|_| !faults.end_leases());
        let in_hall = tables.queues.passed_in_hall(run, records, &self.server, now).filter(|_| !faults.lose_attempts());
        if let Some(passed) = in_pools.or(in_hall) {
            self.world.broken(format!("{} {passed}", run.id()));
        }
        tables.queues.recorded(run, records, &self.server, now);
    }

    /// A scheduled run comes when it may.
    fn judge_new(&self, tables: &Tables, run: &Run) {
        let flow = &run.plan().flow;
        if tables.is_busy(flow) {
            self.world.broken(format!("{}: a scheduled run of {flow} is made while another goes on", self.server));
        }
        let held = tables.schedules.get(flow).and_then(|row| row.held);
        let patience = if self.world.faults.slow { HOLD_SLOW_MS } else { HOLD_MS };
        if held.is_some_and(|since| self.world.now() > since + patience) {
            self.world.broken(format!("{}: a run of {flow} is made although it is held", self.server));
        }
    }
}

#[async_trait]
impl Journal for Link {
    async fn create(&self, new: &NewRun<'_>, run: &Run, records: Vec<Record>) -> Result<Created, Error> {
        self.write("create", |tables, _| {
            if let Some(run_id) = tables.existing(new, run) {
                return Ok(Created::Existing { run_id });
            }
            if let Some((from, to)) = new.turn {
                let row = tables.schedules.get_mut(&run.plan().flow).filter(|row| row.handled == from);
                row.ok_or_else(|| error(Kind::Conflict))?.handled = to;
            }
            if new.origin == Origin::Schedule {
                self.judge_new(tables, run);
            }
            if let Some(key) = new.key {
                tables.keys.insert(key.name.clone(), run.id().to_owned());
            }
            tables.runs.insert(run.id().to_owned(), RunRow::new(new, run));
            Ok(Created::New(tables.write(run, records, &self.server)))
        })
        .await
    }

    async fn append(&self, holder: &str, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        self.write("append", |tables, now| {
            let (Some(row), Some(first)) = (tables.runs.get(run.id()), records.first()) else { return Ok(vec![]) };
            let lease = tables.leases.get(run.id()).map(|lease| lease.holder.as_str());
            if row.head.seq + 1 != first.seq || !holder.is_empty() && lease != Some(holder) {
                return Err(error(Kind::Conflict));
            }
            if lease != Some(&self.server) {
                self.world.broken(format!("{} appends to {}, which {lease:?} drives", self.server, run.id()));
            }
            tables.admit(run, &records, now)?;
            self.judge_turns(tables, run, &records);
            let written = tables.write(run, records, &self.server);
            tables.leases.get_mut(run.id()).into_iter().for_each(|lease| lease.is_used = true);
            if let Some(overfull) = tables.overfull(run, &written, now) {
                self.world.broken(format!("{} starts something in {}: {overfull}", self.server, run.id()));
            }
            Ok(written)
        })
        .await
    }

    async fn tail(&self, run_id: &str, after: u64) -> Result<Vec<Record>, Error> {
        self.read("tail", |tables, _| {
            let row = tables.runs.get(run_id).ok_or_else(|| error(Kind::NotFound))?;
            Ok(row.records.iter().filter(|record| record.seq > after).cloned().collect())
        })
        .await
    }

    async fn renew(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, Error> {
        self.write("renew", |tables, now| {
            let ours = tables.leases.get_mut(run_id).filter(|lease| lease.holder == holder);
            Ok(ours.map(|lease| lease.expires_at = now + lease_ms).is_some())
        })
        .await
    }

    async fn may_begin(&self, run: &Run) -> Result<bool, Error> {
        self.read("may_begin", |tables, now| Ok(tables.room_to_begin(run, now) > 0)).await
    }

    async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, Error> {
        self.read("rooms", |tables, now| {
            let room = |pool, priority| tables.room(run, pool, priority, now);
            let rooms = wanted.iter().map(|(pool, priority)| (pool, *priority, room(pool, *priority)));
            let rooms: Vec<(&String, i32, i64)> = rooms.collect();
            tables.queues.asked(run, &rooms, self.world.now());
            Ok(rooms.into_iter().map(|(pool, _, room)| (pool.clone(), room)).collect())
        })
        .await
    }

    async fn wait_for(
        &self,
        run_id: &str,
        wanted: &BTreeMap<String, i32>,
        left: &BTreeSet<String>,
    ) -> Result<(), Error> {
        self.write("wait_for", |tables, now| {
            tables.pools.leave(run_id, left);
            wanted.iter().for_each(|(pool, priority)| tables.wait_for(run_id, pool, *priority, now));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Ledger for Link {
    async fn load(&self, run_id: &str) -> Result<Loaded, Error> {
        self.read("load", |tables, _| {
            let row = tables.runs.get(run_id).ok_or_else(|| error(Kind::NotFound))?;
            let (head, plan) = (row.head.clone(), (*row.plan).clone());
            Ok(Loaded { head, plan, pins: Pins::default(), records: row.records.clone() })
        })
        .await
    }

    async fn takeable(&self, limit: u64) -> Result<Vec<Head>, Error> {
        self.read("takeable", |tables, now| {
            let free = |row: &&RunRow| !row.head.state.is_terminal() && !tables.is_held(&row.head.run_id, now);
            Ok(tables.runs.values().filter(free).take(limit as usize).map(|row| row.head.clone()).collect())
        })
        .await
    }

    async fn acquire(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, Error> {
        self.write("acquire", |tables, now| {
            let others = tables.leases.get(run_id).filter(|lease| lease.holder != holder);
            if others.is_some_and(|lease| lease.expires_at > now) {
                return Ok(false);
            }
            if others.is_some_and(|lease| lease.is_used) && !self.world.faults.end_leases() {
                self.world.broken(format!("{} takes {run_id} over although its server is there", self.server));
            }
            let lease = Lease { holder: holder.to_owned(), expires_at: now + lease_ms, is_used: false };
            tables.leases.insert(run_id.to_owned(), lease);
            Ok(true)
        })
        .await
    }

    async fn release(&self, run_id: &str, holder: &str) -> Result<(), Error> {
        self.write("release", |tables, _| {
            if tables.leases.get(run_id).is_some_and(|lease| lease.holder == holder) {
                tables.leases.remove(run_id);
            }
            Ok(())
        })
        .await
    }

    async fn durations(&self, _: &str) -> Result<HashMap<String, Time>, Error> {
        self.read("durations", |_, _| Ok(HashMap::new())).await
    }

    async fn schedule(&self, flow: &str) -> Result<Option<Scheduled>, Error> {
        self.read("schedule", |tables, _| Ok(tables.schedules.get(flow).map(ScheduleRow::standing))).await
    }

    async fn schedules(&self) -> Result<HashMap<String, Scheduled>, Error> {
        let of = |(flow, row): (&String, &ScheduleRow)| (flow.clone(), row.standing());
        self.read("schedules", |tables, _| Ok(tables.schedules.iter().map(of).collect())).await
    }

    async fn begin_schedule(&self, flow: &str, handled: Time) -> Result<(), Error> {
        self.write("begin_schedule", |tables, _| {
            let row = || ScheduleRow { begun: handled, handled, held: None };
            tables.schedules.entry(flow.to_owned()).or_insert_with(row);
            Ok(())
        })
        .await
    }

    async fn advance_schedule(&self, flow: &str, from: Time, to: Time) -> Result<bool, Error> {
        self.write("advance_schedule", |tables, _| {
            let row = tables.schedules.get_mut(flow).filter(|row| row.handled == from);
            Ok(row.map(|row| row.handled = to).is_some())
        })
        .await
    }

    async fn schedule_is_busy(&self, flow: &str) -> Result<bool, Error> {
        self.read("schedule_is_busy", |tables, _| Ok(tables.is_busy(flow))).await
    }

    async fn serve(&self, server: &str, _: Option<&str>, lease_ms: u64) -> Result<(), Error> {
        self.write("serve", |tables, now| {
            let other = tables.servers.iter().any(|(name, until)| name != server && *until > now);
            if tables.exclusive && other {
                return Err(error(Kind::Refused));
            }
            tables.servers.insert(server.to_owned(), now + lease_ms);
            Ok(())
        })
        .await
    }

    async fn leave(&self, server: &str) -> Result<(), Error> {
        self.write("leave", |tables, now| {
            let own = tables.leases.values_mut().filter(|lease| lease.holder == server);
            own.for_each(|lease| (lease.expires_at, lease.is_used) = (now, false));
            tables.servers.remove(server);
            Ok(())
        })
        .await
    }
}
