//! The surface: flags, subcommands, and the way from one to the other.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands::*;
use crate::context::Context;
use crate::error::Error;
use crate::exit::{self, Exit};
use crate::logging;

/// Typed data pipelines in one binary.
///
/// A flow is a TOML file. flowctl compiles it like a program, runs it as a graph of tasks with quality
/// checks, publishes tables, and remembers every run and where every column came from.
#[derive(Parser)]
#[command(name = "flowctl", version, arg_required_else_help = true, propagate_version = false)]
#[command(disable_help_subcommand = true, after_help = "Start with: flowctl init demo", after_long_help = exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct Global {
    /// Print JSON on standard output.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Say more on standard error; twice for much more.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// How log lines look on standard error; `json` is for machines.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "FLOWCTL_LOG_FORMAT",
        hide_env = true,
        help_heading = "Output"
    )]
    #[arg(value_enum, default_value_t, hide_default_value = true, hide_possible_values = true)]
    pub log_format: logging::Format,
    /// Where runs are remembered: a path, `sqlite:PATH` or `postgres://…`.
    #[arg(long, global = true, value_name = "STORE", env = "FLOWCTL_STORE", hide_env = true)]
    pub store: Option<String>,
    /// Have a server do it, whose URL FLOWCTL_SERVER can also name; flows go by their names there.
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Where datasets live: a path or a URL.
    #[arg(long, global = true, value_name = "LAKE", env = "FLOWCTL_LAKE", hide_env = true)]
    pub lake: Option<String>,
    /// How much memory queries may use together, such as `2GiB`.
    #[arg(long, global = true, value_name = "SIZE", env = "FLOWCTL_MEMORY", hide_env = true)]
    pub memory: Option<String>,
    /// How many tasks may run at the same time.
    #[arg(long, global = true, value_name = "N", env = "FLOWCTL_SLOTS", hide_env = true, value_parser = slots)]
    pub slots: Option<usize>,
    /// A file with the token that a server asks for. Without it, FLOWCTL_TOKEN is the token.
    #[arg(long, global = true, value_name = "FILE", env = "FLOWCTL_TOKEN_FILE", hide_env = true)]
    pub token_file: Option<PathBuf>,
    /// A file with the certificate, in PEM, of the only authority to trust for `https://` servers.
    #[arg(long, global = true, value_name = "FILE", env = "FLOWCTL_CA", hide_env = true)]
    pub ca: Option<PathBuf>,
}

fn slots(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err("it lies between 1 and 1024".to_owned()),
    }
}

#[derive(Subcommand)]
pub enum Command {
    Init(init::Args),
    Check(check::Args),
    Plan(plan::Args),
    Run(run::Args),
    Runs(runs::Args),
    Show(show::Args),
    Logs(logs::Args),
    Why(why::Args),
    Lineage(lineage::Args),
    Impact(impact::Args),
    Datasets(datasets::Args),
    Query(query::Args),
    Next(next::Args),
    Backfill(backfill::Args),
    Serve(serve::Args),
    Worker(worker::Args),
    Token(token::Args),
    Cancel(cancel::Args),
    Retry(retry::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Prune(prune::Args),
    Backup(backup::Args),
    Schema(schema::Args),
    Explain(explain::Args),
    Fsck(fsck::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

impl Command {
    /// Whether it can do its work at a server.
    fn asks_servers(&self) -> bool {
        use Command::{
            Backfill, Cancel, Datasets, Impact, Lineage, Logs, Next, Pause, Resume, Retry, Run, Runs, Show, Why, Worker,
        };
        matches!(
            self,
            Run(_)
                | Runs(_)
                | Show(_)
                | Logs(_)
                | Why(_)
                | Lineage(_)
                | Impact(_)
                | Datasets(_)
                | Next(_)
                | Cancel(_)
                | Backfill(_)
                | Retry(_)
                | Pause(_)
                | Resume(_)
                | Worker(_)
        )
    }
}

/// Parses the command line, does what it says and answers how to exit.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.exit_code() == 0 { Exit::Done } else { Exit::Usage };
        }
    };
    let server = matches!(cli.command, Command::Serve(_) | Command::Worker(_));
    if let Err(error) = logging::init(cli.global.verbose, cli.global.log_format, server) {
        return error.report();
    }
    let here = cli.global.server.is_some() && !cli.command.asks_servers();
    let cx = Context::new(cli.global);
    if here {
        let error = Error::usage("this command asks no server");
        return error
            .hint("leave out --server: it works with the files, the store and the lake that are here")
            .report();
    }
    let exit = dispatch(&cli.command, &cx).unwrap_or_else(Error::report);
    telemetry::otlp::close();
    exit
}

fn dispatch(command: &Command, cx: &Context) -> Result<Exit, Error> {
    match command {
        Command::Init(args) => init::run(args, cx),
        Command::Check(args) => check::run(args, cx),
        Command::Plan(args) => plan::run(args, cx),
        Command::Run(args) => run::run(args, cx),
        Command::Runs(args) => runs::run(args, cx),
        Command::Show(args) => show::run(args, cx),
        Command::Logs(args) => logs::run(args, cx),
        Command::Why(args) => why::run(args, cx),
        Command::Lineage(args) => lineage::run(args, cx),
        Command::Impact(args) => impact::run(args, cx),
        Command::Datasets(args) => datasets::run(args, cx),
        Command::Cancel(args) => cancel::run(args, cx),
        Command::Query(args) => query::run(args, cx),
        Command::Next(args) => next::run(args, cx),
        Command::Backfill(args) => backfill::run(args, cx),
        Command::Serve(args) => serve::run(args, cx),
        Command::Worker(args) => worker::run(args, cx),
        Command::Token(args) => token::run(args, cx),
        Command::Retry(args) => retry::run(args, cx),
        Command::Pause(args) => pause::run(args, cx),
        Command::Resume(args) => resume::run(args, cx),
        Command::Prune(args) => prune::run(args, cx),
        Command::Backup(args) => backup::run(args, cx),
        Command::Schema(args) => schema::run(args, cx),
        Command::Explain(args) => explain::run(args, cx),
        Command::Fsck(args) => fsck::run(args, cx),
        Command::Doctor(args) => doctor::run(args, cx),
        Command::Completions(args) => completions::run(args),
    }
}
