use clap::ValueEnum;
use flow::run::RunState;
use flow::view::Head;
use server::look::Which;

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
        let Some(archive) = cx.archive_if_any().await? else { return Ok(vec![]) };
        let state = args.state.map(RunState::from);
        archive.runs(Which { flow: args.flow.clone(), state, limit: args.number, cursor: None }).await
    })?;
    if cx.json() {
        print::json(&heads)?;
    } else if heads.is_empty() {
        say_none(args, cx)?;
    } else {
        table(&heads).write(&mut anstream::stdout().lock(), "")?;
    }
    Ok(Exit::Done)
}

fn table(heads: &[Head]) -> Table {
    let now = time::now();
    let instant = |text: &Option<String>| text.as_deref().and_then(time::parse);
    let mut table = Table::new(["RUN", "FLOW", "STATE", "CREATED", "FOR", ">TIME", "PARAMS", "ERROR"]);
    for head in heads {
        table.row([
            head.run_id.as_str().into(),
            head.flow.as_str().into(),
            state::of_run(head.state),
            time::parse(&head.created_at).map(|at| human::ago(at, now)).unwrap_or_default().into(),
            head.logical_time.as_deref().unwrap_or_default().into(),
            time::took(instant(&head.started_at), instant(&head.finished_at)).unwrap_or_default().into(),
            print::params(&head.params).into(),
            Cell::styled(head.error.as_deref().unwrap_or_default(), style::DIM),
        ]);
    }
    table
}

fn say_none(args: &Args, cx: &Context) -> Result<(), Error> {
    let which = if args.flow.is_some() || args.state.is_some() { "no such runs" } else { "no runs yet" };
    let place = match cx.server()? {
        Some(client) => client.place(),
        None => cx.settings()?.store_place(),
    };
    print::note(&format!("{which} in {place}"));
    Ok(())
}
