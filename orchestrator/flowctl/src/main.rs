//! The binary `flowctl`: typed data pipelines, from a laptop to a fleet.
//!
//! `cli` is the surface, `commands` holds one file per subcommand, `print` is how results look, `settings`
//! finds the project, `context` opens what a command needs when it needs it, `catalogue` knows names.

mod catalogue;
mod cli;
mod commands;
mod context;
mod error;
mod exit;
mod flow_file;
mod interrupt;
mod local;
mod logging;
mod print;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Two libraries bring TLS along; without a default installed first, neither knows whose to use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::main().into()
}
