//! The flows that a service knows, read again when their files change.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use flow::Time;
use flow::schedule::Schedule;

use super::Service;
use crate::journal::Ledger;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How soon a file is read again with which something was wrong: the cause may lie elsewhere, as a source that is missing.
pub(super) const FAULT_MS: Time = 30_000;

/// Flows by their files.
#[derive(Default)]
pub(super) struct Flows(Mutex<BTreeMap<PathBuf, Seen>>);

/// A file as it was seen last, and the last version of it that compiled.
#[derive(Clone, Default)]
struct Seen {
    stamp: Option<(SystemTime, u64)>,
    good: Option<Arc<Flow>>,
    fault: Option<Fault>,
}

/// What was wrong with a file, and when it is read again although nobody touches it.
#[derive(Clone)]
struct Fault {
    message: String,
    again_at: Time,
}

/// A flow that compiled.
pub(crate) struct Flow {
    pub file: PathBuf,
    pub text: String,
    pub name: String,
    pub schedule: Option<Schedule>,
}

impl Flows {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every flow.
    pub fn all(&self) -> Vec<Arc<Flow>> {
        self.seen().values().filter_map(|seen| seen.good.clone()).collect()
    }

    /// Whether another file's flow has this name.
    fn is_taken(&self, file: &Path, name: &str) -> bool {
        let seen = self.seen();
        let mut flows = seen.values().filter_map(|seen| seen.good.as_ref());
        flows.any(|flow| flow.name.eq_ignore_ascii_case(name) && flow.file != file)
    }
}

impl<S: Ledger> Service<S> {
    pub(super) async fn keep_looking_at_flows(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look_at_flows().await;
        }
    }

    /// Reads the files that are new or have changed. What does not compile leaves the last good version in force.
    pub(super) async fn look_at_flows(&self) {
        let files = match self.compile.files() {
            Ok(files) => files,
            Err(error) => return tracing::warn!("failed to list the flows: {error}; the last ones stay"),
        };
        let there: HashSet<&PathBuf> = files.iter().collect();
        let gone: Vec<PathBuf> = self.flows.seen().keys().filter(|file| !there.contains(file)).cloned().collect();
        for file in &gone {
            self.flows.seen().remove(file);
            tracing::info!("{}: the file is gone, and its flow with it", file.display());
        }
        if !gone.is_empty() {
            // A name may be free now that a flow was left out for.
            self.flows.seen().values_mut().filter_map(|seen| seen.fault.as_mut()).for_each(|fault| fault.again_at = 0);
        }
        for file in files {
            let stamp = self.compile.stamp(&file);
            let before = self.flows.seen().get(&file).cloned().unwrap_or_default();
            let is_due = before.fault.as_ref().is_some_and(|fault| fault.again_at <= self.clock.now());
            if stamp.is_some() && stamp == before.stamp && !is_due {
                continue;
            }
            let seen = match self.read(&file, before.good.as_ref()).await {
                Ok(good) => Seen { stamp, good: Some(good), fault: None },
                Err(message) => self.faulty(before, stamp, message),
            };
            self.flows.seen().insert(file, seen);
        }
    }

    /// The file's flow as it is now, or what is wrong with it.
    async fn read(&self, file: &Path, before: Option<&Arc<Flow>>) -> Result<Arc<Flow>, String> {
        let text = self.compile.text(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
        if let Some(before) = before.filter(|flow| flow.text == text) {
            return Ok(before.clone());
        }
        let loaded = self.compile.load(file, &text).await?;
        if self.flows.is_taken(file, &loaded.name) {
            return Err(format!("{}: another file has a flow `{}`, which stays in force", file.display(), loaded.name));
        }
        let file = file.to_path_buf();
        let schedule = loaded.schedule.as_ref().map(Schedule::describe).unwrap_or("no schedule".into());
        tracing::info!("{}: flow `{}`, {schedule}", file.display(), loaded.name);
        Ok(Arc::new(Flow { file, text, name: loaded.name, schedule: loaded.schedule }))
    }

    /// The file with which something is wrong, which is said once.
    fn faulty(&self, before: Seen, stamp: Option<(SystemTime, u64)>, message: String) -> Seen {
        let good = before.good.filter(|_| !planted!(BrokenEditDropsFlow));
        if before.fault.is_none_or(|fault| fault.message != message) {
            match good {
                Some(_) => tracing::warn!("{message}; the last good version of the flow stays in force"),
                None => tracing::warn!("{message}; the flow is left out until that is mended"),
            }
        }
        Seen { stamp, good, fault: Some(Fault { message, again_at: self.clock.now() + FAULT_MS }) }
    }
}
