//! Worker slots in this process: the tie to the hall, and where their logs go.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use flow::wire::Ending;
use server::hall::Slots;
use store::Store;
use tokio::sync::{mpsc, oneshot};
use worker::{Claim, Line, Link};

/// Batches of log lines, of up to 64 KiB each, that may wait for the store before attempts have to.
const LOG_BATCHES: usize = 8;
/// About how many lines one transaction writes: decisions wait behind it.
const LOG_LINES: usize = 5_000;

/// Where attempts leave their lines, and where the writer finds them.
pub fn log() -> (mpsc::Sender<Vec<Line>>, mpsc::Receiver<Vec<Line>>) {
    mpsc::channel(LOG_BATCHES)
}

/// Writes lines as they come, and once it is over those that wait.
pub async fn write_logs(store: Arc<Store>, mut lines: mpsc::Receiver<Vec<Line>>, mut over: oneshot::Receiver<()>) {
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
pub struct Channel {
    pub slots: Slots,
    pub log: mpsc::Sender<Vec<Line>>,
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
