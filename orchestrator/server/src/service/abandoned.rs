//! Runs of `flowctl run` whose process died, closed: somebody may wait for them here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Service;
use crate::abandoned::close_one;

/// How often a service looks for them.
const LOOK: Duration = Duration::from_secs(2);

/// For how long one must be seen so: leases run out while the store is away, and those who live renew theirs then.
const DOUBT: Duration = Duration::from_secs(3);

/// For how long one is left alone that cannot be closed.
const TROUBLE: Duration = Duration::from_secs(30);

/// Runs that nobody drives, and when each is to be closed.
pub(super) type Suspects = HashMap<String, Instant>;

impl Service {
    pub(super) async fn keep_closing_abandoned(self: Arc<Self>) {
        let mut suspects = Suspects::new();
        loop {
            sleep(LOOK).await;
            suspects = self.close_abandoned(suspects).await;
        }
    }

    /// Closes those for which it is time, and ends what their processes left running here. Answers all that there are.
    pub(super) async fn close_abandoned(&self, before: Suspects) -> Suspects {
        let found = match self.store.abandoned().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("failed to {error}");
                return Suspects::new();
            }
        };
        let mut suspects = Suspects::new();
        for head in found {
            let now = Instant::now();
            let mut close_at = before.get(&head.run_id).copied().unwrap_or(now + DOUBT);
            if close_at <= now {
                match close_one(&self.store, &self.clock, &head.run_id).await {
                    Ok(None) => {}
                    Ok(Some(run)) => {
                        tracing::warn!(
                            "flow `{}`: run {} is closed as failed: its process ended",
                            head.flow,
                            head.run_id
                        );
                        self.followers.tell(run.id());
                        self.compile.end_leftovers(run.id()).await;
                    }
                    Err(error) => {
                        tracing::warn!("failed to {error}; run {} stays open for now", head.run_id);
                        close_at = now + TROUBLE;
                    }
                }
            }
            suspects.insert(head.run_id, close_at);
        }
        suspects
    }
}
