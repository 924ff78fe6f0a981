//! The binary `flowctl`: typed data pipelines, from a laptop to a fleet.
//!
//! `cli` is the surface, `commands` holds one file per subcommand, `print` is how results look, `settings`
//! finds the project, `context` opens what a command needs when it needs it, `archive` looks things up here or at a server.

mod archive;
mod cli;
mod client;
mod commands;
mod compiler;
mod context;
mod cores;
mod error;
mod exit;
mod flow_file;
mod following;
mod interrupt;
mod local;
mod logging;
mod place;
mod print;
mod pruning;
mod settings;
mod slots;

use std::process::ExitCode;

use mimalloc::MiMalloc;

use crate::error::Error;
use crate::exit::Exit;

/// Queries take and give back much memory from many threads, at which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Two libraries bring TLS along; without a default installed first, neither knows whose to use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Libraries catch some of their own panics, and an attempt's ends that attempt alone: who catches one tells it.
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
    let main = std::thread::Builder::new().stack_size(context::STACK_BYTES).spawn(cli::main);
    match main.map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(panic)) => Error::internal(panic.as_ref()).report().into(),
        Err(error) => Error::new(Exit::Unreachable, format!("failed to start: {error}")).report().into(),
    }
}
