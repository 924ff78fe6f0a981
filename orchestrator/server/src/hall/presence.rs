//! Who is in a hall, for those who look in.

use std::collections::BTreeSet;

use super::{Hall, Labels};

/// Who is in the hall.
pub(crate) struct Seen {
    pub workers: Vec<Present>,
    /// Runs that wait for a slot.
    pub waiting: BTreeSet<String>,
}

/// A worker that is there.
pub(crate) struct Present {
    pub name: String,
    pub slots: usize,
    pub busy: usize,
    pub labels: Labels,
}

impl Hall {
    /// Whether the run's driver is here.
    pub(crate) fn drives(&self, run_id: &str) -> bool {
        self.state().drivers.contains_key(run_id)
    }

    /// Who is there now, and who waits.
    pub(crate) fn look(&self) -> Seen {
        let state = self.state();
        let workers = state.workers.iter().map(|(name, worker)| Present {
            name: name.clone(),
            slots: worker.slots,
            busy: worker.busy,
            labels: worker.labels.clone().unwrap_or_default(),
        });
        Seen { workers: workers.collect(), waiting: state.queue.waiting() }
    }
}
