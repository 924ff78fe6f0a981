//! How data comes to a command and goes from it: folders of Parquet in, files out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use engine::Engine;
use flow::plan::Column;
use flow::spec::Format;
use flow::wire::{Assignment, Failure, Outcome};
use worker::Context;

use crate::lanes::Lanes;
use crate::{command, inputs, sql};

/// A command's ties to the lake.
#[derive(Clone)]
pub(crate) struct Lake {
    pub engine: Engine,
    pub lanes: Lanes,
}

#[async_trait]
impl command::Data for Lake {
    async fn stage(
        &self,
        assignment: &Assignment,
        _cx: &Context,
        folder: &Path,
    ) -> Result<BTreeMap<String, PathBuf>, Failure> {
        self.staged(assignment, folder).await
    }

    async fn publish(&self, assignment: &Assignment, _cx: &Context, files: Vec<PathBuf>) -> Result<Outcome, Failure> {
        self.published(assignment, files).await
    }
}

impl Lake {
    async fn staged(&self, assignment: &Assignment, folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
        let settings: command::Settings = settings(&assignment.plan.tasks[assignment.task])?;
        if settings.inputs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (lake, assignment, folder) = (self.clone(), assignment.clone(), folder.to_owned());
        self.lanes.run(async move { lake.stage_inputs(settings.inputs, &assignment, &folder).await }).await?
    }

    async fn published(&self, assignment: &Assignment, files: Vec<PathBuf>) -> Result<Outcome, Failure> {
        let (lake, assignment) = (self.clone(), assignment.clone());
        self.lanes.run(async move { lake.publish_files(&assignment, files).await }).await?
    }

    async fn stage_inputs(
        &self,
        names: Vec<String>,
        assignment: &Assignment,
        folder: &Path,
    ) -> Result<BTreeMap<String, PathBuf>, Failure> {
        let session = inputs::session(&self.engine, assignment).await?;
        let mut staged = BTreeMap::new();
        for name in names {
            let path = folder.join(&name);
            session.export(&name, &path).await?;
            staged.insert(name, path);
        }
        Ok(staged)
    }

    async fn publish_files(&self, assignment: &Assignment, files: Vec<PathBuf>) -> Result<Outcome, Failure> {
        let task = &assignment.plan.tasks[assignment.task];
        if files.is_empty() {
            let why = "the command left no file in FLOWCTL_OUTPUT_DIR, so the dataset stays as it was; no rows are a file \
                without rows, and exit code 99 says that there is nothing to do";
            return Err(Failure::user(why));
        }
        let settings = settings(task)?;
        let format = settings.format.unwrap_or(Format::Parquet);
        let columns: Vec<Column> = task
            .output
            .iter()
            .flat_map(|output| &output.columns)
            .map(|column| Column { name: column.name.clone(), kind: column.kind.clone() })
            .collect();
        let session = inputs::session(&self.engine, assignment).await?;
        let query = session.files_query(format, columns, &files).await?;
        let fingerprint = self.engine.fingerprint(assignment).await?;
        self.engine.publish(&session, &query, sql::publication(&self.engine, assignment, fingerprint)?).await
    }
}

/// What the plan says of a command.
pub(crate) fn settings(task: &flow::plan::Task) -> Result<command::Settings, Failure> {
    serde_json::from_value(task.with.clone())
        .map_err(|error| Failure::internal(format!("the plan of `{}` has no command: {error}", task.name)))
}
