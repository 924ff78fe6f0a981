//! Runs whose process died.

use flow::run::{Event, Record, Run, RunState};
use store::{Kind, Store};
use telemetry::Watch;

use crate::{Clock, Error};

/// Closes, as failed, every run whose `flowctl run` has ended without closing it. Answers them as closed, so
/// that the caller may end what their processes left behind.
///
/// # Errors
///
/// When the store cannot be read or written.
pub async fn close(store: &Store, clock: &Clock) -> Result<Vec<Run>, Error> {
    let mut closed = vec![];
    for head in store.abandoned().await? {
        if let Some(run) = close_one(store, clock, &head.run_id).await? {
            closed.push(run);
        }
    }
    Ok(closed)
}

/// Whether the run was closed so.
pub fn was(run: &Run) -> bool {
    run.error().is_some_and(|error| error == why(run.id()))
}

fn why(run_id: &str) -> String {
    format!("the process that ran it ended; flowctl retry {run_id}")
}

/// `None` when somebody else was faster.
pub(crate) async fn close_one(store: &Store, clock: &Clock, run_id: &str) -> Result<Option<Run>, Error> {
    let loaded = store.load(run_id).await?;
    let mut run = Run::replay(loaded.plan.into(), run_id, &loaded.records);
    let event = Event::RunClosed { state: RunState::Failed, error: Some(why(run_id)) };
    let record = Record { run_id: run_id.to_owned(), seq: loaded.head.seq + 1, at: clock.now(), event };
    if run.apply(&record).is_err() {
        return Ok(None);
    }
    let mut watch = Watch::new(&run, &loaded.records);
    match store.append(&run, vec![record]).await {
        Ok(closed) => {
            watch.hear(&run, &closed);
            Ok(Some(run))
        }
        Err(error) if error.kind == Kind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}
