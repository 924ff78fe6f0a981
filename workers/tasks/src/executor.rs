//! Attempts of every kind of task.

use async_trait::async_trait;
use engine::Engine;
use flow::wire::{Assignment, Ending, Failure, Memory, Outcome};
use worker::{Context, Execute};

use crate::lanes::Lanes;
use crate::{command, data, sql};

/// Runs attempts with an engine, lanes for its queries, and the folders that commands need.
pub struct Executor {
    data: data::Lake,
    lanes: Lanes,
    folders: command::Folders,
}

impl Executor {
    /// An executor for tasks that read and write the engine's lake.
    pub fn new(engine: Engine, lanes: Lanes, folders: command::Folders) -> Executor {
        Executor { data: data::Lake { engine, lanes: lanes.clone() }, lanes, folders }
    }

    async fn sql(&self, assignment: &Assignment) -> Ending {
        let (engine, assignment) = (self.data.engine.clone(), assignment.clone());
        let ending = self.lanes.run(async move { sql::execute(&engine, &assignment).await });
        ending.await.unwrap_or_else(Ending::Failed)
    }

    async fn command(&self, assignment: &Assignment, cx: &Context) -> Result<Ending, Failure> {
        let settings = data::settings(&assignment.plan.tasks[assignment.task])?;
        if let Some(outcome) = self.cached(assignment).await? {
            return Ok(Ending::Succeeded(outcome));
        }
        Ok(command::execute(&settings, assignment, cx, &self.folders, &self.data).await)
    }

    /// What a command has published before, of the same inputs.
    async fn cached(&self, assignment: &Assignment) -> Result<Option<Outcome>, Failure> {
        if assignment.plan.tasks[assignment.task].output.is_none() {
            return Ok(None);
        }
        let (engine, assignment) = (self.data.engine.clone(), assignment.clone());
        let cached = self.lanes.run(async move {
            let fingerprint = engine.fingerprint(&assignment).await?;
            engine.reuse(&sql::publication(&engine, &assignment, fingerprint)?).await
        });
        cached.await?
    }
}

#[async_trait]
impl Execute for Executor {
    async fn execute(&self, assignment: &Assignment, cx: &Context) -> Ending {
        let task = &assignment.plan.tasks[assignment.task];
        match task.kind.as_str() {
            // A query holds no process: dropping it ends it.
            "sql" => tokio::select! {
                ending = self.sql(assignment) => ending,
                () = cx.stopped() => Ending::Cancelled,
            },
            "command" => self.command(assignment, cx).await.unwrap_or_else(Ending::Failed),
            "noop" => Ending::Succeeded(Default::default()),
            kind => Ending::Failed(Failure::internal(format!("this worker does not know the kind `{kind}`"))),
        }
    }

    fn lake(&self) -> Option<String> {
        Some(self.data.engine.lake_id().unwrap_or_default())
    }

    fn memory(&self) -> Option<Memory> {
        Some(self.data.engine.memory())
    }
}
