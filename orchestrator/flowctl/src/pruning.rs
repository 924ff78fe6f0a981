//! What retention removes outside the store: versions of tables, and artifacts on this machine.

use std::io::ErrorKind;
use std::path::PathBuf;

use async_trait::async_trait;
use engine::{Engine, Keep};
use flow::Time;
use server::retention::{Lake, Table};
use tokio::runtime::Handle;

use crate::cores;

/// The lake and the artifacts of a project.
pub struct Pruning {
    pub engine: Engine,
    /// Where artifacts are, a folder a run.
    pub artifacts: PathBuf,
    /// Where tables are read.
    pub cores: Handle,
}

impl Pruning {
    async fn names(&self) -> Result<Vec<String>, String> {
        let engine = self.engine.clone();
        let names = cores::on(&self.cores, async move { engine.dataset_names().await });
        names.await?.map_err(|failure| failure.message)
    }

    async fn pruned(&self, dataset: String, keep: Keep, dry_run: bool) -> Result<Option<Table>, String> {
        let engine = self.engine.clone();
        let pruned = cores::on(&self.cores, async move { engine.prune(&dataset, keep, dry_run).await });
        let pruned = pruned.await?.map_err(|failure| failure.message)?;
        Ok(pruned.map(|engine::Pruned { dataset, versions, oldest, files, bytes }| Table {
            dataset,
            versions,
            oldest,
            files,
            bytes,
        }))
    }
}

#[async_trait]
impl Lake for Pruning {
    async fn datasets(&self) -> Result<Vec<String>, String> {
        self.names().await
    }

    async fn prune(
        &self,
        dataset: &str,
        since: Time,
        first: Option<u64>,
        dry_run: bool,
    ) -> Result<Option<Table>, String> {
        let keep = Keep { since_ms: i64::try_from(since).unwrap_or(i64::MAX), version: first };
        self.pruned(dataset.to_owned(), keep, dry_run).await
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
