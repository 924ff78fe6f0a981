//! Flows compiled for a service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use engine::Engine;
use flow::diagnostic::Lines;
use flow::plan::Plan;
use flow::schedule::Schedule;
use flow::spec;
use flow::wire::{Memory, Pins};
use serde_json::{Map, Value};
use server::service::{Cause, Compile, Loaded, Order, Told, Trouble, Written};
use store::{Sizes, Store};
use tasks::{Compiled, Options};
use tokio::runtime::Handle;

use crate::error::Error;
use crate::exit::Exit;
use crate::{cores, flow_file, local};

/// Compiles flow files, on `cores`.
pub struct Compiler {
    pub engine: Engine,
    pub store: Arc<Store>,
    pub cores: Handle,
    /// Flow files, and folders of them.
    pub paths: Vec<PathBuf>,
    /// Where attempts work.
    pub scratch: PathBuf,
    /// How many slots each pool has.
    pub pools: Sizes,
}

impl Compiler {
    async fn compile(&self, written: &Written, order: Option<&Order>) -> Result<Compiled, Trouble> {
        let (engine, pools) = (self.engine.clone(), self.pools.clone());
        let (written, order) = (written.clone(), order.cloned());
        let compiled = cores::on(&self.cores, async move {
            let Written { file, text, sql_files } = &written;
            let order = order.as_ref();
            let options = Options {
                given: order.map(|order| &order.params),
                select: order.and_then(|order| order.select.as_deref()),
                logical_time: order.and_then(|order| order.logical_time),
                pools: Some(&pools),
                sql_files: Some(sql_files),
            };
            let compiled = tasks::compile(&engine, file, text, options).await;
            match (first_mistake(&compiled, file, text), &compiled.away) {
                (Some(mistake), _) => Err(Trouble::Flow(Cause::Mistake, mistake)),
                (None, Some(failure)) => Err(Trouble::Flow(Cause::Away, failure.message.clone().into())),
                (None, None) => Ok(compiled),
            }
        });
        let failed = |error| Trouble::Flow(Cause::Away, format!("the compiler failed: {error}").into());
        compiled.await.map_err(failed)?
    }

    async fn pinned(&self, plan: Plan, known: Pins) -> Result<Pins, Trouble> {
        let engine = self.engine.clone();
        let pinned = cores::on(&self.cores, async move { local::pin_knowing(&engine, &plan, &known).await });
        pinned.await.map_err(|error| Trouble::Flow(Cause::Away, error.into()))?.map_err(|error| {
            let (exit, told) = error.told();
            let cause = match exit {
                Exit::NotCompiled => Cause::Mistake,
                Exit::NotFound => Cause::Missing,
                Exit::Unreachable => Cause::Away,
                _ => Cause::Unreadable,
            };
            Trouble::Flow(cause, told)
        })
    }

    async fn sized(&self, dataset: String) -> Option<(u64, u64)> {
        let engine = self.engine.clone();
        let sized = cores::on(&self.cores, async move { engine.dataset(&dataset).await }).await.ok()?.ok()??;
        Some((sized.rows, sized.bytes))
    }

    async fn sampled(&self, dataset: String, rows_max: usize) -> Result<Vec<Map<String, Value>>, String> {
        let engine = self.engine.clone();
        let rows = cores::on(&self.cores, async move { engine.sample(&dataset, rows_max).await });
        rows.await?.map_err(|error| Error::from(error).message())
    }
}

#[async_trait]
impl Compile for Compiler {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let there = self.paths.iter().filter(|path| path.exists());
        let files: Result<Vec<_>, Error> = there.map(|path| flow_file::at(path)).collect();
        files.map(|files| files.concat()).map_err(Error::message)
    }

    fn sql_files(&self, file: &Path, text: &str) -> Vec<PathBuf> {
        tasks::sql_files(file, text)
    }

    async fn load(&self, written: &Written) -> Result<Loaded, Told> {
        let compiled = self.compile(written, None).await.map_err(|trouble| match trouble {
            Trouble::Flow(Cause::Mistake, told) => told,
            other => {
                let Told { message, hint } = Error::from(other).told().1;
                Told { message: format!("{}: {message}", written.file.display()), hint }
            }
        })?;
        let nameless = || Told::from(format!("{}: the flow has no name", written.file.display()));
        let name = compiled.name.ok_or_else(nameless)?;
        let schedule = spec::parse(&written.text).0.and_then(|flow| Schedule::of(flow.schedule?.get_ref()));
        Ok(Loaded { name, schedule })
    }

    async fn plan(&self, written: &Written, order: &Order) -> Result<Plan, Trouble> {
        let compiled = self.compile(written, Some(order)).await?;
        compiled.plan.ok_or_else(|| Trouble::Flow(Cause::Request, flow_file::misfit(&compiled.usage).told().1))
    }

    async fn pin(&self, plan: &Plan) -> Result<Pins, Trouble> {
        let known = local::pinned_before(&self.store, plan).await?;
        self.pinned(plan.clone(), known).await
    }

    async fn size(&self, dataset: &str) -> Option<(u64, u64)> {
        self.sized(dataset.to_owned()).await
    }

    async fn sample(&self, dataset: &str, rows_max: usize) -> Result<Vec<Map<String, Value>>, String> {
        self.sampled(dataset.to_owned(), rows_max).await
    }

    fn lake(&self) -> Option<String> {
        self.engine.mark_lake()
    }

    fn memory(&self) -> Option<Memory> {
        Some(self.engine.memory())
    }

    async fn end_leftovers(&self, run_id: &str) {
        if let Err(error) = tasks::command::end_leftovers(&self.scratch, run_id, local::LEFTOVERS_GRACE).await {
            tracing::warn!("failed to end what run {run_id} left behind: {error}");
        }
    }
}

/// The first error, as one line with its place.
fn first_mistake(compiled: &Compiled, file: &Path, text: &str) -> Option<Told> {
    let found = compiled.diagnostics.iter().find(|found| found.is_error())?;
    let place = found.json(&file.display().to_string(), &Lines::new(text));
    let file = place["file"].as_str().unwrap_or_default();
    let message = format!("{file}:{}: {} {}", place["line"], found.code, found.message);
    let hint = found.hint.clone().unwrap_or_else(|| format!("flowctl explain {}", found.code));
    Some(Told { message, hint: Some(hint) })
}
