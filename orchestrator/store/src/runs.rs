//! Runs: made, loaded, listed, found, asked to stop.

use flow::Time;
use flow::api::Once;
use flow::plan::{Own, Plan};
use flow::run::{Event, Record, Run, RunState};
use flow::wire::{PinnedFile, Pins};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::db::{Db, Tx};
use crate::error::{Error, Kind};
use crate::row::{Arg, Row, word};
use crate::{Key, Store, append, keys, leases};

/// Who drives a run, and so who may take it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `flowctl run`, in its own process. Nobody takes it over: when the process is gone, the run has failed.
    Run,
    /// A service on demand.
    Service,
    /// A service by the flow's schedule; at most one run per flow and logical time.
    Schedule,
}

/// A run to be made: what its state does not say.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    pub pins: &'a Pins,
    pub created_at: Time,
    pub origin: Origin,
    /// Whether unchanged tasks run all the same.
    pub force: bool,
    pub retry_of: Option<&'a str>,
    /// Who drives the run from the start, and for how long without a word. `None`: whoever takes it.
    pub lease: Option<(&'a str, u64)>,
    /// What the client that asks for the run calls it: asking again makes no second one.
    pub key: Option<&'a Key>,
    /// When another run for the same flow, logical time, parameters and selection stands for it. `None`: never.
    pub once: Option<Once>,
    /// The move of the flow's schedule that makes the run, from the time decided last to its own.
    pub turn: Option<(Time, Time)>,
}

impl<'a> NewRun<'a> {
    /// One that nobody drives yet and of which nothing else is to be said.
    pub fn of(pins: &'a Pins, created_at: Time, origin: Origin) -> Self {
        let (force, retry_of, lease, key, once, turn) = (false, None, None, None, None, None);
        NewRun { pins, created_at, origin, force, retry_of, lease, key, once, turn }
    }
}

/// Whether a run was made.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It was; here are its first events as recorded, with their publish tokens.
    New(Vec<Record>),
    /// A scheduled run of this flow and logical time existed, one of this key, or one that stands for it, which the key
    /// names from now on.
    Existing { run_id: String },
}

/// A run without its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub run_id: String,
    pub flow: String,
    /// Typed JSON values by name.
    pub params: Map<String, Value>,
    pub logical_time: Option<Time>,
    pub origin: Origin,
    pub force: bool,
    pub retry_of: Option<String>,
    pub created_at: Time,
    /// The number of the last event.
    pub seq: u64,
    pub state: RunState,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub error: Option<String>,
}

/// A run with everything that is needed to fold it again.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub head: Head,
    pub plan: Plan,
    pub pins: Pins,
    pub records: Vec<Record>,
}

impl Store {
    /// Makes durable, in one transaction: the run, its plan and the plan's lineage (each once per
    /// plan), its first events with what follows from them, and its driver's lease. `run` is the
    /// state with the records applied.
    ///
    /// # Errors
    ///
    /// [`Kind::Conflict`] if somebody else has moved the schedule meanwhile, [`Kind::KeyTaken`] if the key was used for
    /// another request; nothing was written.
    pub async fn create(&self, new: &NewRun<'_>, run: &Run, records: Vec<Record>) -> Result<Created, Error> {
        let mut tx = self.db.begin().await?;
        if let Some(key) = new.key
            && let Some(run_id) = keys::take(&mut tx, key, run.id()).await?
        {
            return Ok(Created::Existing { run_id });
        }
        if let Some(once) = new.once
            && let Some(run_id) = keys::stand_in(&mut tx, run, once).await?
        {
            keys::hand_over(&mut tx, run.id(), &run_id).await?;
            tx.commit().await?;
            return Ok(Created::Existing { run_id });
        }
        let (hash, own) = insert_plan(&mut tx, run.plan(), self.plan_exists()).await?;
        if insert_run(&mut tx, new, run, &hash, &own, records.len() as u64).await? == 0 {
            drop(tx);
            return self.existing(run).await;
        }
        if let Some((from, to)) = new.turn {
            let args = [run.plan().flow.as_str().into(), from.into(), to.into()];
            if tx.execute(include_str!("../sql/schedule_advance.sql"), &args).await? == 0 {
                let message = format!("make a run of `{}`: another server decides its times", run.plan().flow);
                return Err(Error::new(Kind::Conflict, message));
            }
        }
        let records = append::write(&mut tx, &self.pools, run, records).await?;
        if let Some((holder, lease_ms)) = new.lease {
            leases::take(&mut tx, run.id(), holder, lease_ms).await?;
        }
        tx.commit().await?;
        Ok(Created::New(records))
    }

