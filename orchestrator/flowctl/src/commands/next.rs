use std::path::PathBuf;

use flow::Time;
use flow::api::{Coming, LIMIT_MAX};
use flow::view::rfc3339;
use server::look;

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::Scheduled;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, style, time};

/// Show when a flow's schedule comes up next.
///
/// Looks at the flow file, and in the store whether the flow is paused; needs neither a store nor a service.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl next flows/etl.toml --from 2024-03-01 -n 3")]
pub struct Args {
    /// A flow file with a `[schedule]`; at a server, the flow's name.
    flow: PathBuf,
    /// Show times at or after this one instead of now: `2024-03-10` (midnight in UTC) or `2024-03-10T06:30:00Z`.
    #[arg(long, value_name = "TIME", value_parser = flow::schedule::instant)]
    from: Option<Time>,
    /// How many times to show.
    #[arg(short, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    number: u32,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let now = time::now();
    let after = args.from.map_or(now, |from| from.saturating_sub(1));
    let coming = match cx.server()? {
        Some(client) => cx.block_on(there(args, &client, after))?,
        None => {
            let flow = Scheduled::read(&args.flow)?;
            look::coming(&flow.name, &flow.schedule, is_paused(&flow.name, cx), after, args.number)
        }
    };
    if !cx.json() {
        print::note(&format!("{}: {}", coming.flow, coming.schedule));
    }
    if coming.paused {
        print::note(&format!("paused: nothing runs by itself until `flowctl resume {}`", args.flow.display()));
    }
    if cx.json() {
        print::json(&coming.times)?;
        return Ok(Exit::Done);
    }
    if coming.times.is_empty() {
        print::note("the schedule has ended: there are no more times");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["LOGICAL TIME", "THERE", "BEGINS"]);
    for at in coming.times {
        let due = time::parse(&at.scheduled_for).unwrap_or_default();
        let wait = match due.checked_sub(now) {
            Some(wait) => format!("in {}", human::duration(wait)),
            None => time::local(due),
        };
        table.row([at.logical_time.into(), Cell::styled(at.wall, style::DIM), wait.into()]);
    }
    table.write(&mut anstream::stdout().lock(), "")?;
    Ok(Exit::Done)
}

/// The times as a server knows them, page by page.
async fn there(args: &Args, client: &Client, mut after: Time) -> Result<Coming, Error> {
    let flow = super::flow_name(&args.flow)?;
    let mut times = vec![];
    loop {
        let limit = (args.number as usize - times.len()).min(LIMIT_MAX as usize);
        let query = [("from", rfc3339(after + 1)), ("limit", limit.to_string())];
        let page: Coming = client.get(&["v1", "flows", flow, "next"], &query).await?;
        let full = page.times.len() == limit;
        times.extend(page.times);
        let last = times.last().and_then(|last| time::parse(&last.logical_time));
        match last {
            Some(last) if full && times.len() < args.number as usize => after = last,
            _ => return Ok(Coming { times, ..page }),
        }
    }
}

/// What cannot be learned now is no reason to show no times.
fn is_paused(flow: &str, cx: &Context) -> bool {
    let standing = cx.block_on(async {
        match cx.store_if_any().await? {
            Some(store) => Ok(store.schedule(flow).await?),
            None => Ok(None),
        }
    });
    match standing {
        Ok(standing) => standing.is_some_and(|standing| standing.paused),
        Err(error) => {
            print::note(&format!("it is not known whether the flow is paused: {}", error.message()));
            false
        }
    }
}
