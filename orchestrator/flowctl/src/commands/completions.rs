use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::Exit;

/// Print the completions of a shell.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl completions bash > ~/.local/share/bash-completion/completions/flowctl")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Exit, Error> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "flowctl", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}