    fn plan_exists(&self) -> &'static str {
        match self.db {
            Db::Sqlite { .. } => include_str!("../sql/plan_exists.sqlite.sql"),
            Db::Postgres { .. } => include_str!("../sql/plan_exists.postgres.sql"),
        }
    }

    async fn existing(&self, run: &Run) -> Result<Created, Error> {
        let args = [run.plan().flow.as_str().into(), run.plan().logical_time.into()];
        match self.db.read(include_str!("../sql/scheduled.sql"), &args).await?.into_iter().next() {
            Some(mut row) => Ok(Created::Existing { run_id: row.text()? }),
            None => Err(Error::new(Kind::Conflict, format!("make the run {}: it exists", run.id()))),
        }
    }

    /// The run with its plan, what it pinned, and its journal from the first event on, all as of one instant.
    pub async fn load(&self, run_id: &str) -> Result<Loaded, Error> {
        load(&mut self.db.snapshot().await?, run_id).await
    }

    /// The run without plan and journal.
    pub async fn head(&self, run_id: &str) -> Result<Head, Error> {
        let rows = self.db.read(include_str!("../sql/head.sql"), &[run_id.into()]).await?;
        rows.into_iter().next().map_or_else(|| Err(not_found(run_id)), head)
    }

    /// The events after number `after`, in order.
    pub async fn tail(&self, run_id: &str, after: u64) -> Result<Vec<Record>, Error> {
        self.events(run_id, after, u64::MAX).await
    }

    /// The events after number `after`, in order, at most `limit`.
    pub async fn events(&self, run_id: &str, after: u64, limit: u64) -> Result<Vec<Record>, Error> {
        let args = [run_id.into(), after.into(), limit.into()];
        records(run_id, self.db.read(include_str!("../sql/tail.sql"), &args).await?)
    }

    /// Runs, newest first, at most `limit`, of one flow or state if asked.
    pub async fn runs(&self, flow: Option<&str>, state: Option<RunState>, limit: u64) -> Result<Vec<Head>, Error> {
        self.runs_before((Time::MAX, ""), flow, state, limit).await
    }

    /// As [`Store::runs`], those that come after the one that was made at a time and has an id.
    pub async fn runs_before(
        &self,
        (created_at, run_id): (Time, &str),
        flow: Option<&str>,
        state: Option<RunState>,
        limit: u64,
    ) -> Result<Vec<Head>, Error> {
        let state = state.map(word).unwrap_or_default();
        let [state, limit, at, id] = [state.into(), limit.into(), created_at.into(), run_id.into()];
        let rows = match flow {
            // By an index of its own, which a condition that may be empty would miss.
            Some(flow) => {
                self.db.read(include_str!("../sql/list_of_flow.sql"), &[state, limit, at, id, flow.into()]).await?
            }
            None => self.db.read(include_str!("../sql/list.sql"), &[state, limit, at, id]).await?,
        };
        rows.into_iter().map(head).collect()
    }

    /// What the last `limit` runs of a flow pinned, together; of a file that several read, what the newest saw.
    pub async fn pins(&self, flow: &str, limit: u64) -> Result<Pins, Error> {
        let mut pins = Pins::default();
        for mut row in self.db.read(include_str!("../sql/pins.sql"), &[flow.into(), limit.into()]).await? {
            let older: Pins = row.json()?;
            for (source, files) in older.sources {
                let known = pins.sources.entry(source).or_default();
                let is_new = |file: &PinnedFile| known.iter().all(|other| other.path != file.path);
                let new: Vec<PinnedFile> = files.into_iter().filter(is_new).collect();
                known.extend(new);
            }
        }
        Ok(pins)
    }

    /// The id of the run that `reference` means: an id, the beginning of exactly one, or `latest`.
    pub async fn find(&self, reference: &str) -> Result<String, Error> {
        if reference == "latest" {
            let newest = self.runs(None, None, 1).await?.into_iter().next();
            return newest.map(|head| head.run_id).ok_or_else(|| not_found(reference));
        }
        let mut rows = self.db.read(include_str!("../sql/find.sql"), &[reference.into()]).await?;
        match (rows.pop(), rows.pop()) {
            (Some(mut row), None) if !reference.is_empty() => row.text(),
            (None, _) => Err(match made_at(reference) {
                Some(at) if at <= self.removed_until().await? => removed(reference, at),
                _ => not_found(reference),
            }),
            _ => Err(Error::new(Kind::Refused, format!("tell which run `{reference}` is: several begin like that"))
                .hint("give more of the run's id; `flowctl runs` lists them")),
        }
    }

    /// Records that somebody wants the run to stop. Its driver sees it in the tail.
    pub async fn request_cancel(&self, run_id: &str, by: &str, at: Time) -> Result<Record, Error> {
        let mut tx = self.db.begin().await?;
        let rows = tx.fetch(include_str!("../sql/cancel.sql"), &[run_id.into()]).await?;
        let Some(mut row) = rows.into_iter().next() else {
            drop(tx);
            let state = word(self.head(run_id).await?.state);
            return Err(Error::new(Kind::Refused, format!("cancel run {run_id}: it is {state}")));
        };
        let event = Event::CancelRequested { by: by.into() };
        let record = Record { run_id: run_id.into(), seq: row.number()?, at, event };
        append::insert_events(&mut tx, std::slice::from_ref(&record)).await?;
        tx.commit().await?;
        Ok(record)
    }
}

