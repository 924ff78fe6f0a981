use std::io::{BufWriter, Write};

use flow::view::{Reason, State};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, state, style, time};

/// Say why a task waits, failed, was skipped, tried again or took its time.
///
/// The answer comes from the run's journal. Without a task it is about the whole run: what failed, what is in
/// the way, and where the time went.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl why latest\n  flowctl why latest daily")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
    task: Option<String>,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let why = cx.block_on(async { cx.archive().await?.why(&args.run, args.task.as_deref()).await })?;
    if cx.json() {
        print::json(&why)?;
        return Ok(Exit::Done);
    }
    let word = match why.state {
        State::Task(state) => state::task(state, why.attempts, why.cached),
        State::Run(state) => state::run(state),
    };
    text(why.task.as_deref().unwrap_or(&why.run_id), word, &why.reasons)?;
    Ok(Exit::Done)
}

fn text(name: &str, (word, colour): (&str, clap::builder::styling::Style), reasons: &[Reason]) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(out, "{bold}{name}{bold:#}: {colour}{word}{colour:#}")?;
    for reason in reasons {
        let about = reason.task.as_deref().filter(|task| *task != name);
        let about = about.map(|task| format!("{bold}{task}{bold:#}: ")).unwrap_or_default();
        let since = reason.since.as_deref().and_then(time::parse).map(time::local);
        let since = since.map(|since| format!("  {dim}{since}{dim:#}")).unwrap_or_default();
        // The instant belongs to the first line of a message of several.
        let (first, rest) = reason.message.split_once('\n').unwrap_or((&reason.message, ""));
        writeln!(out, "  {about}{first}{since}")?;
        rest.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
    }
    Ok(out.flush()?)
}
