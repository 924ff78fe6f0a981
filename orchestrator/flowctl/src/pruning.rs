//! What retention removes outside the store: versions of tables, and artifacts on this machine.

use std::io::ErrorKind;
use std::path::PathBuf;

use async_trait::async_trait;
use engine::{Engine, Keep};
use flow::Time;
use flow::wire::Failure;
use server::retention::{Lake, Table};
use tokio::runtime::Handle;

/// The lake and the artifacts of a project.
pub struct Pruning {
    pub engine: Engine,
    /// Where artifacts are, a folder a run.
    pub artifacts: PathBuf,
    /// Where tables are read.
    pub cores: Handle,
}

impl Pruning {
    async fn on_cores<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, String> {
        let done = self.cores.spawn(work).await.map_err(|error| format!("it ended badly: {error}"))?;
        done.map_err(|failure| failure.message)
    }
}

#[async_trait]
impl Lake for Pruning {
    async fn datasets(&self) -> Result<Vec<String>, String> {
        let engine = self.engine.clone();
        self.on_cores(async move { engine.dataset_names().await }).await
    }

    async fn prune(
        &self,
        dataset: &str,
        since: Time,
        first: Option<u64>,
        dry_run: bool,
    ) -> Result<Option<Table>, String> {
        let (engine, dataset) = (self.engine.clone(), dataset.to_owned());
        let keep = Keep { since_ms: i64::try_from(since).unwrap_or(i64::MAX), version: first };
        let pruned = self.on_cores(async move { engine.prune(&dataset, keep, dry_run).await }).await?;
        Ok(pruned.map(|engine::Pruned { dataset, versions, oldest, files, bytes }| Table {
            dataset,
            versions,
            oldest,
            files,
            bytes,
        }))
    }

    async fn forget(&self, run_id: &str) -> Result<(), String> {
        let folder = self.artifacts.join(run_id);
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("failed to remove `{}`: {error}", folder.display()))
            }
            _ => Ok(()),
        }
    }
}
