//! A run in this process: store, driver, slots and executor, wired together.
//!
//! It is the same driver and the same worker that a service has, over channels instead of HTTP.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::Engine;
use flow::plan::Plan;
use flow::run::{Run, RunState};
use flow::trace;
use flow::wire::{Failure, Outcome, Pins, Whose};
use server::driver::LEASE_MS;
use server::{Clock, Hall, NewRun, Seat};
use store::{Origin, Store};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::progress::Progress;
use crate::settings::Settings;
use crate::slots::{Plant, Workshop};
use crate::{interrupt, place, print};

/// How many runs of a flow are searched for files that have not changed since.
const PINS_REMEMBERED: u64 = 8;
/// How long queries that were dropped may take to remove what they wrote.
const QUERIES_LINGER: Duration = Duration::from_secs(3);
/// How long what a dead process left behind may take to end.
pub const LEFTOVERS_GRACE: Duration = Duration::from_secs(5);

/// A run to be made.
pub struct Order {
    pub plan: Plan,
    /// When its compilation began and ended.
    pub compiled: (SystemTime, SystemTime),
    pub force: bool,
    pub retry_of: Option<String>,
    pub adopted: Vec<(String, Outcome)>,
}

/// Opens the store for a command that changes the lake, too, which is to be that of the servers.
pub async fn open_to_write(cx: &Context) -> Result<Store, Error> {
    let store = open(cx).await?;
    share_lake(cx, &store).await?;
    Ok(store)
}

/// Refuses another lake than that of a server that works now.
pub async fn share_lake(cx: &Context, store: &Store) -> Result<(), Error> {
    if store.is_served().await? {
        let engine = cx.engine()?;
        reach(&engine).await?;
        store.share_lake(engine.lake_id().as_deref()).await?;
    }
    Ok(())
}

/// Opens the store to write. Runs whose process died are closed first.
pub async fn open(cx: &Context) -> Result<Store, Error> {
    let store = cx.store().await?;
    close_abandoned(cx, &store).await?;
    Ok(store)
}

/// Closes runs whose process died, and says so. Answers them.
pub async fn close_abandoned(cx: &Context, store: &Store) -> Result<Vec<Run>, Error> {
    let closed = server::abandoned::close(store, &Clock::system()).await?;
    for run in &closed {
        print::note(&format!("run {} of flow `{}` is closed as failed: its process ended", run.id(), run.plan().flow));
        let scratch = folders(cx.settings()?).scratch;
        if let Err(error) = tasks::command::end_leftovers(&scratch, run.id(), LEFTOVERS_GRACE).await {
            tracing::warn!("failed to end what run {} left behind: {error}", run.id());
        }
    }
    Ok(closed)
}

/// Fixes what the plan reads from outside.
pub async fn pin(engine: &Engine, plan: &Plan, store: Option<&Store>) -> Result<Pins, Error> {
    let known = match store {
        Some(store) => pinned_before(store, plan).await?,
        None => Pins::default(),
    };
    pin_knowing(engine, plan, &known).await
}

/// What the flow's last runs pinned.
pub async fn pinned_before(store: &Store, plan: &Plan) -> Result<Pins, store::Error> {
    store.pins(&plan.flow, PINS_REMEMBERED).await
}

/// As [`pin`]; files that stand still since they were pinned before are not read again.
pub async fn pin_knowing(engine: &Engine, plan: &Plan, known: &Pins) -> Result<Pins, Error> {
    engine.pin(plan, known).await.map_err(|error| match error {
        engine::Error::NotFound(message) => Error::not_found(message).hint(match plan.selection {
            Some(_) => "a `+` before a task's name selects what the task needs, too: `--select +NAME`",
            None => "run the flow that publishes it first",
        }),
        engine::Error::Failed(failure) => failed(failure),
        error => error.into(),
    })
}

/// Whether the lake can be used at all: to learn it from the first task would be late.
pub async fn ready(settings: &Settings, engine: &Engine) -> Result<(), Error> {
    if settings.lake.contains("://") {
        return reach(engine).await;
    }
    let lake = Path::new(&settings.lake);
    let made = std::fs::create_dir_all(lake).map_err(|error| error.to_string());
    made.and_then(|()| place::writable(lake)).map_err(|why| {
        Error::new(Exit::Unreachable, format!("the lake {} cannot be written: {why}", settings.lake))
            .hint("--lake, FLOWCTL_LAKE or `lake` in flowctl.toml say where it is")
    })
}

