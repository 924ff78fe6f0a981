//! Who follows runs that are driven here: told that there is something to read, which they read from the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Those who follow, by run.
#[derive(Default)]
pub(crate) struct Followers(Mutex<HashMap<String, watch::Sender<()>>>);

impl Followers {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever something has been recorded of the run by a driver in this process.
    pub fn follow(&self, run_id: &str) -> watch::Receiver<()> {
        let mut runs = self.runs();
        runs.retain(|_, told| told.receiver_count() > 0);
        runs.entry(run_id.to_owned()).or_default().subscribe()
    }

    /// Something has been recorded of the run.
    pub fn tell(&self, run_id: &str) {
        if let Some(told) = self.runs().get(run_id) {
            told.send_replace(());
        }
    }
}
