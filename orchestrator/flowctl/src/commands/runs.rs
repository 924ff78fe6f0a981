use clap::ValueEnum;
use flow::run::RunState;
use flow::view::rfc3339;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, state, style, time};

/// List runs, newest first.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl runs --flow etl --state failed -n 5")]
pub struct Args {
    /// Only runs of this flow.
    #[arg(long, value_name = "FLOW")]
    flow: Option<String>,
    /// Only runs in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// At most so many.
    #[arg(short, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl From<State> for RunState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => RunState::Queued,
            State::Running => RunState::Running,
            State::Succeeded => RunState::Succeeded,
            State::Failed => RunState::Failed,
            State::Cancelled => RunState::Cancelled,
        }
    }
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let heads = cx.block_on(async {
        match cx.store_if_any().await? {
            Some(store) => {
                let state = args.state.map(RunState::from);
                Ok(store.runs(args.flow.as_deref(), state, args.number.into()).await?)
            }
            None => Ok(vec![]),
        }
    })?;
    if cx.json() {
        print::json(&heads.iter().map(view).collect::<Vec<_>>())?;
    } else if heads.is_empty() {
        say_none(args, cx)?;
    } else {
        table(&heads).write(&mut anstream::stdout().lock(), "")?;
    }
    Ok(Exit::Done)
}

/// The head of `show`.
fn view(head: &store::Head) -> flow::view::Head {
    flow::view::Head {
        run_id: head.run_id.clone(),
        flow: head.flow.clone(),
        state: head.state,
        params: head.params.clone(),
        logical_time: head.logical_time.map(rfc3339),
        created_at: rfc3339(head.created_at),
        started_at: head.started_at.map(rfc3339),
        finished_at: head.finished_at.map(rfc3339),
        error: head.error.clone(),
        retry_of: head.retry_of.clone(),
    }
}

fn table(heads: &[store::Head]) -> Table {
    let now = time::now();
    let mut table = Table::new(["RUN", "FLOW", "STATE", "CREATED", "FOR", ">TIME", "PARAMS", "ERROR"]);
    for head in heads {
        table.row([
            head.run_id.as_str().into(),
            head.flow.as_str().into(),
            state::of_run(head.state),
            human::ago(head.created_at, now).into(),
            head.logical_time.map(rfc3339).unwrap_or_default().into(),
            time::took(head.started_at, head.finished_at).unwrap_or_default().into(),
            print::params(&head.params).into(),
            Cell::styled(head.error.as_deref().unwrap_or_default(), style::DIM),
        ]);
    }
    table
}

fn say_none(args: &Args, cx: &Context) -> Result<(), Error> {
    let which = if args.flow.is_some() || args.state.is_some() { "no such runs" } else { "no runs yet" };
    let place = cx.settings()?.store_place();
    print::note(&format!("{which} in {place}"));
    Ok(())
}
