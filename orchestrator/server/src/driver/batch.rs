//! From what was heard and proposed to a batch of facts.

use std::collections::VecDeque;

use flow::run::{Command, Event, Record, Run};
use flow::wire::Outcome;

use super::Driver;
use crate::local::{Receipt, Report};

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
}

/// What is to be recorded before anything is proposed.
pub(super) fn first_facts(adopted: Vec<(String, Outcome)>) -> VecDeque<Fact> {
    let adopt = |(task, outcome)| Event::TaskSucceeded { task, attempt: 0, outcome: Box::new(outcome) };
    let start = [Event::RunCreated, Event::RunStarted].into_iter();
    start.chain(adopted.into_iter().map(adopt)).map(Fact::Own).collect()
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
        let room = self.seat.desk.count.saturating_sub(self.run.running().len());
        let commands = self.run.next(self.seat.clock.now(), room);
        batch.stops.clear();
        let mut more = false;
        for command in commands {
            match self.run.recorded(&command, self.seat.holder) {
                Some(event) => more |= self.push(batch, event),
                None => batch.stops.push(command),
            }
        }
        more
    }

    fn push(&mut self, batch: &mut Batch, event: Event) -> bool {
        let seq = self.seq + batch.records.len() as u64 + 1;
        let record = Record { run_id: self.new.run_id.clone(), seq, at: self.seat.clock.now(), event };
        let follows = self.run.apply(&record).is_ok();
        if follows {
            batch.records.push(record);
        }
        follows
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
