//! What a task's result depends on besides its text: the identity of everything that it reads.

use flow::plan::{Input, Task};
use flow::wire::{Assignment, Failure};

use crate::Engine;

impl Engine {
    /// What a task's result depends on: what it means, and the versions of what it reads.
    pub async fn fingerprint(&self, assignment: &Assignment) -> Result<Option<String>, Failure> {
        let plan = &assignment.plan;
        let task = &plan.tasks[assignment.task];
        let Some(base) = &task.fingerprint else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        hasher.update(base.as_bytes());
        for (name, input) in &task.inputs {
            hasher.update(format!("\n{name}=").as_bytes());
            let Some(identity) = self.input_identity(assignment, input).await? else { return Ok(None) };
            hasher.update(identity.as_bytes());
        }
        Ok(Some(hasher.finalize().to_hex().to_string()))
    }

    /// A stable hash of a text.
    pub fn hash(&self, text: &str) -> String {
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// Whether anything was ever published as `dataset`.
    pub async fn exists(&self, dataset: &str) -> Result<bool, Failure> {
        Ok(self.lake.table(dataset)?.latest().await?.is_some())
    }

    /// `None` if what is read changes by itself.
    async fn input_identity(&self, assignment: &Assignment, input: &Input) -> Result<Option<String>, Failure> {
        match input {
            Input::Source(name) => {
                let files = assignment.pins.sources.get(name).map_or(&[][..], Vec::as_slice);
                Ok(Some(files.iter().map(|file| file.hash.as_str()).collect::<Vec<_>>().join(",")))
            }
            Input::Task(id) => {
                let task = &assignment.plan.tasks[*id];
                let view = task.output.as_ref().is_some_and(|output| output.view);
                if view {
                    return Box::pin(self.view_identity(assignment, task)).await;
                }
                let dataset = task.output.as_ref().map(|output| output.dataset.as_str()).unwrap_or_default();
                let version = assignment.versions.get(dataset);
                self.version_identity(dataset, version.copied()).await
            }
            Input::External(dataset) => {
                self.version_identity(dataset, assignment.pins.datasets.get(dataset).copied()).await
            }
        }
    }

    /// A view is what its query means and what that reads.
    async fn view_identity(&self, assignment: &Assignment, view: &Task) -> Result<Option<String>, Failure> {
        let Some(mut identity) = view.fingerprint.clone() else { return Ok(None) };
        for (name, input) in &view.inputs {
            let Some(input) = self.input_identity(assignment, input).await? else { return Ok(None) };
            identity.push_str(&format!("|{name}={input}"));
        }
        Ok(Some(identity))
    }

    /// A version's number, and the fingerprint or the attempt behind it: numbers start again when a table is made anew.
    async fn version_identity(&self, dataset: &str, version: Option<u64>) -> Result<Option<String>, Failure> {
        let version = version.ok_or_else(|| Failure::internal(format!("no version of `{dataset}` was assigned")))?;
        let commit = self.lake.table(dataset)?.commit(version).await?;
        let behind = commit.map(|commit| match commit.mark {
            Some(mark) => mark.fingerprint.unwrap_or_else(|| format!("{}/{}", mark.run_id, mark.attempt)),
            None => commit.at.to_string(),
        });
        Ok(Some(format!("{version}:{}", behind.unwrap_or_default())))
    }
}
