//! The flows that a service knows, read again when their files change.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use flow::schedule::Schedule;

use super::Service;
use crate::journal::Ledger;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Flows by their files.
#[derive(Default)]
pub(super) struct Flows(Mutex<BTreeMap<PathBuf, Seen>>);

/// A file as it was seen last, and the last version of it that compiled.
#[derive(Clone, Default)]
struct Seen {
    stamp: Option<(SystemTime, u64)>,
    good: Option<Arc<Flow>>,
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
            self.flows.seen().values_mut().filter(|seen| seen.good.is_none()).for_each(|seen| seen.stamp = None);
        }
        for file in files {
            let stamp = self.compile.stamp(&file);
            let before = self.flows.seen().get(&file).cloned().unwrap_or_default();
            if stamp.is_some() && stamp == before.stamp {
                continue;
            }
            let good = self.read(&file, before.good).await;
            self.flows.seen().insert(file, Seen { stamp, good });
        }
    }

    async fn read(&self, file: &Path, before: Option<Arc<Flow>>) -> Option<Arc<Flow>> {
        let loaded = match self.compile.text(file) {
            Ok(text) if before.as_ref().is_some_and(|flow| flow.text == text) => return before,
            Ok(text) => self.compile.load(file, &text).await.map(|loaded| (text, loaded)),
            Err(error) => Err(format!("failed to read {}: {error}", file.display())),
        };
        match loaded {
            Ok((_, loaded)) if self.flows.is_taken(file, &loaded.name) => {
                tracing::warn!("{}: another file has a flow `{}`, which stays in force", file.display(), loaded.name);
                before
            }
            Ok((text, loaded)) => {
                let file = file.to_path_buf();
                let schedule = loaded.schedule.as_ref().map(Schedule::describe).unwrap_or("no schedule".into());
                tracing::info!("{}: flow `{}`, {schedule}", file.display(), loaded.name);
                Some(Arc::new(Flow { file, text, name: loaded.name, schedule: loaded.schedule }))
            }
            Err(_) if planted!(BrokenEditDropsFlow) => None,
            Err(error) if before.is_some() => {
                tracing::warn!("{error}; the last good version of the flow stays in force");
                before
            }
            Err(error) => {
                tracing::warn!("{error}; the flow is left out until that is mended");
                None
            }
        }
    }
}
