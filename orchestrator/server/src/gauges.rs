//! How things are at this moment, for whoever asks for metrics: in the store, in the hall, by the schedules.

use std::collections::BTreeMap;

use flow::wire::Memory;
use telemetry::exposition::{Family, Series};

use crate::service::Service;
use crate::ui;

/// The most series of one metric.
const SERIES_MAX: u64 = 2_000;

/// Reads all of it. What the store does not answer is left out.
pub(crate) async fn families(service: &Service) -> Vec<Family> {
    let mut all = vec![build(), workers(service)];
    all.extend(slots(service));
    all.extend(memory(service));
    match stored(service).await {
        Ok(stored) => all.extend(stored),
        Err(error) => tracing::debug!("metrics of the store are left out: failed to {error}"),
    }
    all
}

fn build() -> Family {
    let version = Series::new([("version", env!("CARGO_PKG_VERSION"))], 1.0);
    Family::gauge("flowctl_build_info", "Which version this is; always 1.", [version])
}

fn workers(service: &Service) -> Family {
    let mut counts = BTreeMap::from([("ready", 0), ("draining", 0), ("silent", 0)]);
    for worker in service.hall.look().workers {
        let state = match worker.slots {
            0 => "draining",
            _ if service.remotes.is_silent(&worker.name) => "silent",
            _ => "ready",
        };
        *counts.entry(state).or_insert(0) += 1;
    }
    let counts = counts.into_iter().map(|(state, count)| Series::new([("state", state)], f64::from(count)));
    Family::gauge("flowctl_workers", "Workers at this server, that in its process included.", counts)
}

fn slots(service: &Service) -> [Family; 1] {
    let workers = service.hall.look().workers;
    let (busy, all) = workers.iter().fold((0, 0), |(busy, all), it| (busy + it.busy, all + it.slots.max(it.busy)));
    let counts = [("busy", busy), ("free", all - busy)];
    let counts = counts.map(|(state, count)| Series::new([("state", state)], count as f64));
    [Family::gauge("flowctl_worker_slots", "Slots of the workers at this server.", counts)]
}

fn memory(service: &Service) -> Vec<Family> {
    let gauge = |name, help, bytes: u64| Family::gauge(name, help, [Series::new([], bytes as f64)]);
    let (here, there) = (service.compile.memory(), service.remotes.memory());
    let here = here.map(|Memory { held, limit }| {
        [
            gauge("flowctl_memory_bytes", "Memory that queries in this process hold.", held),
            gauge("flowctl_memory_limit_bytes", "Memory that queries in this process may hold.", limit),
        ]
    });
    let there = there.map(|Memory { held, limit }| {
        [
            gauge("flowctl_workers_memory_bytes", "Memory that queries at workers elsewhere hold together.", held),
            gauge("flowctl_workers_memory_limit_bytes", "Memory that queries at workers elsewhere may hold.", limit),
        ]
    });
    here.into_iter().chain(there).flatten().collect()
}

async fn stored(service: &Service) -> Result<Vec<Family>, store::Error> {
    let open = service.store.open_by_flow(SERIES_MAX).await?;
    let open = open.iter().map(|(flow, state, count)| {
        let state = if *state == flow::run::RunState::Queued { "queued" } else { "running" };
        Series::new([("flow", flow), ("state", state)], *count as f64)
    });
    let newest = service.store.newest().await?;
    let published = newest.iter().filter(|(_, newest)| newest.version.is_some()).take(SERIES_MAX as usize);
    let published = published.map(|(dataset, newest)| Series::new([("dataset", dataset)], seconds(newest.at)));
    let mut all = vec![
        Family::gauge("flowctl_runs_open", "Runs that have not ended.", open),
        Family::gauge(
            "flowctl_dataset_published_timestamp_seconds",
            "When the newest version was published, since the epoch.",
            published,
        ),
        schedules(service).await?,
    ];
    all.extend(pools(service).await?);
    Ok(all)
}

async fn schedules(service: &Service) -> Result<Family, store::Error> {
    let standings = service.store.schedules().await?;
    let next = service.known_flows().into_iter().filter_map(|flow| {
        let standing = standings.get(&flow.name).filter(|standing| !standing.paused)?;
        let due = flow.schedule.as_ref()?.next_due(&flow.name, standing.handled)?;
        Some(Series::new([("flow", &flow.name)], seconds(due)))
    });
    let help = "When the next run by schedule is due, since the epoch; paused flows are left out.";
    Ok(Family::gauge("flowctl_schedule_next_timestamp_seconds", help, next))
}

async fn pools(service: &Service) -> Result<[Family; 3], store::Error> {
    let holds = service.store.all_holds().await?;
    let waiting = service.store.waiting_by_pool().await?;
    let mut sizes: BTreeMap<String, u32> = service.store.pools().clone();
    sizes.extend(ui::own_limits(service));
    let of = |pool: &str, count: f64| Series::new([("pool", pool)], count);
    let used = sizes.keys().map(|pool| of(pool, holds.get(pool).map_or(0, Vec::len) as f64));
    let waits = sizes.keys().map(|pool| of(pool, waiting.get(pool).copied().unwrap_or_default() as f64));
    Ok([
        Family::gauge(
            "flowctl_pool_slots",
            "Slots of a pool.",
            sizes.iter().map(|(pool, size)| of(pool, (*size).into())),
        ),
        Family::gauge("flowctl_pool_slots_used", "Slots of a pool that are held.", used),
        Family::gauge("flowctl_pool_runs_waiting", "Runs with attempts that wait for a slot of a pool.", waits),
    ])
}

fn seconds(at: flow::Time) -> f64 {
    at as f64 / 1_000.0
}
