//! Who follows runs that are driven here: told that there is something to read, which they read from the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How many may follow at a time: each looks into the store twice a second.
pub(crate) const FOLLOWERS_MAX: usize = 200;

/// Those who follow, by run.
pub(crate) struct Followers {
    runs: Mutex<HashMap<String, watch::Sender<()>>>,
    places: Arc<Semaphore>,
}

/// One who follows. Its place is free again when it is dropped.
pub(crate) struct Following {
    told: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
}

impl Default for Followers {
    fn default() -> Self {
        Followers { runs: Mutex::default(), places: Arc::new(Semaphore::new(FOLLOWERS_MAX)) }
    }
}

impl Followers {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a run. `None`: too many do.
    pub fn follow(&self, run_id: &str) -> Option<Following> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut runs = self.runs();
        runs.retain(|_, told| told.receiver_count() > 0);
        let told = runs.entry(run_id.to_owned()).or_default().subscribe();
        Some(Following { told, _place: place })
    }

    /// Something has been recorded of the run.
    pub fn tell(&self, run_id: &str) {
        if let Some(told) = self.runs().get(run_id) {
            told.send_replace(());
        }
    }
}

impl Following {
    /// Waits until something has been recorded by a driver in this process.
    pub async fn told(&mut self) {
        if self.told.changed().await.is_err() {
            // Nobody will ever say anything.
            std::future::pending().await
        }
    }
}
