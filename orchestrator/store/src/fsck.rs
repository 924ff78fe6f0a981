//! Whether the store keeps its promises.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flow::pools;
use flow::run::{Event, Record, Run, RunState};

use crate::Store;
use crate::db::Db;
use crate::error::{Error, Kind};
use crate::runs::{Head, Loaded};

/// A promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The run it is about; `None` for the store as a whole.
    pub run_id: Option<String>,
    /// What is wrong, for tests and programs: `gap`, `closed-twice`, …
    pub kind: &'static str,
    /// The same in a sentence's end: "event 3 is missing".
    pub message: String,
}

/// The tokens seen so far, by dataset.
type Tokens = BTreeMap<String, BTreeSet<u64>>;

impl Store {
    /// Reads everything and answers what should not be. Writes nothing.
    pub async fn fsck(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = self.whole().await?;
        let mut tokens = Tokens::new();
        let heads = self.runs(None, None, i64::MAX.unsigned_abs()).await?;
        // Oldest first, so that of two runs that collide the later one is named.
        for head in heads.into_iter().rev() {
            match self.load(&head.run_id).await {
                Ok(loaded) => {
                    let rows = self.task_rows(&head.run_id).await?;
                    let held = self.held(&head.run_id).await?;
                    findings.extend(run(loaded, &rows, &held, &mut tokens));
                }
                Err(error) if error.kind == Kind::Corrupt => {
                    findings.push(finding(Some(&head.run_id), "unreadable", error.message));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    /// What is wrong between tables, or with the file.
    async fn whole(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = vec![];
        for mut row in self.db.read(include_str!("../sql/fsck_strays.sql"), &[]).await? {
            let (kind, run_id) = (row.text()?, row.text()?);
            findings.push(match kind.as_str() {
                "hold" => {
                    finding(Some(&run_id), "closed-hold", "it is closed, or gone, and still holds slots of a pool")
                }
                "lease" => finding(Some(&run_id), "closed-lease", "it is closed and still has a driver's lease"),
                "plan" => finding(Some(&run_id), "no-plan", "its plan is missing"),
                _ => finding(Some(&run_id), "no-run", "there are events of it but no run"),
            });
        }
        for mut row in self.db.read(include_str!("../sql/fsck_pools.sql"), &[]).await? {
            let (pool, held, size) = (row.text()?, row.number()?, row.number()?);
            findings.push(finding(None, "crowded", format!("{held} slots of pool {pool} are taken, which has {size}")));
        }
        if matches!(self.db, Db::Sqlite { .. }) {
            for mut row in self.db.read(include_str!("../sql/fsck_file.sqlite.sql"), &[]).await? {
                let said = row.text()?;
                if said != "ok" {
                    findings.push(finding(None, "file", said));
                }
            }
        }
        Ok(findings)
    }

    async fn task_rows(&self, run_id: &str) -> Result<HashMap<String, String>, Error> {
        let rows = self.db.read(include_str!("../sql/fsck_tasks.sql"), &[run_id.into()]).await?;
        let row = |mut row: crate::row::Row<'_>| {
            let task = row.text()?;
            let numbers = (row.text()?, row.number()?, row.flag()?, row.number_or_null()?, row.number_or_null()?);
            Ok((task, format!("{numbers:?}")))
        };
        rows.into_iter().map(row).collect()
    }

    /// The pools of which a run holds slots, with the task that does.
    async fn held(&self, run_id: &str) -> Result<BTreeSet<(String, String)>, Error> {
        let rows = self.db.read(include_str!("../sql/fsck_holds.sql"), &[run_id.into()]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.text()?))).collect()
    }
}

fn finding(run_id: Option<&str>, kind: &'static str, message: impl Into<String>) -> Finding {
    Finding { run_id: run_id.map(str::to_owned), kind, message: message.into() }
}

/// What is wrong with one run.
fn run(
    loaded: Loaded,
    rows: &HashMap<String, String>,
    held: &BTreeSet<(String, String)>,
    tokens: &mut Tokens,
) -> Vec<Finding> {
    let Loaded { head, plan, records, .. } = loaded;
    let found = |kind, message| finding(Some(&head.run_id), kind, message);
    let mut findings: Vec<Finding> = journal(&records).into_iter().map(|(kind, text)| found(kind, text)).collect();
    let mut run = Run::new(Arc::new(plan), head.run_id.as_str());
    for record in &records {
        // A second request to cancel, or one that came too late, is recorded and changes nothing.
        if run.apply(record).is_err() && !matches!(record.event, Event::CancelRequested { .. }) {
            findings.push(found("stray", format!("event {} does not follow from those before it", record.seq)));
        }
        if let Some((dataset, token)) = token(&run, record)
            && !tokens.entry(dataset.clone()).or_default().insert(token)
        {
            findings.push(found("token", format!("event {} repeats a publish token of {dataset}", record.seq)));
        }
    }
    findings.extend(projection(&head, &run, &records, rows).into_iter().map(|text| found("projection", text)));
    let due = holds(&run);
    // Those of a run that is closed are looked for in the store as a whole.
    if *held != due && !run.state().is_terminal() {
        findings.push(found("holds", format!("it holds the slots {held:?}, its events say {due:?}")));
    }
    findings
}

/// The slots that a run should hold, by what is under way.
fn holds(run: &Run) -> BTreeSet<(String, String)> {
    let plan = run.plan();
    let under_way = run.state() == RunState::Running && plan.limits.runs.is_some();
    let own = under_way.then(|| (pools::of_runs(&plan.flow), String::new()));
    let attempts =
        run.running().flat_map(|(id, _)| plan.pools_of(id).map(move |pool| (pool, plan.tasks[id].name.clone())));
    attempts.chain(own).collect()
}

/// What the numbers and kinds of the events say by themselves.
fn journal(records: &[Record]) -> Vec<(&'static str, String)> {
    let mut findings = vec![];
    let mut succeeded = BTreeSet::new();
    let mut closed = 0;
    for (record, seq) in records.iter().zip(1..) {
        match &record.event {
            Event::TaskSucceeded { task, .. } if !succeeded.insert(task) => {
                findings.push(("succeeded-twice", format!("task {task} succeeds again in event {}", record.seq)));
            }
            Event::RunClosed { .. } => closed += 1,
            _ => {}
        }
        if record.seq != seq && !findings.iter().any(|(kind, _)| *kind == "gap") {
            findings.push(("gap", format!("event {seq} is missing")));
        }
    }
    if closed > 1 {
        findings.push(("closed-twice", format!("it is closed {closed} times")));
    }
    if !matches!(records.first().map(|first| &first.event), Some(Event::RunCreated)) {
        findings.push(("no-beginning", "its first event is not that it was made".into()));
    }
    findings
}

fn token(run: &Run, record: &Record) -> Option<(String, u64)> {
    let Event::TaskStarted { task, token, .. } = &record.event else { return None };
    let output = run.plan().tasks[run.plan().task_id(task)?].output.as_ref()?;
    (!output.view).then(|| (output.dataset.clone(), *token))
}

/// Where what is kept beside the journal differs from what follows from it.
fn projection(head: &Head, run: &Run, records: &[Record], rows: &HashMap<String, String>) -> Vec<String> {
    let mut texts = vec![];
    let kept = (head.state, head.started_at, head.finished_at, head.error.as_deref());
    let folded = (run.state(), run.started_at(), run.finished_at(), run.error());
    if kept != folded {
        texts.push(format!("the run is kept as {kept:?}, its events say {folded:?}"));
    }
    let last = records.last().map_or(0, |record| record.seq);
    if head.seq != last {
        texts.push(format!("the run is kept at event {}, its last event is {last}", head.seq));
    }
    let named: BTreeSet<&str> = records.iter().filter_map(|record| Some(record.event.task()?.0)).collect();
    for id in named.into_iter().filter_map(|task| run.plan().task_id(task)) {
        let task = &run.plan().tasks[id].name;
        let standing = run.task(id);
        let cached = standing.outcome.is_some_and(|outcome| outcome.cached);
        let state = crate::row::word(standing.state);
        let attempts = u64::from(standing.attempts);
        let folded = format!("{:?}", (state, attempts, cached, standing.started_at, standing.finished_at));
        match rows.get(task) {
            Some(kept) if *kept == folded => {}
            kept => texts.push(format!("task {task} is kept as {kept:?}, its events say {folded}")),
        }
    }
    texts
}
