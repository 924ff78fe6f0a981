//! What is old goes, while a service has nothing better to do.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use crate::retention::{Gone, Retention, Wanted, prune};

/// How soon after the service is up it looks for what is old, and how often then.
const FIRST: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(300);

/// How long it pauses after each run and each table.
const PAUSE: Duration = Duration::from_millis(20);

impl Service {
    pub(super) async fn keep_retention(self: Arc<Self>, retention: Retention) {
        tokio::time::sleep(FIRST).await;
        loop {
            let wanted = Wanted { default: retention.keep, pause: PAUSE, ..Wanted::default() };
            let lake = &*retention.lake;
            match prune(&self.store, lake, &self.name, self.clock.now(), wanted).await {
                Ok(Some(gone)) if gone != Gone::default() => {
                    let runs: u64 = gone.runs.iter().map(|flow| flow.runs).sum();
                    let versions: u64 = gone.tables.iter().map(|table| table.versions).sum();
                    let bytes: u64 = gone.tables.iter().map(|table| table.bytes).sum();
                    tracing::info!("retention: {runs} runs and {versions} versions of tables went, {bytes} bytes");
                }
                // Nothing was old, or another server is at it.
                Ok(_) => {}
                Err(error) => tracing::warn!("retention: failed to {error}; it goes on in {} s", AGAIN.as_secs()),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
