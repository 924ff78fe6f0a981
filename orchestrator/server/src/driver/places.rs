//! Which attempt runs in whose slot.

use std::collections::BTreeSet;

use flow::plan::TaskId;
use flow::run::{Command, Event};

use super::Driver;
use super::batch::{BATCH_MAX, Batch, Fact};
use crate::hall::Place;

impl Driver<'_> {
    /// Starts what is ready, the foremost first, as far as there is room for it. What finds none does not hide others
    /// that need something else. True if anything started.
    pub(super) fn start(&mut self, batch: &mut Batch) -> bool {
        let (mut aside, mut any) = (BTreeSet::new(), false);
        while batch.records.len() < BATCH_MAX
            && let Some((task, attempt)) = self.run.foremost(&aside)
        {
            let Some(place) = self.place(batch, task) else {
                aside.insert(self.run.demand(task));
                continue;
            };
            let start = self.run.recorded(&Command::Start { task, attempt }, &place.worker);
            if !start.is_some_and(|event| self.push(batch, event)) {
                break;
            }
            if !planted!(OwnSlotsUncounted) {
                self.rooms.take(self.run.plan(), task);
            }
            batch.taken.insert((task, attempt), place);
            any = true;
        }
        any
    }

    /// A slot for the task: of its pools, and of a worker; those that this batch frees first.
    fn place(&mut self, batch: &mut Batch, task: TaskId) -> Option<Place> {
        if !self.rooms.admit(self.run.plan(), task) {
            return None;
        }
        let task = &self.run.plan().tasks[task];
        let keeps = |place: &Place| self.seat.desk.keeps(place, &task.requires, task.priority);
        match batch.freed.iter().position(keeps) {
            Some(index) => Some(batch.freed.swap_remove(index)),
            None => self.seat.desk.take(&task.requires, task.priority),
        }
    }

    /// Forgets slots of attempts that no longer run.
    pub(super) fn tidy_places(&mut self) {
        let run = &self.run;
        self.places.retain(|(task, attempt), _| run.running_attempt(*task) == Some(*attempt));
    }

    /// Attempts that run and hold no slot here were started by the driver before, whose last append came through after
    /// this one had read the journal. Nobody who hears of their end is left.
    pub(super) fn give_up_strangers(&mut self) {
        let is_strange = |key: &(TaskId, u32)| !self.places.contains_key(key) && !planted!(TakeoverForgetsAttempts);
        let strangers = self.run.running().filter(is_strange);
        for (id, attempt) in strangers {
            let (task, reason) = (self.run.plan().tasks[id].name.clone(), "its server went away".to_owned());
            self.inbox.push_back(Fact::Own(Event::TaskLost { task, attempt, reason }));
        }
    }

    /// What was under way at a worker that has left.
    pub(super) fn worker_lost(&mut self, worker: u64, reason: &str) {
        let lost = self.places.iter().filter(|(_, place)| place.id == worker);
        for (&(task, attempt), place) in lost {
            let task = self.run.plan().tasks[task].name.clone();
            let event = Event::TaskLost { task, attempt, reason: format!("worker {}: {reason}", place.worker) };
            self.inbox.push_back(Fact::Own(event));
        }
    }
}
