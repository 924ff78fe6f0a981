use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use flow::codes;
use flow::diagnostic::{Diagnostic, Lines};
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::{self, Flow};
use crate::print::{self, human, style};

/// Compile flows and show every mistake.
///
/// Plans every task without running any: names, types, columns, checks and contracts, across SQL and commands.
/// Needs no store. Folders are searched for `*.toml`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl check flows/\n  flowctl check flows/etl.toml --json\n  flowctl explain E503"
)]
pub struct Args {
    /// Flow files, or folders with flow files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let files = flow_file::files(&args.paths)?;
    let mut flows = cx.block_on_all(async {
        let engine = cx.engine()?;
        let mut flows = vec![];
        for file in &files {
            flows.push(Flow::check(&engine, file, &cx.settings()?.pools).await?);
        }
        Ok(flows)
    })?;
    names_once(&mut flows);
    if cx.json() {
        json(&flows)?
    } else {
        text(&flows)?
    }
    Ok(if flows.iter().all(|flow| flow.compiled.ok()) { Exit::Done } else { Exit::NotCompiled })
}

/// Flow names are unique in a project: the second file of a name is wrong.
fn names_once(flows: &mut [Flow]) {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    for flow in flows {
        let Some(name) = flow.compiled.name.clone() else { continue };
        match first.get(&name.to_lowercase()) {
            Some(other) => {
                let span = flow::spec::parse(&flow.text).0.and_then(|spec| spec.name).map_or(0..0, |name| name.span());
                let message = format!("another flow is called `{name}`: `{}`", other.display());
                let found = Diagnostic::error(codes::FLOW_NAME_TWICE, span, message);
                flow.compiled.diagnostics.push(found.hint("give each flow of a project its own name"));
            }
            None => drop(first.insert(name.to_lowercase(), flow.file.clone())),
        }
    }
}

fn json(flows: &[Flow]) -> Result<(), Error> {
    let file = |flow: &Flow| {
        let (file, lines) = (flow.file.display().to_string(), Lines::new(&flow.text));
        let found: Vec<_> = flow.compiled.diagnostics.iter().map(|found| found.json(&file, &lines)).collect();
        json!({ "file": file, "ok": flow.compiled.ok(), "diagnostics": found })
    };
    print::json(&json!({ "files": flows.iter().map(file).collect::<Vec<_>>() }))
}

fn text(flows: &[Flow]) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    flows.iter().try_for_each(|flow| flow.write(&mut out))?;
    let found: Vec<&Diagnostic> = flows.iter().flat_map(|flow| &flow.compiled.diagnostics).collect();
    let errors = found.iter().filter(|found| found.is_error()).count();
    let warnings = found.len() - errors;
    let checked = human::plural(flows.len() as u64, "flow");
    let (good, bad, warn) = (style::GOOD, style::BAD, style::WARN);
    match (errors, warnings) {
        (0, 0) => writeln!(out, "{checked} checked: {good}all is well{good:#}")?,
        (0, _) => writeln!(out, "{checked} checked: {warn}{}{warn:#}", human::plural(warnings as u64, "warning"))?,
        _ => {
            let first = found.iter().find(|found| found.is_error()).map_or("CODE", |found| found.code);
            let also =
                if warnings > 0 { format!(", {}", human::plural(warnings as u64, "warning")) } else { String::new() };
            writeln!(out, "{checked} checked: {bad}{}{bad:#}{also}", human::plural(errors as u64, "error"))?;
            writeln!(out, "`flowctl explain {first}` tells more about a code")?;
        }
    }
    Ok(out.flush()?)
}
