//! Write, audit, publish: staged files, checks on exactly those, one commit.

use std::collections::{BTreeSet, HashMap};

use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::CommitOrBytes;
use deltalake::protocol::{DeltaOperation, SaveMode};
use flow::plan::{Input, Output, Source, Task};
use flow::spec::{Format, Mode, On};
use flow::wire::{Assignment, CheckResult, Failure, Outcome};
use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::Instrument as _;

use crate::audit::{Audit, Seen, blocks};
use crate::error::{failure, io};
use crate::lake::{self, Table};
use crate::log::{APP_ID, MARK, Mark};
use crate::replace::Change;
use crate::rowcounts::RowCounts;
use crate::session::Session;
use crate::stage::{self, Staged};
use crate::{Engine, Query, durable};

/// A commit is tried this often against others that commit at the same time.
const COMMITS_MAX: usize = 20;

/// A dataset about to be published by an attempt.
pub struct Publish<'a> {
    pub assignment: &'a Assignment,
    pub output: &'a Output,
    /// What the result depends on, from [`Engine::fingerprint`]; `None` is never cached.
    pub fingerprint: Option<String>,
    /// The task's checks, with the bound query of each `sql` check.
    pub audits: Vec<Audit<'a>>,
    /// replace_where: `select * from TASK where PREDICATE`, and the same with the predicate negated, both bound.
    pub predicate: Option<Predicate>,
}

/// The rows that a replace_where replaces, and those it keeps.
pub struct Predicate {
    pub replaced: Query,
    pub kept: Query,
}

/// Who writes rows that an append replaces when it is repeated: task, parameters and logical time.
pub struct Identity;

impl Identity {
    /// The identity of an assignment's rows.
    pub fn of(assignment: &Assignment) -> String {
        let plan = &assignment.plan;
        let task = &plan.tasks[assignment.task].name;
        let text = serde_json::json!([plan.flow, task, plan.params, plan.logical_time]).to_string();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

impl Publish<'_> {
    fn task(&self) -> &Task {
        &self.assignment.plan.tasks[self.assignment.task]
    }

    /// The sources that the task reads, through views too.
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let plan = &self.assignment.plan;
        let (mut open, mut names) = (vec![self.task()], BTreeSet::new());
        while let Some(task) = open.pop() {
            for input in task.inputs.values() {
                match input {
                    Input::Source(name) => drop(names.insert(name)),
                    Input::Task(id) if plan.tasks[*id].output.as_ref().is_some_and(|output| output.view) => {
                        open.push(&plan.tasks[*id]);
                    }
                    Input::Task(_) | Input::External(_) => {}
                }
            }
        }
        plan.sources.iter().filter(move |source| names.contains(&source.name))
    }

    /// Bytes of sources that are read from end to end, which no reader counts.
    fn text_bytes(&self) -> u64 {
        let text = self.sources().filter(|source| !matches!(source.format, Format::Parquet | Format::Delta));
        let files = text.filter_map(|source| self.assignment.pins.sources.get(&source.name)).flatten();
        files.map(|file| file.bytes).sum()
    }

    pub(crate) fn mark(&self, rows: u64, bytes: u64, checks: &[CheckResult]) -> Mark {
        let mut checks = checks.to_vec();
        checks.iter_mut().for_each(|check| check.samples.clear());
        Mark {
            run_id: self.assignment.run_id.clone(),
            task: self.task().name.clone(),
            attempt: self.assignment.attempt,
            token: self.assignment.token,
            fingerprint: self.fingerprint.clone(),
            identity: Identity::of(self.assignment),
            mode: self.output.mode,
            rows,
            bytes,
            checks,
        }
    }
}

