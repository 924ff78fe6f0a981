use std::collections::HashSet;
use std::sync::Arc;

use flow::plan::{Input, Plan, Task};
use flow::run::Run;
use flow::wire::{Outcome, Pins};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::{Flow, Wanted};
use crate::following;
use crate::local::{self, Order};
use crate::print::{self, state};

/// Do again what did not succeed in a run.
///
/// Makes a new run with the same parameters of the flow file as it is now. What succeeded is adopted, commands
/// included, unless the task or what it reads has changed; the rest is done.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl retry latest")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    if let Some(client) = cx.server()? {
        return cx.block_on(following::again(cx, &client, &args.run, &[]));
    }
    cx.block_on_deciding(async |cores| {
        // Looks before it opens: a retry of nothing makes no store.
        drop(cx.store_with_runs().await?);
        let store = local::open_to_write(cx).await?;
        let run_id = store.find(&args.run).await?;
        let loaded = store.load(&run_id).await?;
        let force = loaded.head.force;
        let earlier = Run::replay(Arc::new(loaded.plan), &run_id, &loaded.records);
        if !earlier.state().is_terminal() {
            let (word, _) = state::run(earlier.state());
            return Err(Error::usage(format!("run {run_id} is {word}, so there is nothing to do again"))
                .hint(format!("wait for it, or stop it with `flowctl cancel {run_id}`")));
        }
        let engine = cx.engine_to_work()?;
        let file = earlier.plan().dir.join(earlier.plan().file.file_name().unwrap_or_default());
        let plan = if file.is_file() {
            Flow::plan(&engine, &file, &Wanted::again(earlier.plan()), &cx.settings()?.pools).await?
        } else {
            print::note(&format!("`{}` is gone; what the run recorded of it is used", file.display()));
            Plan::clone(earlier.plan())
        };
        let pins = local::pin(&engine, &plan, Some(&store)).await?;
        let adopted = adopted(&earlier, &loaded.pins, &plan, &pins);
        local::run(cx, cores, engine, store, Order { plan, force, retry_of: Some(run_id), adopted }).await
    })
}

/// What succeeded and still is what the plan asks for, together with everything it reads.
fn adopted(earlier: &Run, read: &Pins, plan: &Plan, pins: &Pins) -> Vec<(String, Outcome)> {
    let mut made: std::collections::HashMap<&str, Outcome> = earlier.made().collect();
    let mut kept = HashSet::new();
    let mut adopted = vec![];
    for (id, task) in plan.tasks.iter().enumerate() {
        let before = earlier.plan().task_id(&task.name).map(|id| &earlier.plan().tasks[id]);
        let fed = task.needs.iter().filter(|need| need.data).all(|need| kept.contains(&need.task));
        if let (Some(before), true) = (before, fed)
            && same(before, task)
            && unchanged(task, read, pins)
            && let Some(outcome) = made.remove(task.name.as_str())
        {
            kept.insert(id);
            adopted.push((task.name.clone(), outcome));
        }
    }
    adopted
}

/// Whether what the task reads from outside the run is as it was.
fn unchanged(task: &Task, before: &Pins, now: &Pins) -> bool {
    let content = |pins: &Pins, source: &str| -> Option<Vec<String>> {
        Some(pins.sources.get(source)?.iter().map(|file| file.hash.clone()).collect())
    };
    task.inputs.values().all(|input| match input {
        Input::Source(source) => content(before, source) == content(now, source),
        Input::External(dataset) => before.datasets.get(dataset) == now.datasets.get(dataset),
        Input::Task(_) => true,
    })
}

fn same(before: &Task, now: &Task) -> bool {
    before.kind == now.kind && before.with == now.with && before.fingerprint == now.fingerprint
}
