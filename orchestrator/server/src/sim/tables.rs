//! What is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flow::Time;
use flow::run::{Event, Record, Run};
use store::{Head, NewRun, Origin, Scheduled};

use super::asked::Asked;
use super::pools::Pools;
use super::queues::Queues;

/// The tables of the store.
#[derive(Default)]
pub struct Tables {
    /// Whether one server at a time has the store for itself, as with SQLite.
    pub exclusive: bool,
    pub runs: BTreeMap<String, RunRow>,
    pub leases: BTreeMap<String, Lease>,
    pub schedules: BTreeMap<String, ScheduleRow>,
    pub servers: BTreeMap<String, Time>,
    pub keys: BTreeMap<String, String>,
    pub tokens: BTreeMap<String, u64>,
    pub pools: Pools,
    pub queues: Queues,
    /// What was asked of the store.
    pub asked: Asked,
}

pub struct RunRow {
    pub head: Head,
    pub plan: Arc<flow::plan::Plan>,
    pub records: Vec<Record>,
    /// Who wrote each record.
    pub writers: Vec<String>,
    /// Tasks of which an attempt is under way.
    pub running: BTreeSet<String>,
}

pub struct Lease {
    pub holder: String,
    pub expires_at: Time,
    /// Whether the holder has recorded anything since it came.
    pub is_used: bool,
}

pub struct ScheduleRow {
    pub begun: Time,
    pub handled: Time,
    /// Since when it is held, in true time.
    pub held: Option<Time>,
}

impl ScheduleRow {
    pub fn standing(&self) -> Scheduled {
        Scheduled { handled: self.handled, paused: self.held.is_some() }
    }
}

impl Tables {
    fn with_token(&mut self, plan: &flow::plan::Plan, mut record: Record) -> Record {
        if let Event::TaskStarted { task, token, .. } = &mut record.event
            && let Some(output) = plan.task_id(task).and_then(|id| plan.tasks[id].output.as_ref())
        {
            let issued = self.tokens.entry(output.dataset.clone()).or_default();
            *issued += 1;
            *token = *issued;
        }
        record
    }

    pub fn write(&mut self, run: &Run, records: Vec<Record>, writer: &str) -> Vec<Record> {
        let records: Vec<Record> = records.into_iter().map(|record| self.with_token(run.plan(), record)).collect();
        let Some(row) = self.runs.get_mut(run.id()) else { return records };
        row.writers.extend(records.iter().map(|_| writer.to_owned()));
        for record in &records {
            self.asked.row(record.event.name());
            match (&record.event, record.event.task()) {
                (Event::TaskStarted { task, .. }, _) => _ = row.running.insert(task.clone()),
                (_, Some((task, _))) => _ = row.running.remove(task),
                _ => {}
            }
        }
        row.records.extend(records.clone());
        row.head.seq = row.records.len() as u64;
        row.head.state = run.state();
        row.head.started_at = run.started_at();
        row.head.finished_at = run.finished_at();
        row.head.error = run.error().map(str::to_owned);
        if run.state().is_terminal() {
            row.running.clear();
            self.leases.remove(run.id());
        }
        records
    }

    /// The run that stands in the way of a new one.
    pub fn existing(&self, new: &NewRun<'_>, run: &Run) -> Option<String> {
        if let Some(known) = new.key.and_then(|key| self.keys.get(&key.name)) {
            return Some(known.clone());
        }
        let same = |head: &Head| {
            head.origin == Origin::Schedule
                && head.flow == run.plan().flow
                && head.logical_time == run.plan().logical_time
        };
        let same = self.runs.values().find(|row| new.origin == Origin::Schedule && same(&row.head));
        same.map(|row| row.head.run_id.clone())
    }

    pub fn is_busy(&self, flow: &str) -> bool {
        let open = |head: &Head| head.flow == flow && head.origin == Origin::Schedule && !head.state.is_terminal();
        self.runs.values().any(|row| open(&row.head))
    }

    /// What somebody outside writes.
    pub fn request_cancel(&mut self, run_id: &str, at: Time) {
        let Some(row) = self.runs.get_mut(run_id).filter(|row| !row.head.state.is_terminal()) else { return };
        row.head.seq += 1;
        let event = Event::CancelRequested { by: "bob".to_owned() };
        row.records.push(Record { run_id: run_id.to_owned(), seq: row.head.seq, at, event });
        row.writers.push("bob".to_owned());
        self.queues.forget(run_id);
    }
}

impl RunRow {
    pub fn new(new: &NewRun<'_>, run: &Run) -> Self {
        let head = Head {
            run_id: run.id().to_owned(),
            flow: run.plan().flow.clone(),
            params: serde_json::Map::new(),
            logical_time: run.plan().logical_time,
            origin: new.origin,
            force: new.force,
            retry_of: new.retry_of.map(str::to_owned),
            created_at: new.created_at,
            seq: 0,
            state: run.state(),
            started_at: None,
            finished_at: None,
            error: None,
        };
        RunRow { head, plan: run.plan().clone(), records: vec![], writers: vec![], running: BTreeSet::new() }
    }
}