impl Engine {
    /// The outcome of the version that already is what this attempt would write, if there is one.
    pub async fn cached(&self, publish: &Publish<'_>) -> Result<Option<Outcome>, Failure> {
        let table = self.lake.table(&publish.output.dataset)?;
        if let Some(outcome) = self.adopted(publish, &table).await? {
            return Ok(Some(outcome));
        }
        let Some(latest) = table.latest().await? else { return Ok(None) };
        let (Some(fingerprint), false) = (&publish.fingerprint, publish.assignment.force) else { return Ok(None) };
        let identity = Identity::of(publish.assignment);
        let mode = publish.output.mode;
        let found = match mode {
            Mode::Overwrite | Mode::Merge => table.commit(latest).await?,
            Mode::Append | Mode::ReplaceWhere => {
                table.last_commit(latest, |mark| mark.identity == identity, |mark| mark.mode != mode).await?
            }
        };
        let Some(found) = found else { return Ok(None) };
        let Some(mark) = found.mark.as_ref().filter(|mark| mark.fingerprint.as_ref() == Some(fingerprint)) else {
            return Ok(None);
        };
        if mode == Mode::ReplaceWhere && found.version < latest && !self.stands(publish, &table, latest, &found).await?
        {
            return Ok(None);
        }
        let version = found.version;
        let version = if mode == Mode::Overwrite { version } else { latest };
        Ok(Some(Outcome { cached: true, ..outcome(&table, version, mark) }))
    }

    /// As [`Engine::cached`], for an attempt that ends with it: the dataset is good again, so what was rejected goes.
    pub async fn reuse(&self, publish: &Publish<'_>) -> Result<Option<Outcome>, Failure> {
        let found = self.cached(publish).await?;
        if found.is_some() {
            self.clear_rejected(publish).await?;
        }
        Ok(found)
    }

    /// What another attempt of the same task of the same run committed before its report was lost.
    async fn adopted(&self, publish: &Publish<'_>, table: &Table) -> Result<Option<Outcome>, Failure> {
        if publish.assignment.attempt == 1 {
            return Ok(None);
        }
        let Some(latest) = table.latest().await? else { return Ok(None) };
        let (run_id, task) = (&publish.assignment.run_id, &publish.task().name);
        let mine = |mark: &Mark| mark.run_id == *run_id && mark.task == *task;
        let found = table.last_commit(latest, mine, |_| false).await?;
        Ok(found.and_then(|commit| Some(outcome(table, commit.version, &commit.mark?))))
    }

