use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, style};

/// Make a working starter project.
///
/// Writes a small flow with its data, a README that shows around, and settings with their defaults.
/// Nothing that exists is overwritten.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl init demo && cd demo && flowctl run flows/shop.toml")]
pub struct Args {
    /// The folder, made if it is not there.
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

const FILES: [(&str, &str); 6] = [
    ("README.md", include_str!("../../starter/README.md")),
    ("flowctl.toml", include_str!("../../starter/flowctl.toml")),
    ("flows/shop.toml", include_str!("../../starter/flow.toml")),
    ("data/orders.csv", include_str!("../../starter/data/orders.csv")),
    ("data/customers.csv", include_str!("../../starter/data/customers.csv")),
    (".gitignore", include_str!("../../starter/gitignore")),
];

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let taken = FILES.iter().map(|(name, _)| args.dir.join(name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(taken) = taken {
        return Err(Error::usage(format!("`{}` exists already, nothing was written", taken.display()))
            .hint("choose another folder: flowctl init DIR"));
    }
    for (name, text) in FILES {
        let path = args.dir.join(name);
        create(&path, text).map_err(|error| {
            Error::usage(format!("failed to write `{}`: {error}", path.display()))
                .hint("choose a folder that you may write to: flowctl init DIR")
        })?;
    }
    say(&args.dir, cx)?;
    Ok(Exit::Done)
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(text.as_bytes())
}

fn say(dir: &Path, cx: &Context) -> Result<(), Error> {
    let paths: Vec<String> = FILES.iter().map(|(name, _)| dir.join(name).display().to_string()).collect();
    if cx.json() {
        return print::json(&json!({ "dir": dir, "files": paths }));
    }
    let mut out = anstream::stdout().lock();
    let (dim, bold) = (style::DIM, style::BOLD);
    for path in &paths {
        writeln!(out, "{dim}wrote{dim:#} {path}")?;
    }
    let go = if dir == Path::new(".") { String::new() } else { format!("cd {} && ", dir.display()) };
    writeln!(out, "\nNext: {bold}{go}flowctl run flows/shop.toml{bold:#}")?;
    Ok(())
}
