use std::path::PathBuf;

use flow::Time;
use flow::view::rfc3339;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::Scheduled;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, style, time};

/// Show when a flow's schedule comes up next.
///
/// Looks at the flow file alone: needs no store and no service.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl next flows/etl.toml --from 2024-03-01 -n 3")]
pub struct Args {
    /// A flow file with a `[schedule]`.
    flow: PathBuf,
    /// Show times at or after this one instead of now: `2024-03-10` or `2024-03-10T06:30:00Z`.
    #[arg(long, value_name = "TIME", value_parser = flow::schedule::instant)]
    from: Option<Time>,
    /// How many times to show.
    #[arg(short, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    number: u32,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let flow = Scheduled::read(&args.flow)?;
    let now = time::now();
    let from = args.from.map_or(now, |from| from.saturating_sub(1));
    let times: Vec<Time> = flow.schedule.after(from).take(args.number as usize).collect();
    if cx.json() {
        let line = |at: &Time| json!({ "logical_time": rfc3339(*at), "scheduled_for": rfc3339(flow.due(*at)) });
        print::json(&times.iter().map(line).collect::<Value>())?;
        return Ok(Exit::Done);
    }
    print::note(&format!("{}: {}", flow.name, flow.schedule.describe()));
    if times.is_empty() {
        print::note("the schedule has ended: there are no more times");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["LOGICAL TIME", "THERE", "BEGINS"]);
    for at in times {
        let due = flow.due(at);
        let wait = match due.checked_sub(now) {
            Some(wait) => format!("in {}", human::duration(wait)),
            None => time::local(due),
        };
        let there = Cell::styled(flow.schedule.wall(at), style::DIM);
        table.row([rfc3339(at).into(), there, wait.into()]);
    }
    table.write(&mut anstream::stdout().lock(), "")?;
    Ok(Exit::Done)
}