    /// Runs a query and publishes its rows: stage, check, commit. A failed blocking check commits nothing.
    ///
    /// No `async fn`, see [`Session::planned`].
    pub fn publish<'a>(
        &'a self,
        session: &'a Session,
        query: &'a Query,
        publish: Publish<'a>,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        self.stage_and_commit(session, query, publish).boxed()
    }

    async fn stage_and_commit(
        &self,
        session: &Session,
        query: &Query,
        publish: Publish<'_>,
    ) -> Result<Outcome, Failure> {
        let table = self.lake.table(&publish.output.dataset)?;
        let plan = session.plan_to_run(query).await?;
        let plan = stage::as_published(plan).map_err(failure)?;
        if let Some(folder) = &table.folder {
            durable::make_folder(folder).map_err(|error| io("failed to make the folder", folder, &error))?;
        }
        let counts = RowCounts::new(session, plan.schema(), &publish.audits)?;
        let staged = stage::stage(session, plan, &table, &publish.output.partition_by, counts);
        let mut staged = staged.instrument(tracing::info_span!("query")).await?;
        staged.effort.bytes_read += publish.text_bytes();
        let published = self.check_and_commit(session, &table, &staged, &publish).await;
        if published.is_err() {
            stage::discard(&table, &staged).await;
        }
        published
    }

    async fn check_and_commit(
        &self,
        session: &Session,
        table: &Table,
        staged: &Staged,
        publish: &Publish<'_>,
    ) -> Result<Outcome, Failure> {
        for _ in 0..COMMITS_MAX {
            if let Some(outcome) = self.adopted(publish, table).await? {
                return Ok(outcome);
            }
            let change = self.change(session, table, staged, publish).await?;
            let result = self.audit_and_try(session, table, staged, &change, publish).await;
            if !matches!(result, Ok(Some(_))) {
                change.discard(table).await;
            }
            match result? {
                Some(outcome) => return Ok(outcome),
                None => continue,
            }
        }
        Err(Failure::external(format!("others keep publishing `{}`; run again", table.dataset)))
    }

    /// `None` if another commit came first.
    async fn audit_and_try(
        &self,
        session: &Session,
        table: &Table,
        staged: &Staged,
        change: &Change,
        publish: &Publish<'_>,
    ) -> Result<Option<Outcome>, Failure> {
        let checks = self.audit_staged(session, table, staged, change, publish).await?;
        for source in publish.sources() {
            let pinned = publish.assignment.pins.sources.get(&source.name).map_or(&[][..], Vec::as_slice);
            self.still_pinned(source, pinned).await?;
        }
        let synced = async {
            stage::sync_folders(table, staged).await?;
            change.sync_folders(table).await
        };
        synced.instrument(tracing::info_span!("sync")).await?;
        let mark = publish.mark(staged.rows, staged.bytes, &checks);
        let span = tracing::info_span!("commit", dataset = table.dataset);
        let Some(version) = commit(table, staged, change, &mark).instrument(span).await? else { return Ok(None) };
        // The commit stands: what is left of an earlier failure goes with the next one.
        if let Err(failure) = self.clear_rejected(publish).await {
            tracing::warn!(dataset = table.dataset, "failed to clear the rejected rows: {}", failure.message);
        }
        let mut outcome = outcome(table, version, &mark);
        outcome.checks = checks;
        outcome.effort = Some(staged.effort);
        outcome.warnings.clone_from(&change.warnings);
        Ok(Some(outcome))
    }

    async fn audit_staged(
        &self,
        session: &Session,
        table: &Table,
        staged: &Staged,
        change: &Change,
        publish: &Publish<'_>,
    ) -> Result<Vec<CheckResult>, Failure> {
        if publish.audits.is_empty() {
            return Ok(vec![]);
        }
        let name = &publish.task().name;
        session.add(name, staged.view(table)?);
        let rows = session.table(name).await?;
        let whole = publish.audits.iter().any(|audit| audit.check.on == On::Table);
        let whole = if whole { Some(change.table_as_it_would_be(session, table, staged).await?) } else { None };
        let seen = Seen { name, rows, table: whole, counted: staged.counted.clone() };
        let checks = session.audit(&seen, &publish.audits).await?;
        if checks.iter().any(blocks) {
            self.keep_rejected(session, &seen, publish, &checks).await?;
        }
        verdict(checks, "the last good version stays")
    }

    /// Makes a view's checks on the rows of its query. Nothing is stored.
    pub async fn audit_view(
        &self,
        session: &Session,
        query: &Query,
        publish: &Publish<'_>,
    ) -> Result<Vec<CheckResult>, Failure> {
        let name = &publish.task().name;
        session.add_view(name, query).await?;
        let rows = session.table(name).await?;
        verdict(
            session.audit(&Seen { name, rows, table: None, counted: vec![] }, &publish.audits).await?,
            "what reads the view does not run",
        )
    }
}

/// The results, or the failure that blocking ones among them are.
fn verdict(checks: Vec<CheckResult>, consequence: &str) -> Result<Vec<CheckResult>, Failure> {
    let failed: Vec<String> = checks.iter().filter(|check| blocks(check)).map(describe).collect();
    if failed.is_empty() {
        return Ok(checks);
    }
    let message = format!("{} failed; {consequence}", failed.join(", "));
    Err(Failure { checks, ..Failure::user(message) })
}

