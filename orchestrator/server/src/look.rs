//! What is remembered, looked up: the same answers for the command line, which has the store before it, and for those
//! who ask over HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow::api::{Coming, Events, Lines, Runs, Times, Upcoming};
use flow::catalogue::Catalogue;
use flow::name::Miss;
use flow::plan::{Column, Plan};
use flow::run::{Crowd, Outlook, Record, Run, RunState, Worker};
use flow::schedule::Schedule;
use flow::view::{self, Head, Impact, Line, Lineage, Reason, Show, Ways, Why, rfc3339};
use flow::{Time, catalogue};
use store::Store;

use crate::hall::Present;
use crate::{Clock, Hall};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The store answers no more, or says no.
    Store(store::Error),
    /// A name means nothing here, or several things.
    Name(Miss),
    /// The cursor is none of ours.
    Cursor,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}

impl From<Miss> for Error {
    fn from(miss: Miss) -> Self {
        Error::Name(miss)
    }
}

/// Which runs.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub flow: Option<String>,
    pub state: Option<RunState>,
    pub limit: u32,
    /// Of an earlier page.
    pub cursor: Option<String>,
}

/// A page of runs, newest first. Runs that are made meanwhile move nothing.
pub async fn runs(store: &Store, which: &Which) -> Result<Runs, Error> {
    let before = match &which.cursor {
        Some(cursor) => place(cursor).ok_or(Error::Cursor)?,
        None => (Time::MAX, ""),
    };
    let limit = u64::from(which.limit);
    let mut heads = store.runs_before(before, which.flow.as_deref(), which.state, limit + 1).await?;
    let more = heads.len() as u64 > limit;
    heads.truncate(limit as usize);
    let last = heads.last().filter(|_| more);
    let next = last.map(|head| cursor(head.created_at, &head.run_id));
    Ok(Runs { runs: heads.iter().map(head).collect(), next })
}

/// Where a page ends with a run that was made at a time.
pub(crate) fn cursor(created_at: Time, run_id: &str) -> String {
    format!("{created_at}.{run_id}")
}

/// What a cursor of [`runs`] stands for: when the last one was made, and its id.
pub(crate) fn place(cursor: &str) -> Option<(Time, &str)> {
    let (created_at, run_id) = cursor.split_once('.')?;
    let plain = run_id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    Some((number(created_at)?, run_id)).filter(|_| plain && !run_id.is_empty())
}

fn number(cursor: &str) -> Option<u64> {
    let digits = cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|number: &u64| digits && i64::try_from(*number).is_ok())
}

/// The head of `show`.
fn head(head: &store::Head) -> Head {
    Head {
        run_id: head.run_id.clone(),
        flow: head.flow.clone(),
        state: head.state,
        params: head.params.clone(),
        logical_time: head.logical_time.map(rfc3339),
        created_at: rfc3339(head.created_at),
        started_at: head.started_at.map(rfc3339),
        finished_at: head.finished_at.map(rfc3339),
        error: head.error.clone(),
        retry_of: head.retry_of.clone(),
    }
}

/// The run that `reference` means, with its tasks.
pub async fn show(store: &Store, reference: &str) -> Result<Show, Error> {
    let (run, _, retry_of) = replayed(store, reference).await?;
    let durations_ms = store.durations(&run.plan().flow).await?;
    Ok(view::show(&run, retry_of).expecting(&durations_ms))
}

/// Why the run, or one of its tasks, is where it is. `hall` tells of the workers, where there is one.
pub async fn why(store: &Store, hall: Option<&Hall>, reference: &str, task: Option<&str>) -> Result<Why, Error> {
    let (run, records, _) = replayed(store, reference).await?;
    let outlook = outlook(store, hall, &run, Clock::system().now()).await?;
    let mut why = view::why(&run, &records, task, &outlook)?;
    if let Some(deserted) = deserted(store, &run).await? {
        why.reasons.insert(0, deserted);
    }
    if task.is_none() {
        why.reasons.extend(paused(store, &run.plan().flow).await?);
    }
    Ok(why)
}

