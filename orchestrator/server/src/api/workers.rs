//! What workers on other machines say.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use flow::wire::{Beat, Handout, Line, Orders, Received, Registration, Report, WIRE, Wait, Welcome, Work};

use super::Shared;
use super::answer::{Done, Maybe};
use super::problem::Problem;
use super::request::{Body, List, Name};
use crate::hall::Receipt;
use crate::remotes::{LEASE, Namesake};

/// The longest that a claim or a beat waits.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The most slots that one worker may have.
const SLOTS_MAX: usize = 1024;

pub(super) async fn register(
    State(service): Shared,
    Body(registration): Body<Registration>,
) -> Result<Json<Welcome>, Problem> {
    let Registration { wire, worker, slots, .. } = &registration;
    if *wire != WIRE {
        let detail =
            format!("the worker speaks version {wire} of the protocol, this server {WIRE}: use the same flowctl");
        return Err(Problem::conflict(detail));
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@".contains(letter);
    if worker.is_empty() || worker.len() > 128 || !worker.chars().all(plain) {
        return Err(Problem::bad("a worker's name has up to 128 letters, digits, or any of -_.:@"));
    }
    if !(1..=SLOTS_MAX).contains(slots) {
        return Err(Problem::bad(format!("a worker has between 1 and {SLOTS_MAX} slots, not {slots}")));
    }
    if let (Some(ours), Some(theirs)) = (&service.lake, &registration.lake)
        && ours != theirs
    {
        let detail = "the worker's lake is not the one of this server, so what it published nobody would find";
        let hint = "--lake, FLOWCTL_LAKE or `lake` in flowctl.toml name it, on every machine the same".to_owned();
        return Err(Problem::conflict(detail).hint(Some(hint)));
    }
    service.remotes.register(&registration).map_err(|Namesake| {
        let hint = "give each worker a --name of its own".to_owned();
        Problem::conflict(format!("a worker called `{worker}` is here and lives")).hint(Some(hint))
    })?;
    Ok(Json(Welcome { lease_ms: LEASE.as_millis() as u64 }))
}

pub(super) async fn claim(
    State(service): Shared,
    Name(worker): Name,
    Body(Wait { wait_ms }): Body<Wait>,
) -> Result<Maybe<Handout>, Problem> {
    let wait = Duration::from_millis(wait_ms).min(WAIT_MAX);
    Ok(Maybe(service.remotes.claim(&worker, wait).await?))
}

pub(super) async fn beat(
    State(service): Shared,
    Name(worker): Name,
    Body(beat): Body<Beat>,
) -> Result<Json<Orders>, Problem> {
    let wait = Duration::from_millis(beat.wait_ms).min(WAIT_MAX);
    Ok(Json(service.remotes.beat(&worker, &beat, wait).await?))
}

pub(super) async fn report(
    State(service): Shared,
    Name(worker): Name,
    Body(report): Body<Report>,
) -> Result<Json<Received>, Problem> {
    Ok(Json(match service.remotes.report(&worker, &report.id, report.ending).await? {
        Receipt::Recorded => Received::Recorded,
        Receipt::Stale => Received::Stale,
        // Whoever takes the run over does not know of the attempt either.
        Receipt::Unheard => Received::Unheard,
    }))
}

pub(super) async fn log(State(service): Shared, Name(_worker): Name, List(lines): List<Line>) -> Result<Done, Problem> {
    let mut by_run: BTreeMap<String, Vec<store::Line>> = BTreeMap::new();
    for line in lines {
        let Line { run_id, task, attempt, at, stream, text } = line;
        by_run.entry(run_id).or_default().push(store::Line { task, attempt, at, stream: stream.name().into(), text });
    }
    for run_id in by_run.keys() {
        service.store.head(run_id).await?;
    }
    for (run_id, lines) in by_run {
        service.store.log(&run_id, &lines).await?;
    }
    Ok(Done)
}

pub(super) async fn leave(State(service): Shared, Name(worker): Name) -> Done {
    service.remotes.leave(&worker);
    Done
}

pub(super) async fn work(State(service): Shared, Name(run): Name) -> Result<Json<Work>, Problem> {
    let loaded = service.store.load(&run).await?;
    Ok(Json(Work { plan: loaded.plan.into(), pins: loaded.pins.into() }))
}
