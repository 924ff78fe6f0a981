//! Worker slots in this process: the tie to the hall, and where their logs go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::wire::Ending;
use server::Hall;
use server::hall::{Labels, Slots};
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use worker::{Claim, Execute, Line, Link};

/// Batches of log lines, of up to 64 KiB each, that may wait for the store before attempts have to.
const LOG_BATCHES: usize = 8;
/// About how many lines one transaction writes: decisions wait behind it.
const LOG_LINES: usize = 5_000;

/// How long attempts that were given up may hold up the end of the process.
const WORKERS_LINGER: Duration = Duration::from_millis(500);

/// Worker slots in this process, and the writer of their logs.
pub struct Workshop {
    hall: Hall,
    workers: JoinHandle<()>,
    over: oneshot::Sender<()>,
    writer: JoinHandle<()>,
}

/// What a workshop is made of.
pub struct Plant {
    pub store: Arc<Store>,
    pub executor: Arc<dyn Execute>,
    /// Where attempts compute.
    pub cores: Handle,
    pub slots: usize,
    /// What tasks may require of this worker; `None`: it does whatever there is.
    pub labels: Option<Labels>,
}

impl Workshop {
    /// Joins the hall and waits for work.
    pub fn open(hall: Hall, name: &str, plant: Plant) -> Workshop {
        let (log, lines) = mpsc::channel(LOG_BATCHES);
        let (over, is_over) = oneshot::channel();
        let writer = tokio::spawn(write_logs(plant.store, lines, is_over));
        let channel = Channel { slots: hall.join(name, plant.slots, plant.labels), log };
        let workers = worker::serve(Arc::new(channel), plant.executor, plant.slots, plant.cores);
        Workshop { hall, workers: tokio::spawn(workers), over, writer }
    }

    /// Takes no more work, and waits for what is running as long as `grace`, then for the log.
    pub async fn close(self, grace: Duration) {
        self.hall.close();
        // Only an attempt that was given up and computes on without yielding does not end: it ends with this process.
        if let Ok(ended) = timeout(grace.max(WORKERS_LINGER), self.workers).await {
            told("the workers", ended);
        }
        drop(self.over);
        told("the log", self.writer.await);
    }
}

fn told(what: &str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("{what} ended badly: {error}");
    }
}

/// Writes lines as they come, and once it is over those that wait.
async fn write_logs(store: Arc<Store>, mut lines: mpsc::Receiver<Vec<Line>>, mut over: oneshot::Receiver<()>) {
    loop {
        let received = tokio::select! {
            received = lines.recv() => received,
            _ = &mut over, if !lines.is_closed() => {
                lines.close();
                continue;
            }
        };
        let Some(mut batch) = received else { return };
        while batch.len() < LOG_LINES
            && let Ok(more) = lines.try_recv()
        {
            batch.extend(more);
        }
        let mut by_run: BTreeMap<String, Vec<store::Line>> = BTreeMap::new();
        for line in batch {
            by_run.entry(line.run_id.clone()).or_default().push(stored(line));
        }
        for (run_id, lines) in by_run {
            for some in lines.chunks(LOG_LINES) {
                if let Err(error) = store.log(&run_id, some).await {
                    tracing::warn!("{} lines of log are lost: failed to {error}", some.len());
                }
            }
        }
    }
}

fn stored(line: Line) -> store::Line {
    let stream = line.stream.name().to_owned();
    store::Line { task: line.task, attempt: line.attempt, at: line.at, stream, text: line.text }
}

/// The worker's tie to the driver: channels within this process.
struct Channel {
    slots: Slots,
    log: mpsc::Sender<Vec<Line>>,
}

#[async_trait]
impl Link for Channel {
    async fn claim(&self) -> Option<Claim> {
        let offer = self.slots.claim().await?;
        Some(Claim { assignment: offer.assignment, stop: offer.stop })
    }

    async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending) {
        // Stale or unheard reports need no repeating: the driver has decided or is gone.
        self.slots.report(run_id, task, attempt, ending).await;
    }

    async fn log(&self, lines: Vec<Line>) {
        // Fails only when the writer is gone, which has said why.
        let _ = self.log.send(lines).await;
    }
}