/// That nothing goes on, if the run's process is gone.
async fn deserted(store: &Store, run: &Run) -> Result<Option<Reason>, store::Error> {
    if run.state().is_terminal() || store.abandoned().await?.iter().all(|head| head.run_id != run.id()) {
        return Ok(None);
    }
    let message = format!("the process that ran it is gone; `flowctl retry {}` closes it and does the rest", run.id());
    Ok(Some(Reason { kind: "deserted".into(), message, since: None, blocking: vec![], task: None }))
}

/// Why no run of the flow follows by itself, if its schedule is held.
pub(crate) async fn paused(store: &Store, flow: &str) -> Result<Option<Reason>, store::Error> {
    let is_paused = store.schedule(flow).await?.is_some_and(|standing| standing.paused);
    let message = format!("the schedule of flow `{flow}` is paused: no run follows until `flowctl resume {flow}`");
    let reason = Reason { kind: "paused".into(), message, since: None, blocking: vec![], task: None };
    Ok(Some(reason).filter(|_| is_paused))
}

/// What other runs have to do with it that a run, or a task of it, is where it is.
pub(crate) async fn outlook(store: &Store, hall: Option<&Hall>, run: &Run, now: Time) -> Result<Outlook, Error> {
    let plan = run.plan();
    if run.state().is_terminal() {
        return Ok(Outlook::default());
    }
    // Of a run that another server drives, only that one knows.
    let workers = hall.filter(|hall| hall.drives(run.id())).map(workers);
    let mut outlook = Outlook { now, took: store.took(&plan.flow).await?, workers, ..Outlook::default() };
    if run.state() == RunState::Queued && plan.limits.runs.is_some() {
        outlook.before = store.queued_behind(run).await?;
    }
    let needed: BTreeSet<String> = (0..plan.tasks.len()).flat_map(|id| plan.pools_of(id)).collect();
    for pool in needed {
        let holds = store.holds(&pool).await?;
        let holders = holds.iter().map(|hold| format!("{}/{}", hold.run_id, hold.task)).collect();
        let crowd = Crowd { size: store.pool_size(plan, &pool), holders };
        outlook.pools.insert(pool, crowd);
    }
    Ok(outlook)
}

/// Who can be given work.
fn workers(hall: &Hall) -> Vec<Worker> {
    let there = hall.look().workers.into_iter().filter(|worker| worker.slots > 0);
    there.map(|Present { name, labels, .. }| Worker { name, labels }).collect()
}

async fn replayed(store: &Store, reference: &str) -> Result<(Run, Vec<Record>, Option<String>), Error> {
    let loaded = store.load(&store.find(reference).await?).await?;
    let run = Run::replay(Arc::new(loaded.plan), &loaded.head.run_id, &loaded.records);
    Ok((run, loaded.records, loaded.head.retry_of))
}

/// What the run was to do.
pub async fn plan(store: &Store, reference: &str) -> Result<Plan, Error> {
    Ok(store.load(&store.find(reference).await?).await?.plan)
}

/// A page of the run's journal.
pub async fn events(store: &Store, reference: &str, cursor: Option<&str>, limit: u32) -> Result<Events, Error> {
    let after = cursor.map_or(Some(0), number).ok_or(Error::Cursor)?;
    let run_id = store.find(reference).await?;
    let records = store.events(&run_id, after, limit.into()).await?;
    let full = records.len() == limit as usize;
    let next = records.last().filter(|_| full).map(|last| last.seq.to_string());
    Ok(Events { events: records.iter().map(view::event).collect(), next, run_id })
}

/// Which lines of a run's log.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub task: Option<&'a str>,
    /// Of an earlier page, or the number of a line: those after it.
    pub cursor: Option<&'a str>,
    pub limit: u32,
}

