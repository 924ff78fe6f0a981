//! What a run has of its own in a plan that it shares with other runs of its flow.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::Time;
use crate::value::Params;

/// What of a plan differs from one run of the same flow to the next: what is asked for, and what follows from that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Own {
    pub params: Params,
    pub logical_time: Option<Time>,
    pub interval_start: Option<Time>,
    /// Of each task.
    pub fingerprints: Vec<Option<String>>,
}

impl Plan {
    /// Takes out what is the run's own: the rest is the same for every run of the flow, as long as neither the file nor
    /// what it reads has another shape.
    pub fn take_own(&mut self) -> Own {
        Own {
            params: std::mem::take(&mut self.params),
            logical_time: self.logical_time.take(),
            interval_start: self.interval_start.take(),
            fingerprints: self.tasks.iter_mut().map(|task| task.fingerprint.take()).collect(),
        }
    }

    /// Puts back what [`Plan::take_own`] took.
    #[must_use]
    pub fn with_own(mut self, own: Own) -> Self {
        let Own { params, logical_time, interval_start, fingerprints } = own;
        for (task, fingerprint) in self.tasks.iter_mut().zip(fingerprints) {
            task.fingerprint = fingerprint;
        }
        Plan { params, logical_time, interval_start, ..self }
    }
}
