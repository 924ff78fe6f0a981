//! Which attempt runs in whose slot.

use std::collections::HashMap;

use flow::plan::TaskId;
use flow::run::{Command, Event};

use super::Driver;
use super::batch::{Batch, Fact};
use crate::hall::Place;

impl Driver<'_> {
    /// What could start now, as far as there is room for it: slots that this batch frees first.
    pub(super) fn placed(&mut self, batch: &mut Batch) -> Vec<Command> {
        let room = batch.freed.len() + self.seat.desk.room();
        let mut asked = room;
        loop {
            let commands = self.run.next(self.seat.clock.now(), asked);
            let starts = commands.iter().filter(|command| matches!(command, Command::Start { .. })).count();
            let (mut chosen, mut found) = (vec![], HashMap::new());
            for command in commands {
                let Command::Start { task, attempt } = command else {
                    chosen.push(command);
                    continue;
                };
                if let Some(place) = self.place(batch, task) {
                    found.insert((task, attempt), place);
                    chosen.push(command);
                }
            }
            // Tasks that no free slot suits must not hide others that it does.
            let hidden = found.is_empty() && room > 0 && starts == asked;
            batch.taken.extend(found);
            if !hidden {
                if starts == asked {
                    self.seat.desk.wait_for_room();
                }
                return chosen;
            }
            asked *= 2;
        }
    }

    fn place(&self, batch: &mut Batch, task: TaskId) -> Option<Place> {
        let requires = &self.run.plan().tasks[task].requires;
        // A worker that has left, or takes no more, starts nothing new.
        let fits = |place: &Place| self.seat.desk.suits(place, requires);
        match batch.freed.iter().position(fits) {
            Some(index) => Some(batch.freed.swap_remove(index)),
            None => self.seat.desk.take(requires),
        }
    }

    /// Forgets slots of attempts that no longer run.
    pub(super) fn tidy_places(&mut self) {
        let run = &self.run;
        self.places.retain(|(task, attempt), _| run.running_attempt(*task) == Some(*attempt));
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
