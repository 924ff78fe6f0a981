use std::sync::Arc;
use std::time::SystemTime;

use flow::name;
use flow::plan::Plan;
use flow::run::{self, Run};

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
/// included, unless the task or what it reads has changed; the rest is done. With `--from`, the tasks named and all
/// that come after them are done whatever they were before, cached or not, also those of a run that succeeded.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl retry latest\n  flowctl retry latest --from daily,late")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
    /// Do these tasks again and everything that comes after them; commas between, or given many times.
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    from: Vec<String>,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    if let Some(client) = cx.server()? {
        return cx.block_on(following::again(cx, &client, &args.run, &args.from));
    }
    cx.block_on_deciding(async |cores| {
        // Looks before it opens: a retry of nothing makes no store.
        drop(cx.store_with_runs().await?);
        let store = local::open_to_write(cx).await?;
        let run_id = store.find(&args.run).await?;
        let loaded = store.load(&run_id).await?;
        let earlier = Run::replay(Arc::new(loaded.plan), &run_id, &loaded.records);
        if !earlier.state().is_terminal() {
            let (word, _) = state::run(earlier.state());
            return Err(Error::usage(format!("run {run_id} is {word}, so there is nothing to do again"))
                .hint(format!("wait for it, or stop it with `flowctl cancel {run_id}`")));
        }
        let engine = cx.engine_to_work()?;
        let file = earlier.plan().dir.join(earlier.plan().file.file_name().unwrap_or_default());
        let began = SystemTime::now();
        let plan = if file.is_file() {
            Flow::plan(&engine, &file, &Wanted::again(earlier.plan()), &cx.settings()?.pools).await?
        } else {
            print::note(&format!("`{}` is gone; what the run recorded of it is used", file.display()));
            Plan::clone(earlier.plan())
        };
        let compiled = (began, SystemTime::now());
        let pins = local::pin(&engine, &plan, Some(&store)).await?;
        let unknown = |task: &str| {
            let near = name::suggest(task, plan.tasks.iter().map(|task| task.name.as_str()));
            Error::not_found(format!("flow `{}` has no task `{task}`", plan.flow)).maybe_hint(near)
        };
        let adopted = run::adopt(&earlier, &loaded.pins, &plan, &pins, &args.from).map_err(unknown)?;
        let force = loaded.head.force || !args.from.is_empty();
        let order = Order { plan, compiled, force, retry_of: Some(run_id), adopted };
        local::run(cx, cores, engine, store, order).await
    })
}
