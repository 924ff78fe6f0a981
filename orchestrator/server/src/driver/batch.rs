//! From what was heard and proposed to a batch of facts.

use std::collections::{HashMap, VecDeque};

use flow::plan::TaskId;
use flow::run::{Command, Event, Record, Run};
use flow::wire::Outcome;

use super::Driver;
use crate::hall::{Place, Receipt, Report};

/// About how many facts one append holds at most.
pub(super) const BATCH_MAX: usize = 2_000;

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

/// What begins a run: it has started, with what it adopts.
pub(super) fn beginning(adopted: Vec<(String, Outcome)>) -> VecDeque<Event> {
    let adopt = |(task, outcome)| Event::TaskSucceeded { task, attempt: 0, outcome: Box::new(outcome) };
    [Event::RunStarted].into_iter().chain(adopted.into_iter().map(adopt)).collect()
}

/// What is to be recorded before anything is proposed, when a run is taken over. Slots in the process that drove it
/// before are gone with it.
pub(super) fn next_facts(run: &Run, records: &[Record]) -> VecDeque<Fact> {
    let mut facts = VecDeque::new();
    for (id, attempt) in run.running().filter(|_| !planted!(TakeoverForgetsAttempts)) {
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
        for event in self.rooms.opened() {
            self.push(&mut batch, event);
        }
        for index in 0..self.inbox.len().min(BATCH_MAX) {
            let event = self.inbox[index].event(&self.run);
            let followed = self.push(&mut batch, event) || planted!(StaleTakenForRecorded);
            let receipt = if followed { Receipt::Recorded } else { Receipt::Stale };
            batch.heard.push(receipt);
        }
        while batch.records.len() < BATCH_MAX && self.propose(&mut batch) {}
        self.seat.desk.settle();
        batch
    }

    /// Turns one round of proposals into facts. False if there were none.
    fn propose(&mut self, batch: &mut Batch) -> bool {
        batch.stops.clear();
        let mut more = false;
        // Who starts where is not for the core to say.
        for command in self.run.next(self.seat.clock.now(), 0) {
            match self.run.recorded(&command, "") {
                Some(event) => more |= self.push(batch, event),
                None => batch.stops.push(command),
            }
        }
        self.start(batch) || more
    }

    pub(super) fn push(&mut self, batch: &mut Batch, event: Event) -> bool {
        let seq = self.seq + batch.records.len() as u64 + 1;
        let record = Record { run_id: self.run.id().to_owned(), seq, at: self.seat.clock.now(), event };
        if self.run.apply(&record).is_err() {
            return false;
        }
        if let Some((task, attempt)) =
            record.event.task().filter(|_| !matches!(record.event, Event::TaskStarted { .. }))
            && let Some(id) = self.run.plan().task_id(task)
        {
            let freed = self.places.remove(&(id, attempt));
            if planted!(PlaceKept) {
                std::mem::forget(freed);
            } else {
                batch.freed.extend(freed);
            }
            if attempt > 0 {
                self.rooms.give(self.run.plan(), id);
            }
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
