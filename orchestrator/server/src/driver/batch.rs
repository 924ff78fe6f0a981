//! From what was heard and proposed to a batch of facts.

use std::collections::{HashMap, VecDeque};

use flow::plan::TaskId;
use flow::run::{Command, Event, Record, Run, RunState};
use flow::wire::Outcome;

use super::Driver;
use crate::hall::{Place, Receipt, Report};

/// About how many facts one append holds at most.
const BATCH_MAX: usize = 2_000;

/// Something that was heard.
#[derive(Debug)]
pub(super) enum Fact {
    /// A fact of the driver's own.
    Own(Event),
    /// A worker's report.
    Report(Report),
}

/// What one turn records, and what depends on its being durable.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub records: Vec<Record>,
    /// For each fact taken from the inbox whether it followed from the state.
    pub heard: Vec<Receipt>,
    /// Attempts to stop.
    pub stops: Vec<Command>,
    /// Slots of attempts that it starts.
    pub taken: HashMap<(TaskId, u32), Place>,
    /// Slots of attempts that it ends, while nothing else has taken them.
    pub freed: Vec<Place>,
}

/// What is to be recorded before anything is proposed.
pub(super) fn first_facts(adopted: Vec<(String, Outcome)>) -> VecDeque<Fact> {
    let adopt = |(task, outcome)| Event::TaskSucceeded { task, attempt: 0, outcome: Box::new(outcome) };
    let start = [Event::RunCreated, Event::RunStarted].into_iter();
    start.chain(adopted.into_iter().map(adopt)).map(Fact::Own).collect()
}

/// What is to be recorded before anything is proposed, when a run is taken over. Slots in the process that drove it
/// before are gone with it.
pub(super) fn next_facts(run: &Run, records: &[Record]) -> VecDeque<Fact> {
    let mut facts = VecDeque::new();
    if run.state() == RunState::Queued && run.cancelled_by().is_none() {
        facts.push_back(Fact::Own(Event::RunStarted));
    }
    for (id, attempt) in run.running() {
        let name = &run.plan().tasks[id].name;
        let worker = records.iter().rev().find_map(|record| match &record.event {
            Event::TaskStarted { task, attempt: started, worker, .. } if task == name && *started == attempt => {
                Some(worker.as_str())
            }
            _ => None,
        });
        let reason = format!("worker {}: its server went away", worker.unwrap_or("unknown"));
        facts.push_back(Fact::Own(Event::TaskLost { task: name.clone(), attempt, reason }));
    }
    facts
}

impl Driver<'_> {
    /// Applies what was heard, then what the core proposes, until there is nothing more or enough.
    pub(super) fn decide(&mut self) -> Batch {
        let mut batch = Batch::default();
        for index in 0..self.inbox.len().min(BATCH_MAX) {
            let event = self.inbox[index].event(&self.run);
            let receipt = if self.push(&mut batch, event) { Receipt::Recorded } else { Receipt::Stale };
            batch.heard.push(receipt);
        }
        while batch.records.len() < BATCH_MAX && self.propose(&mut batch) {}
        batch
    }

    /// Turns one round of proposals into facts. False if there were none.
    fn propose(&mut self, batch: &mut Batch) -> bool {
        let commands = self.placed(batch);
        batch.stops.clear();
        let mut more = false;
        for command in commands {
            let worker = match &command {
                Command::Start { task, attempt } => batch.taken.get(&(*task, *attempt)),
                _ => None,
            };
            let worker = worker.map(|place| place.worker.clone()).unwrap_or_default();
            match self.run.recorded(&command, &worker) {
                Some(event) => more |= self.push(batch, event),
                None => batch.stops.push(command),
            }
        }
        more
    }

    fn push(&mut self, batch: &mut Batch, event: Event) -> bool {
        let seq = self.seq + batch.records.len() as u64 + 1;
        let record = Record { run_id: self.run.id().to_owned(), seq, at: self.seat.clock.now(), event };
        if self.run.apply(&record).is_err() {
            return false;
        }
        if let Some((task, attempt)) =
            record.event.task().filter(|_| !matches!(record.event, Event::TaskStarted { .. }))
            && let Some(id) = self.run.plan().task_id(task)
        {
            batch.freed.extend(self.places.remove(&(id, attempt)));
        }
        batch.records.push(record);
        true
    }
}

impl Fact {
    fn event(&self, run: &Run) -> Event {
        match self {
            Fact::Own(event) => event.clone(),
            Fact::Report(report) => run.reported(&report.task, report.attempt, report.ending.clone()),
        }
    }
}
