use std::io::Write;

use flow::view::Show;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, human, style, time};

/// Show a run: its tasks, checks and tables.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl show latest\n  flowctl show 0193f2e4 --json")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let show = cx.block_on(async { cx.archive().await?.show(&args.run).await })?;
    match cx.json() {
        true => print::json(&show)?,
        false => text(&show)?,
    }
    Ok(Exit::Done)
}

fn text(show: &Show) -> Result<(), Error> {
    let mut out = std::io::BufWriter::new(anstream::stdout().lock());
    let head = &show.head;
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(out, "run {bold}{}{bold:#} of {bold}{}{bold:#}", head.run_id, head.flow)?;
    if let Some(created) = time::parse(&head.created_at) {
        writeln!(out, "{dim}created {} ({}){dim:#}", time::local(created), human::ago(created, time::now()))?;
    }
    if !head.params.is_empty() {
        writeln!(out, "{dim}params  {}{dim:#}", print::params(&head.params))?;
    }
    if let Some(at) = &head.logical_time {
        writeln!(out, "{dim}for     {at}{dim:#}")?;
    }
    if let Some(earlier) = &head.retry_of {
        writeln!(out, "{dim}retries {earlier}{dim:#}")?;
    }
    writeln!(out)?;
    print::run::write(&mut out, show)?;
    Ok(out.flush()?)
}
