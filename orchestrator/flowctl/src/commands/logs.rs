use std::io::{BufWriter, Write};
use std::time::Duration;

use flow::view::Line;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, style};

/// Print what the tasks of a run said.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl logs latest report\n  flowctl logs latest --follow")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
    /// Only this task's lines.
    task: Option<String>,
    /// Go on until the run is over.
    #[arg(short, long)]
    follow: bool,
}

/// How often a run that goes on is asked for more.
const LOOK: Duration = Duration::from_millis(500);

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    cx.block_on(async {
        let archive = cx.archive().await?;
        let mut out = BufWriter::new(anstream::stdout().lock());
        let (mut run, mut cursor) = (args.run.clone(), None);
        loop {
            let page = archive.logs(&run, args.task.as_deref(), cursor.as_deref()).await?;
            page.lines.iter().try_for_each(|line| write(&mut out, line, args.task.is_none(), cx.json()))?;
            // From now on it is this run, whichever is the latest.
            run = page.run_id;
            cursor = page.lines.last().map(|line| line.number.to_string()).or(cursor);
            if page.next.is_some() {
                continue;
            }
            out.flush()?;
            if page.over || !args.follow {
                break;
            }
            sleep(LOOK).await;
        }
        if cursor.is_none() {
            print::note("nothing was said");
        }
        Ok(Exit::Done)
    })
}

fn write(out: &mut impl Write, line: &Line, named: bool, json: bool) -> Result<(), Error> {
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(line).map_err(print::json_error)?)?);
    }
    let dim = style::DIM;
    if named {
        write!(out, "{dim}{} |{dim:#} ", line.task)?;
    }
    Ok(writeln!(out, "{}", line.text)?)
}
