//! What the program says about itself, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::prelude::*;

const OURS: [&str; 7] = ["flow", "flowctl", "store", "server", "worker", "engine", "tasks"];

/// Warnings by default, more with `-v` (info) and `-vv` (debug); `FLOWCTL_LOG` filters by module.
pub fn init(verbose: u8, server: bool) {
    // A server has nobody to show results to, so it says what it does.
    let level = verbose.max(u8::from(server));
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(verbose > 1);
    match std::env::var("FLOWCTL_LOG") {
        Ok(filter) if !filter.is_empty() => {
            let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(filter);
            tracing_subscriber::registry().with(lines.with_filter(filter)).init();
        }
        _ => {
            let level = match level {
                0 => LevelFilter::WARN,
                1 => LevelFilter::INFO,
                _ => LevelFilter::DEBUG,
            };
            // An error of a library is returned to us as well, and told in our words.
            let others = if verbose == 0 { LevelFilter::OFF } else { LevelFilter::WARN };
            let ours = Targets::new().with_default(others).with_targets(OURS.map(|name| (name, level)));
            tracing_subscriber::registry().with(lines.with_filter(ours)).init();
        }
    }
}
