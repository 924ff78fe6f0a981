use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, human, style};
use crate::settings::Settings;
use crate::{local, place};

/// Check the environment: settings, store, lake, disk and machine.
///
/// Exits with 4 if the store or the lake cannot be used.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl doctor\n  FLOWCTL_STORE=postgres://me@host/db flowctl doctor")]
pub struct Args {}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    status: Status,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warning,
    Error,
}

/// With less free space than this, runs soon fail.
const FREE_BYTES_MIN: u64 = 1 << 30;

pub fn run(_args: &Args, cx: &Context) -> Result<Exit, Error> {
    let settings = cx.settings()?;
    let found =
        [project(settings), store(cx, settings), lake(cx, settings), disk(settings), machine(settings), terminal()];
    if cx.json() {
        print::json(&json!({ "version": env!("CARGO_PKG_VERSION"), "findings": found }))?;
    } else {
        text(&found)?;
    }
    Ok(if found.iter().any(|it| it.status == Status::Error) { Exit::Unreachable } else { Exit::Done })
}

fn ok(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, status: Status::Ok, message: message.into(), hint: None }
}

fn project(settings: &Settings) -> Finding {
    match &settings.file {
        Some(file) => ok("project", format!("{}", file.display())),
        None => ok("project", format!("{} (no flowctl.toml, so the working directory)", settings.root.display())),
    }
}

fn store(cx: &Context, settings: &Settings) -> Finding {
    let place = settings.store_place();
    let opened = cx.block_on(async {
        let Some(store) = cx.store_if_any().await? else { return Ok(None) };
        Ok(Some(store.runs(None, None, u32::MAX.into()).await?.len()))
    });
    match opened {
        Ok(Some(runs)) => ok("store", format!("{place}, {}", human::plural(runs as u64, "run"))),
        Ok(None) => to_be_made("store", Path::new(&place)),
        Err(Error::Told { message, hint, .. }) => Finding { what: "store", status: Status::Error, message, hint },
        Err(_) => {
            Finding { what: "store", status: Status::Error, message: format!("{place} cannot be used"), hint: None }
        }
    }
}

fn lake(cx: &Context, settings: &Settings) -> Finding {
    let shared = cx.block_on(async {
        local::reach(&cx.engine()?).await?;
        // What is wrong with the store itself is told there.
        let Ok(Some(store)) = cx.store_if_any().await else { return Ok(()) };
        local::share_lake(cx, &store).await
    });
    match shared {
        Err(Error::Told { message, hint, .. }) => Finding { what: "lake", status: Status::Error, message, hint },
        _ if settings.lake.contains("://") => ok("lake", settings.lake.clone()),
        _ => to_be_made("lake", Path::new(&settings.lake)),
    }
}

/// Whether something at `path` can be made or, if it is there, written.
fn to_be_made(what: &'static str, path: &Path) -> Finding {
    match place::writable(path) {
        Ok(()) if path.exists() => ok(what, path.display().to_string()),
        Ok(()) => ok(what, format!("{} (made by the first run)", path.display())),
        Err(why) => Finding {
            what,
            status: Status::Error,
            message: format!("{} cannot be written: {why}", path.display()),
            hint: Some(format!("check who may write there, or set FLOWCTL_{} to another place", what.to_uppercase())),
        },
    }
}

fn disk(settings: &Settings) -> Finding {
    let there = place::nearest(&settings.ours());
    match rustix::fs::statvfs(&there) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let message = format!("{} free at {}", human::bytes(free), there.display());
            match free < FREE_BYTES_MIN {
                true => {
                    Finding { what: "disk", status: Status::Warning, message, hint: Some("free some space".into()) }
                }
                false => ok("disk", message),
            }
        }
        Err(error) => Finding { what: "disk", status: Status::Warning, message: error.to_string(), hint: None },
    }
}

fn machine(settings: &Settings) -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = match settings.memory {
        Some(memory) => format!("{} for queries", human::bytes(memory)),
        None => "half of the memory for queries".to_owned(),
    };
    ok(
        "machine",
        format!("{}, {}, {memory}", human::plural(cores as u64, "core"), human::plural(settings.slots as u64, "slot")),
    )
}

fn terminal() -> Finding {
    let colours = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let kind = if std::io::stdout().is_terminal() { "a terminal" } else { "no terminal" };
    ok("output", format!("{kind}, {}", if colours { "coloured" } else { "plain" }))
}

fn text(found: &[Finding]) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    for it in found {
        let (word, colour) = match it.status {
            Status::Ok => ("ok", style::GOOD),
            Status::Warning => ("warning", style::WARN),
            Status::Error => ("error", style::BAD),
        };
        writeln!(out, "{colour}{word:8}{colour:#}{:9}{}", it.what, it.message)?;
        if let Some(hint) = &it.hint {
            let help = style::HELP;
            writeln!(out, "{:17}{help}hint{help:#}: {hint}", "")?;
        }
    }
    Ok(out.flush()?)
}
