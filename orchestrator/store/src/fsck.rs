//! Whether the store keeps its promises.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use flow::pools;
use flow::run::{Event, Record, Run, RunState};

use crate::Store;
use crate::db::Db;
use crate::error::{Error, Kind};
use crate::row::Row;
use crate::runs::{self, Head, Loaded};

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

/// What is kept of a run beside its journal.
struct Beside {
    /// How each of its tasks stands, as text.
    tasks: HashMap<String, String>,
    /// The pools of which it holds slots, with the task that does.
    held: BTreeSet<(String, String)>,
}

/// How long what looks wrong between two tables may take to be put right by those who are at it.
const SETTLING: Duration = Duration::from_secs(1);

impl Store {
    /// Reads everything and answers what should not be. Writes nothing. Runs may be made, driven and removed meanwhile:
    /// each is looked at as of one instant.
    pub async fn fsck(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = self.strays().await?;
        if !findings.is_empty() {
            tokio::time::sleep(SETTLING).await;
            let still = self.strays().await?;
            findings.retain(|finding| still.contains(finding));
        }
        findings.extend(self.file().await?);
        let mut tokens = Tokens::new();
        let heads = self.runs(None, None, i64::MAX.unsigned_abs()).await?;
        // Oldest first, so that of two runs that collide the later one is named.
        for head in heads.into_iter().rev() {
            match self.load_with_tasks(&head.run_id).await {
                Ok((loaded, beside)) => findings.extend(run(loaded, &beside, &mut tokens)),
                Err(error) if error.kind == Kind::Corrupt => {
                    findings.push(finding(Some(&head.run_id), "unreadable", error.message));
                }
                // Retention has removed it since.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    /// What is wrong between tables.
    async fn strays(&self) -> Result<Vec<Finding>, Error> {
        let found = |mut row: Row<'_>| {
            let (kind, run_id) = (row.text()?, row.text()?);
            Ok(match kind.as_str() {
                "hold" => {
                    finding(Some(&run_id), "closed-hold", "it is closed, or gone, and still holds slots of a pool")
                }
                "lease" => finding(Some(&run_id), "closed-lease", "it is closed and still has a driver's lease"),
                "plan" => finding(Some(&run_id), "no-plan", "its plan is missing"),
                _ => finding(Some(&run_id), "no-run", "there are events of it but no run"),
            })
        };
        let crowd = |mut row: Row<'_>| {
            let (pool, held, size) = (row.text()?, row.number()?, row.number()?);
            Ok(finding(None, "crowded", format!("{held} slots of pool {pool} are taken, which has {size}")))
        };
        let strays = self.db.read(include_str!("../sql/fsck_strays.sql"), &[]).await?.into_iter().map(found);
        let crowds = self.db.read(include_str!("../sql/fsck_pools.sql"), &[]).await?.into_iter().map(crowd);
        strays.chain(crowds).collect()
    }

    /// What is wrong with the file.
    async fn file(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = vec![];
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

    /// A run, and what is kept of it beside the journal.
    async fn load_with_tasks(&self, run_id: &str) -> Result<(Loaded, Beside), Error> {
        let mut tx = self.db.snapshot().await?;
        let loaded = runs::load(&mut tx, run_id).await?;
        let row = |mut row: Row<'_>| {
            let task = row.text()?;
            let numbers = (row.text()?, row.number()?, row.flag()?, row.number_or_null()?, row.number_or_null()?);
            Ok((task, format!("{numbers:?}")))
        };
        let rows = tx.fetch(include_str!("../sql/fsck_tasks.sql"), &[run_id.into()]).await?;
        let tasks = rows.into_iter().map(row).collect::<Result<_, Error>>()?;
        let rows = tx.fetch(include_str!("../sql/fsck_holds.sql"), &[run_id.into()]).await?;
        let held = rows.into_iter().map(|mut row| Ok((row.text()?, row.text()?))).collect::<Result<_, Error>>()?;
        Ok((loaded, Beside { tasks, held }))
    }
}

fn finding(run_id: Option<&str>, kind: &'static str, message: impl Into<String>) -> Finding {
    Finding { run_id: run_id.map(str::to_owned), kind, message: message.into() }
}

/// What is wrong with one run.
fn run(loaded: Loaded, beside: &Beside, tokens: &mut Tokens) -> Vec<Finding> {
    let Beside { tasks, held } = beside;
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
    findings.extend(projection(&head, &run, &records, tasks).into_iter().map(|text| found("projection", text)));
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