fn describe(check: &CheckResult) -> String {
    match (check.kind.as_str(), check.observed) {
        ("rows", Some(rows)) => format!("check `{}` ({})", check.name, rows_of(rows as u64)),
        _ => format!("check `{}` ({})", check.name, rows_of(check.failed_rows)),
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn rows_of(n: u64) -> String {
    format!("{n} row{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn outcome(table: &Table, version: u64, mark: &Mark) -> Outcome {
    Outcome {
        rows_out: Some(mark.rows),
        bytes_out: Some(mark.bytes),
        dataset: Some(table.dataset.clone()),
        version: Some(version),
        location: Some(table.location()),
        checks: mark.checks.clone(),
        ..Outcome::default()
    }
}

/// One Delta commit on exactly the version that was read. `None` if another commit came first.
pub(crate) async fn commit(
    table: &Table,
    staged: &Staged,
    change: &Change,
    mark: &Mark,
) -> Result<Option<u64>, Failure> {
    let version = change.read.map_or(0, |read| read + 1);
    let mut actions = change.header.clone();
    actions.extend(change.removes.iter().cloned().map(Action::Remove));
    actions.extend(staged.adds.iter().chain(&change.adds).cloned().map(Action::Add));
    let mode = if mark.mode == Mode::Append { SaveMode::Append } else { SaveMode::Overwrite };
    let partition_by = (!change.partition_by.is_empty()).then(|| change.partition_by.clone());
    let operation = DeltaOperation::Write { mode, partition_by, predicate: None };
    let info = serde_json::to_value(mark).map_err(|error| Failure::internal(error.to_string()))?;
    let token = i64::try_from(mark.token.max(change.highest)).unwrap_or(i64::MAX);
    let data = CommitData::new(
        actions,
        operation,
        HashMap::from([(MARK.to_string(), info)]),
        vec![Transaction::new(APP_ID, token)],
    );
    let bytes = data.get_bytes().map_err(|error| Failure::internal(error.to_string()))?;
    let written = write_entry(table, version, bytes, mark).await;
    // An error does not say whether the entry is there, and a file that a version names must never go.
    if matches!(written, Ok(true)) || written.is_err() && table.may_hold(version) {
        staged.litter.keep();
        change.keep();
    }
    let written = written?;
    if written && version % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1 {
        checkpoint(table, version).await;
    }
    Ok(written.then_some(version))
}

/// Versions between two checkpoints of a log, so that a long one opens as fast as a short one.
const CHECKPOINT_EVERY: u64 = 50;

/// The commit stands without its checkpoint: a failure costs a reader time, nothing else.
async fn checkpoint(table: &Table, version: u64) {
    let Ok(opened) = table.open(version).await else { return };
    if let Err(error) = deltalake::checkpoints::create_checkpoint(&opened, None).await {
        tracing::warn!(dataset = table.dataset, version, %error, "failed to write a checkpoint");
    }
}

/// Whether the entry was written: no other holds the version.
async fn write_entry(table: &Table, version: u64, bytes: bytes::Bytes, mark: &Mark) -> Result<bool, Failure> {
    if let Some(folder) = &table.folder {
        let log = folder.join("_delta_log");
        durable::make_folder(&log).map_err(|error| io("failed to make the folder", &log, &error))?;
        let entry = log.join(lake::entry(version));
        return match durable::create(&entry, &bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(io("failed to commit to", &log, &error)),
        };
    }
    let entry = CommitOrBytes::LogBytes(bytes);
    match table.log.write_commit_entry(version, entry, uuid::Uuid::now_v7()).await {
        Ok(()) => Ok(true),
        // Ours, if the write was sent again because the answer to the first had been lost.
        Err(TransactionError::VersionAlreadyExists(_)) => {
            let there = table.commit(version).await?;
            Ok(there.and_then(|commit| commit.mark).is_some_and(|there| there.is_of_attempt(mark)))
        }
        Err(error) => Err(Failure::external(format!("failed to commit to `{}`: {error}", table.dataset))),
    }
}
