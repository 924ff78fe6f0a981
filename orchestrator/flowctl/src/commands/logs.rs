use std::io::{BufWriter, Write};

use flow::view::rfc3339;
use serde_json::json;
use store::{NumberedLine, Store};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, style};

/// Print what the tasks of a run said.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl logs latest report")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
    /// Only this task's lines.
    task: Option<String>,
}

const BATCH_LINES: u64 = 10_000;

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    cx.block_on(async {
        let store = cx.store_with_runs().await?;
        let run_id = store.find(&args.run).await?;
        if let Some(task) = &args.task {
            known(&store, &run_id, task).await?;
        }
        let mut out = BufWriter::new(anstream::stdout().lock());
        let mut after = 0;
        loop {
            let lines = store.logs(&run_id, args.task.as_deref(), after, BATCH_LINES).await?;
            let Some(last) = lines.last() else { break };
            after = last.number;
            for line in &lines {
                write(&mut out, &run_id, line, args.task.is_none(), cx.json())?;
            }
        }
        out.flush()?;
        if after == 0 {
            print::note("nothing was said");
        }
        Ok(Exit::Done)
    })
}

async fn known(store: &Store, run_id: &str, task: &str) -> Result<(), Error> {
    let plan = store.load(run_id).await?.plan;
    if plan.task_id(task).is_some() {
        return Ok(());
    }
    Err(super::unknown_task(&plan, task))
}

fn write(out: &mut impl Write, run_id: &str, line: &NumberedLine, named: bool, json: bool) -> Result<(), Error> {
    let line = &line.line;
    if json {
        let value = json!({ "run_id": run_id, "task": line.task, "attempt": line.attempt, "at": rfc3339(line.at),
            "stream": line.stream, "text": line.text });
        return Ok(writeln!(out, "{value}")?);
    }
    let dim = style::DIM;
    if named {
        write!(out, "{dim}{} |{dim:#} ", line.task)?;
    }
    Ok(writeln!(out, "{}", line.text)?)
}
