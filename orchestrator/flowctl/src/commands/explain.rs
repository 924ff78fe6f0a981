use std::io::Write;

use flow::codes;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, style};

/// Explain a diagnostic code.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl explain E503\n  flowctl explain          # every code")]
pub struct Args {
    /// Such as `E503`. Without one, every code is listed.
    code: Option<String>,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    match &args.code {
        Some(code) => page(code, cx),
        None => list(cx),
    }
}

fn page(code: &str, cx: &Context) -> Result<Exit, Error> {
    let found = codes::find(code).ok_or_else(|| {
        Error::not_found(format!("there is no code `{code}`")).hint("flowctl explain lists every code")
    })?;
    if cx.json() {
        print::json(&json!({ "code": found.code, "title": found.title, "page": found.page }))?;
        return Ok(Exit::Done);
    }
    writeln!(std::io::stdout().lock(), "{}", found.page.trim_end())?;
    Ok(Exit::Done)
}

fn list(cx: &Context) -> Result<Exit, Error> {
    if cx.json() {
        let all: Vec<_> = codes::ALL.iter().map(|c| json!({ "code": c.code, "title": c.title })).collect();
        print::json(&all)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout().lock();
    let bold = style::BOLD;
    for entry in codes::ALL {
        writeln!(out, "{bold}{}{bold:#}  {}", entry.code, entry.title)?;
    }
    Ok(Exit::Done)
}
