//! The flows that a service knows, read again when their files change.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::Time;
use flow::schedule::Schedule;

use super::compile::Stamp;
use super::{Service, Told, Written};
use crate::journal::Ledger;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How soon a file is read again with which something was wrong: the cause may lie elsewhere, as a source that is missing.
pub(super) const FAULT_MS: Time = 30_000;

/// Flows by their files.
#[derive(Default)]
pub(super) struct Flows(Mutex<BTreeMap<PathBuf, Seen>>);

/// When a flow's file and its SQL files were changed.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// A flow as it was seen last, and the last version of it that compiled.
#[derive(Clone, Default)]
struct Seen {
    stamps: Stamps,
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
    pub written: Written,
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
        flows.any(|flow| flow.name.eq_ignore_ascii_case(name) && flow.written.file != file)
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
            let before = self.flows.seen().get(&file).cloned().unwrap_or_default();
            let is_due = before.fault.as_ref().is_some_and(|fault| fault.again_at <= self.clock.now());
            let is_known = before.stamps.get(&file).is_some_and(Option::is_some);
            if is_known && self.stamps(before.stamps.keys()) == before.stamps && !is_due {
                continue;
            }
            let (stamps, read) = self.read(&file, before.good.as_ref()).await;
            let seen = match read {
                Ok(good) => Seen { stamps, good: Some(good), fault: None },
                Err(told) => self.faulty(before, stamps, told),
            };
            self.flows.seen().insert(file, seen);
        }
    }

    fn stamps<'a>(&self, files: impl Iterator<Item = &'a PathBuf>) -> Stamps {
        files.map(|file| (file.clone(), self.compile.stamp(file))).collect()
    }

    /// The file's flow as it is now, or what is wrong with it. The stamps are from before anything was read.
    async fn read(&self, file: &PathBuf, before: Option<&Arc<Flow>>) -> (Stamps, Result<Arc<Flow>, Told>) {
        let mut stamps = self.stamps([file].into_iter());
        let text = match self.compile.text(file) {
            Ok(text) => text,
            Err(error) => return (stamps, Err(format!("failed to read {}: {error}", file.display()).into())),
        };
        stamps.extend(self.stamps(self.compile.sql_files(file, &text).iter()));
        let written = Written::read(&*self.compile, file, text);
        let read = match before.filter(|flow| flow.written == written) {
            Some(before) => Ok(before.clone()),
            None => self.load(written).await,
        };
        (stamps, read)
    }

    async fn load(&self, written: Written) -> Result<Arc<Flow>, Told> {
        let loaded = self.compile.load(&written).await?;
        let (name, file) = (loaded.name, written.file.display());
        if self.flows.is_taken(&written.file, &name) {
            return Err(format!("{file}: another file has a flow `{name}`, which stays in force").into());
        }
        let schedule = loaded.schedule.as_ref().map(Schedule::describe).unwrap_or("no schedule".into());
        tracing::info!("{file}: flow `{name}`, {schedule}");
        Ok(Arc::new(Flow { name, schedule: loaded.schedule, written }))
    }

    /// The flow with which something is wrong, which is said once.
    fn faulty(&self, before: Seen, stamps: Stamps, told: Told) -> Seen {
        let good = before.good.filter(|_| !planted!(BrokenEditDropsFlow));
        let message = told.message;
        if before.fault.is_none_or(|fault| fault.message != message) {
            let stays = match good {
                Some(_) => "the last good version of the flow stays in force",
                None => "the flow is left out until that is mended",
            };
            match told.hint {
                Some(hint) => tracing::warn!("{message}; {stays} (hint: {hint})"),
                None => tracing::warn!("{message}; {stays}"),
            }
        }
        Seen { stamps, good, fault: Some(Fault { message, again_at: self.clock.now() + FAULT_MS }) }
    }
}
