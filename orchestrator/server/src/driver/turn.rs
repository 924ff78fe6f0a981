//! The driver's loop: decide, record, hand out, wait.

use flow::Time;
use flow::plan::TaskId;
use flow::run::{Command, Event, Record};
use flow::wire::Assignment;
use store::Kind;
use tokio::sync::watch;
use tokio::time::Instant;

use super::batch::{Batch, Fact};
use super::{Driver, TAIL_MS};
use crate::Error;
use crate::hall::{Message, Offer, Receipt};

/// How many reports one turn takes.
const REPORTS_MAX: usize = 1_000;

impl Driver<'_> {
    pub(super) async fn drive(&mut self) -> Result<(), Error> {
        loop {
            self.listen();
            self.look_at_rooms().await?;
            let batch = self.decide();
            let quiet = batch.records.is_empty() && !self.rooms.unknown;
            self.record(batch).await?;
            if self.run.state().is_terminal() {
                return Ok(());
            }
            self.queue_up(quiet).await?;
            let news = self.keep_up().await?;
            if quiet && !news {
                self.wait().await?;
            }
        }
    }

    /// Takes in what has come meanwhile.
    fn listen(&mut self) {
        for _ in 0..REPORTS_MAX {
            let Ok(message) = self.seat.desk.mail.try_recv() else { break };
            self.hear(message);
        }
        let by = self.seat.cancel.borrow_and_update().clone();
        if let Some(by) = by.filter(|_| !self.asked_to_stop) {
            self.asked_to_stop = true;
            self.inbox.push_back(Fact::Own(Event::CancelRequested { by }));
        }
    }

    /// Makes the batch durable, then acts on it. After a conflict, or when nobody knows what became of it, the
    /// journal tells how things are, and what was heard is looked at again.
    async fn record(&mut self, mut batch: Batch) -> Result<(), Error> {
        self.places.extend(std::mem::take(&mut batch.taken));
        if planted!(HandsOutBeforeDurable) {
            self.recorded(&batch.records);
        }
        if !batch.records.is_empty() {
            match self.append(&batch.records).await {
                Ok(records) => self.recorded(&records),
                Err(Error::Store(error)) if error.kind == Kind::Unknown && planted!(UnknownTakenForDone) => {
                    self.recorded(&batch.records);
                }
                Err(error) if planted!(ConflictEndsDriver) => return Err(error),
                Err(Error::Store(error)) if matches!(error.kind, Kind::Conflict | Kind::Unknown | Kind::NoRoom) => {
                    if error.kind == Kind::NoRoom {
                        self.refused();
                    }
                    tracing::debug!(run = self.run.id(), %error, "reading the journal again");
                    return self.reload().await;
                }
                Err(error) => return Err(error),
            }
        }
        self.answer(batch);
        Ok(())
    }

    async fn append(&self, records: &[Record]) -> Result<Vec<Record>, Error> {
        let holder = if planted!(Unfenced) { "" } else { self.seat.holder };
        let mut patience = self.patience();
        loop {
            let answer = match self.seq {
                0 => self.create(records.to_vec()).await,
                _ => self.seat.journal.append(holder, &self.run, records.to_vec()).await.map_err(Error::Store),
            };
            match answer {
                // To do it again would not tell what became of it.
                Err(Error::Store(error)) if error.kind == Kind::Unknown => return Err(error.into()),
                Err(error) => patience.bear(error).await?,
                Ok(records) => return Ok(records),
            }
        }
    }

    /// Folds the journal anew: what was applied here but not recorded is undone.
    async fn reload(&mut self) -> Result<(), Error> {
        let records = self.tail(0).await?;
        self.run = self.run.rewound();
        self.run.read(&records);
        let known = records.partition_point(|record| record.seq <= self.seq);
        self.recorded(&records[known..]);
        self.tidy_places();
        self.give_up_strangers();
        // Perhaps the lease is gone: look at once.
        self.renew_at = self.seat.clock.now();
        Ok(())
    }

    /// Lets the outside know of facts that are durable, whoever recorded them.
    fn recorded(&mut self, records: &[Record]) {
        let Some(last) = records.last() else { return };
        self.seq = last.seq;
        (self.seat.observer)(&self.run, records);
        self.watch.hear(&self.run, records);
        for record in records {
            self.tell_of_room(record);
            let Some((task, attempt)) = record.event.task() else { continue };
            let Some(id) = self.run.plan().task_id(task) else { continue };
            match record.event {
                Event::TaskStarted { token, .. } => self.hand_out(id, attempt, token),
                // Who ended it himself hears nothing new; whoever else still works on it is to stop.
                _ => drop(self.held.remove(&(id, attempt)).map(|stop| stop.send_replace(true))),
            }
        }
    }

    fn hand_out(&mut self, task: TaskId, attempt: u32, token: u64) {
        let runs = self.run.running_attempt(task) == Some(attempt);
        let Some(place) = self.places.get(&(task, attempt)) else { return };
        if !runs || self.held.contains_key(&(task, attempt)) {
            return;
        }
        let (stop, stopped) = watch::channel(false);
        let assignment = Assignment {
            run_id: self.run.id().to_owned(),
            plan: self.run.plan().clone(),
            pins: self.pins.clone(),
            task,
            attempt,
            token,
            versions: self.run.versions(task),
            force: self.force,
        };
        self.held.insert((task, attempt), stop);
        // When the worker has left, the hall says so.
        place.hand(Offer { assignment, stop: stopped, at: Instant::now() });
    }

    /// Tells the workers what became of their reports, and whom to stop.
    fn answer(&mut self, batch: Batch) {
        for receipt in batch.heard {
            if let Some(Fact::Report(report)) = self.inbox.pop_front() {
                let _gone: Result<(), Receipt> = report.receipt.send(receipt);
            }
        }
        for stop in batch.stops {
            if let Command::Stop { task, attempt } = stop
                && let Some(held) = self.held.get(&(task, attempt))
            {
                held.send_replace(true);
            }
        }
    }

    /// Reads what others have recorded, and renews the lease, whenever it is time. Answers whether there was
    /// anything to read.
    async fn keep_up(&mut self) -> Result<bool, Error> {
        let now = self.seat.clock.now();
        let mut news = false;
        if now >= self.tail_at {
            news = !planted!(TailUnread) && self.read_on().await?;
            self.tail_at = now + TAIL_MS;
        }
        if now >= self.renew_at {
            self.renew_at = now + self.seat.lease_ms / 3;
            if !planted!(LeaseNotRenewed) && !self.renew().await? {
                news |= self.read_on().await?;
                if !self.run.state().is_terminal() {
                    return Err(Error::LeaseLost { run_id: self.run.id().to_owned() });
                }
            }
        }
        Ok(news)
    }

    async fn read_on(&mut self) -> Result<bool, Error> {
        let records = self.tail(self.seq).await?;
        self.run.read(&records);
        self.recorded(&records);
        self.tidy_places();
        self.give_up_strangers();
        Ok(!records.is_empty())
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Report(report) if planted!(AnswersBeforeDurable) => {
                let _gone = report.receipt.send(Receipt::Recorded);
                let event = self.run.reported(&report.task, report.attempt, report.ending);
                self.inbox.push_back(Fact::Own(event));
            }
            Message::Report(report) => self.inbox.push_back(Fact::Report(report)),
            // To look again is all that there is to do.
            Message::Room => {}
            Message::AttemptLost { task, attempt, reason } => {
                self.inbox.push_back(Fact::Own(Event::TaskLost { task, attempt, reason }));
            }
            Message::WorkerLost { .. } if planted!(WorkerLossUnheard) => {}
            Message::WorkerLost { id, reason } => self.worker_lost(id, &reason),
        }
    }

    /// Waits until there may be something to decide.
    async fn wait(&mut self) -> Result<(), Error> {
        let now = self.seat.clock.now();
        let until = self.run.wake(now).unwrap_or(Time::MAX).min(self.tail_at).min(self.renew_at);
        tokio::select! {
            biased;
            message = self.seat.desk.mail.recv() => match message {
                Some(message) => self.hear(message),
                None => return Err(Error::WorkersGone { run_id: self.run.id().to_owned() }),
            },
            Ok(()) = self.seat.cancel.changed() => {}
            () = self.seat.clock.until(until) => {}
        }
        Ok(())
    }
}