/// A page of what the run's tasks said.
pub async fn logs(store: &Store, reference: &str, said: Said<'_>) -> Result<Lines, Error> {
    let after = said.cursor.map_or(Some(0), number).ok_or(Error::Cursor)?;
    let run_id = store.find(reference).await?;
    // Asked first: what is said after that is on a later page.
    let over = store.head(&run_id).await?.state.is_terminal();
    if let Some(task) = said.task.filter(|_| after == 0) {
        plan(store, &run_id).await?.find(task)?;
    }
    let lines = store.logs(&run_id, said.task, after, said.limit.into()).await?;
    let full = lines.len() == said.limit as usize;
    let next = lines.last().filter(|_| full).map(|last| last.number.to_string());
    let lines = lines.into_iter().map(|line| self::line(&run_id, line)).collect();
    Ok(Lines { run_id, lines, next, over })
}

/// A line as `flowctl logs` prints it.
pub(crate) fn line(run_id: &str, numbered: store::NumberedLine) -> Line {
    let store::NumberedLine { number, line: store::Line { task, attempt, at, stream, text } } = numbered;
    Line { run_id: run_id.to_owned(), number, task, attempt, at: rfc3339(at), stream, text }
}

/// Records that somebody wants the run to stop.
pub async fn cancel(store: &Store, reference: &str, by: &str, at: Time) -> Result<view::Event, Error> {
    let run_id = store.find(reference).await?;
    Ok(view::event(&store.request_cancel(&run_id, by, at).await?))
}

/// Where the columns of what `name` means come from.
pub async fn lineage(store: &Store, name: &str, ways: Ways) -> Result<Lineage, Error> {
    let catalogue = Catalogue::new(store.datasets().await?);
    let named = catalogue.resolve(name)?;
    let source = if catalogue.datasets.contains_key(&named.dataset) {
        vec![]
    } else {
        source(store, &catalogue, &named).await?
    };
    Ok(view::lineage(&catalogue, &named, source, ways))
}

/// The columns of a source, as a run that read it typed them.
pub(crate) async fn source(
    store: &Store,
    catalogue: &Catalogue,
    named: &catalogue::Named,
) -> Result<Vec<Column>, Error> {
    let Some(reader) = catalogue.reader(&named.dataset) else { return Ok(vec![]) };
    let sources = store.load(reader).await?.plan.sources;
    let source = sources.into_iter().find(|source| source.name == named.dataset);
    Ok(source.map(|source| source.columns).unwrap_or_default())
}

/// What breaks if what `name` means changes.
pub async fn impact(store: &Store, name: &str) -> Result<Impact, Error> {
    let catalogue = Catalogue::new(store.datasets().await?);
    let named = catalogue.resolve(name)?;
    Ok(view::impact(&catalogue, named, usize::MAX))
}

/// Of the times, oldest first, those for which no run of the plan's flow with its parameters has succeeded; with `again`
/// all of them.
pub async fn undone(store: &Store, plan: &Plan, times: &[Time], again: bool) -> Result<Times, Error> {
    let done: BTreeSet<Time> = match (times.first(), times.last()) {
        (Some(first), Some(last)) if !again => {
            let params = view::params(&plan.params);
            store.succeeded_at(&plan.flow, &params, *first, *last).await?.into_iter().collect()
        }
        _ => BTreeSet::new(),
    };
    let open = times.iter().filter(|time| !done.contains(time));
    let logical_times: Vec<String> = open.map(|time| rfc3339(*time)).collect();
    let left_out = times.len() - logical_times.len();
    Ok(Times { logical_times, left_out })
}

/// The times of a flow's schedule after `after`.
pub fn coming(flow: &str, schedule: &Schedule, paused: bool, after: Time, limit: u32) -> Coming {
    let upcoming = |at: Time| Upcoming {
        logical_time: rfc3339(at),
        scheduled_for: rfc3339(schedule.due(flow, at)),
        wall: schedule.wall(at),
    };
    let times = schedule.after(after).take(limit as usize).map(upcoming).collect();
    Coming { flow: flow.to_owned(), schedule: schedule.describe(), paused, times }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_ours_or_none() {
        assert_eq!(place("12.0193-ab"), Some((12, "0193-ab")));
        for wrong in ["", "12", "12.", ".x", "-1.x", "+1.x", "12.x'", "12.x\0", "99999999999999999999.x", "12.é"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        assert_eq!((number("7"), number("-7"), number("9223372036854775808")), (Some(7), None, None));
    }
}
