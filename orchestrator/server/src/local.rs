//! Slots for workers in this process: offers go out, reports come back.

use flow::wire::{Assignment, Ending};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

/// Makes `count` slots: the driver's side and the workers'.
pub fn slots(count: usize) -> (Desk, Slots) {
    let (offer, offers) = mpsc::unbounded_channel();
    let (report, reports) = mpsc::unbounded_channel();
    (Desk { count, offer, reports }, Slots { offers: Mutex::new(offers), report })
}

/// The driver's side. Dropping it tells the workers that there will be no more work.
#[derive(Debug)]
pub struct Desk {
    pub(crate) count: usize,
    pub(crate) offer: mpsc::UnboundedSender<Offer>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
}

/// The workers' side, shared by all of them. Dropping it tells the driver that nobody is left.
#[derive(Debug)]
pub struct Slots {
    offers: Mutex<mpsc::UnboundedReceiver<Offer>>,
    report: mpsc::UnboundedSender<Report>,
}

/// An attempt to run.
#[derive(Debug)]
pub struct Offer {
    pub assignment: Assignment,
    /// Turns true when the attempt should stop, and closes when the driver is gone.
    pub stop: watch::Receiver<bool>,
}

/// How an attempt ended, on its way to the driver.
#[derive(Debug)]
pub(crate) struct Report {
    pub task: String,
    pub attempt: u32,
    pub ending: Ending,
    pub receipt: oneshot::Sender<Receipt>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is durable.
    Recorded,
    /// The attempt had been given up before. Nothing has changed.
    Stale,
    /// The driver is gone. Nobody will record it.
    Unheard,
}

impl Slots {
    /// Waits for work. `None` when there will be no more.
    pub async fn claim(&self) -> Option<Offer> {
        self.offers.lock().await.recv().await
    }

    /// Hands in how an attempt ended and waits until that is durable.
    pub async fn report(&self, task: &str, attempt: u32, ending: Ending) -> Receipt {
        let (receipt, answer) = oneshot::channel();
        let report = Report { task: task.to_owned(), attempt, ending, receipt };
        if self.report.send(report).is_err() {
            return Receipt::Unheard;
        }
        answer.await.unwrap_or(Receipt::Unheard)
    }
}