/// Whether a lake in an object store answers.
pub async fn reach(engine: &Engine) -> Result<(), Error> {
    engine.reach_lake().await.map_err(|error| {
        Error::from(error)
            .hint("AWS_ENDPOINT_URL, AWS_REGION and AWS_ACCESS_KEY_ID, or those of GOOGLE or AZURE, say how to get in")
    })
}

/// A failure outside any attempt.
pub fn failed(failure: Failure) -> Error {
    let exit = match failure.whose {
        Whose::User => Exit::Failed,
        Whose::External | Whose::Internal => Exit::Unreachable,
    };
    Error::new(exit, failure.message)
}

/// Runs to the end, attempts on `cores`, and tells how it went.
pub async fn run(cx: &Context, cores: Handle, engine: Engine, store: Store, order: Order) -> Result<Exit, Error> {
    let settings = cx.settings()?;
    ready(settings, &engine).await?;
    let plan = Arc::new(order.plan);
    let pins = pin(&engine, &plan, Some(&store)).await?;
    let run_id = uuid::Uuid::now_v7().to_string();
    let caller = std::env::var("TRACEPARENT").ok().and_then(|header| trace::parse_parent(&header));
    telemetry::compiled(
        &run_id,
        &plan.flow,
        order.compiled,
        caller.into_iter().chain(order.retry_of.as_deref().map(trace::place)),
    );
    let new = NewRun {
        run_id: run_id.clone(),
        pins: Arc::new(pins),
        origin: Origin::Run,
        once: None,
        force: order.force,
        retry_of: order.retry_of.clone(),
        adopted: order.adopted,
        durations_ms: store.durations(&plan.flow).await?,
        plan: plan.clone(),
    };
    let store = Arc::new(store);
    let cancel = interrupt::listen(folders(settings).scratch, run_id.clone())?;
    let mut progress = Progress::new(cx.json(), &plan, &run_id);
    let hall = Hall::for_one_run();
    let desk = hall.drive(&run_id);
    let holder = format!("{}/{run_id}", std::process::id());
    let workshop = Workshop::open(hall, &holder, plant(cx, &engine, &store, cores)?);
    let mut observer = |run: &Run, records: &[flow::run::Record]| progress.observe(run, records);
    let (journal, clock, lease_ms) = (&*store, &Clock::system(), LEASE_MS);
    let seat = Seat { journal, clock, desk, cancel, observer: &mut observer, holder: &holder, lease_ms };
    let driven = server::drive(new, seat).await;
    workshop.close(Duration::ZERO).await;
    // Those that do not yield leave it to `fsck --repair`.
    let _ = timeout(QUERIES_LINGER, engine.settled()).await;
    let durations_ms = match cx.json() {
        // What cannot be learned now is left out.
        true => store.durations(&plan.flow).await.unwrap_or_default(),
        false => HashMap::new(),
    };
    progress.finish(order.retry_of, durations_ms);
    let run = driven.map_err(|error| lost(error, &run_id))?;
    progress.summary(&run)?;
    Ok(match run.state() {
        RunState::Succeeded => Exit::Done,
        RunState::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    })
}

fn lost(error: server::Error, run_id: &str) -> Error {
    let hint = format!("when that is cured: flowctl retry {run_id}");
    match Error::from(error) {
        Error::Told { exit, message, hint: None } => Error::Told { exit, message, hint: Some(hint) },
        other => other,
    }
}

/// What the worker slots of this process are made of.
pub fn plant(cx: &Context, engine: &Engine, store: &Arc<Store>, cores: Handle) -> Result<Plant, Error> {
    let settings = cx.settings()?;
    let executor = Arc::new(tasks::Executor::new(engine.clone(), cx.lanes(), folders(settings)));
    Ok(Plant { store: store.clone(), executor, cores, slots: settings.slots, labels: None })
}

/// Where commands find and leave files.
pub fn folders(settings: &Settings) -> tasks::command::Folders {
    let ours = settings.ours();
    tasks::command::Folders { scratch: ours.join("scratch"), artifacts: ours.join("artifacts") }
}