/// As [`Store::load`], within a transaction that reads.
pub(crate) async fn load(tx: &mut Tx<'_>, run_id: &str) -> Result<Loaded, Error> {
    let rows = tx.fetch(include_str!("../sql/head.sql"), &[run_id.into()]).await?;
    let head = rows.into_iter().next().map_or_else(|| Err(not_found(run_id)), head)?;
    let rows = tx.fetch(include_str!("../sql/body.sql"), &[run_id.into()]).await?;
    let Some(mut row) = rows.into_iter().next() else {
        return Err(Error::corrupt(tx.place(), format!("run {run_id} has no plan")));
    };
    let (body, own, pins) = (row.json::<Plan>()?, row.json_or_default::<Option<Own>>()?, row.json()?);
    let plan = match own {
        Some(own) => body.with_own(own),
        None => body,
    };
    let rows = tx.fetch(include_str!("../sql/tail.sql"), &[run_id.into(), 0_u64.into(), u64::MAX.into()]).await?;
    Ok(Loaded { head, plan, pins, records: records(run_id, rows)? })
}

fn records(run_id: &str, rows: Vec<Row<'_>>) -> Result<Vec<Record>, Error> {
    let record = |mut row: Row<'_>| {
        Ok(Record { run_id: run_id.into(), seq: row.number()?, at: row.number()?, event: row.json()? })
    };
    rows.into_iter().map(record).collect()
}

/// Answers the hash of what the run shares with others, and what it has of its own.
async fn insert_plan(tx: &mut Tx<'_>, plan: &Plan, exists: &'static str) -> Result<(String, Own), Error> {
    let reads: Vec<[Arg<'_>; 2]> =
        plan.externals.iter().map(|dataset| [dataset.as_str().into(), plan.flow.as_str().into()]).collect();
    tx.bulk(include_str!("../sql/readers_insert.sql"), &reads).await?;
    let mut shared = plan.clone();
    let own = shared.take_own();
    let body = json(&shared)?;
    drop(shared);
    let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
    if !tx.fetch(exists, &[hash.as_str().into()]).await?.is_empty() {
        return Ok((hash, own));
    }
    let args = [hash.as_str().into(), plan.flow.as_str().into(), body.into()];
    tx.execute(include_str!("../sql/plan_insert.sql"), &args).await?;
    let outputs = plan.tasks.iter().filter_map(|task| task.output.as_ref());
    let row = |output: &flow::plan::Output| {
        Ok([hash.clone().into(), output.dataset.clone().into(), json(&output.columns)?.into()])
    };
    let rows: Vec<[Arg<'_>; 3]> = outputs.map(row).collect::<Result<_, Error>>()?;
    tx.bulk(include_str!("../sql/lineage_insert.sql"), &rows).await?;
    Ok((hash, own))
}

async fn insert_run(
    tx: &mut Tx<'_>,
    new: &NewRun<'_>,
    run: &Run,
    hash: &str,
    own: &Own,
    seq: u64,
) -> Result<u64, Error> {
    let plan = run.plan();
    let args = [
        run.id().into(),
        plan.flow.as_str().into(),
        hash.into(),
        json(new.pins)?.into(),
        json(&flow::view::params(&plan.params))?.into(),
        plan.logical_time.into(),
        word(new.origin).into(),
        new.force.into(),
        new.retry_of.into(),
        new.created_at.into(),
        seq.into(),
        word(run.state()).into(),
        run.started_at().into(),
        run.finished_at().into(),
        run.error().into(),
        json(own)?.into(),
        plan.selection.as_deref().into(),
    ];
    tx.execute(include_str!("../sql/create.sql"), &args).await
}

/// Reads what `head.sql`, `list.sql` and `abandoned.sql` select.
pub(crate) fn head(mut row: Row<'_>) -> Result<Head, Error> {
    Ok(Head {
        run_id: row.text()?,
        flow: row.text()?,
        params: row.json()?,
        logical_time: row.number_or_null()?,
        origin: row.word()?,
        force: row.flag()?,
        retry_of: row.text_or_null()?,
        created_at: row.number()?,
        seq: row.number()?,
        state: row.word()?,
        started_at: row.number_or_null()?,
        finished_at: row.number_or_null()?,
        error: row.text_or_null()?,
    })
}

fn not_found(reference: &str) -> Error {
    Error::new(Kind::NotFound, format!("find run `{reference}`")).hint("`flowctl runs` lists the runs")
}

/// When the run of an id was made: ids are of UUID's version 7 and begin with the time. `None` if too little is given.
fn made_at(reference: &str) -> Option<Time> {
    let digits: String = reference.chars().filter(|letter| *letter != '-').take(13).collect();
    let is_seven = digits.chars().nth(12).is_none_or(|version| version == '7');
    u64::from_str_radix(digits.get(..12).filter(|_| is_seven)?, 16).ok()
}

fn removed(reference: &str, at: Time) -> Error {
    let at = flow::view::rfc3339(at);
    Error::new(Kind::NotFound, format!("find run `{reference}`: retention has removed runs as old as it, of {at}"))
        .hint("`keep` in the flow and in flowctl.toml say how long runs are kept; `flowctl runs` lists those that are")
}

pub(crate) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(Kind::Internal, format!("write as JSON: {error}")))
}
