//! What the program says about itself: on standard error, and over OTLP if the environment names a receiver.

use std::io::{self, IsTerminal};

use telemetry::{Json, otlp};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::Filter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::error::Error;

const OURS: [&str; 8] = ["flow", "flowctl", "store", "telemetry", "server", "worker", "engine", "tasks"];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Text,
    /// An object a line, with the run, task and attempt that it is about and the ids of their trace.
    Json,
}

/// Warnings by default, more with `-v` (info) and `-vv` (debug); `FLOWCTL_LOG` filters by module.
///
/// # Errors
/// What is wrong with the receiver that the environment names.
pub fn init(verbose: u8, format: Format, server: bool) -> Result<(), Error> {
    // A server has nobody to show results to, so it says what it does.
    let level = match verbose.max(u8::from(server)) {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // Operators of queries are told as events of their own.
    let sent = ours(LevelFilter::INFO, LevelFilter::OFF).with_target("stage", LevelFilter::INFO);
    let outlet = otlp::open().map_err(Error::usage)?.map(|outlet| outlet.with_filter(sent));
    tracing_subscriber::registry().with(lines(verbose, level, format)).with(outlet).init();
    Ok(())
}

fn lines<S>(verbose: u8, level: LevelFilter, format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let is_span =
        |of: &Metadata<'_>| of.is_span() && OURS.contains(&of.target().split("::").next().unwrap_or_default());
    match format {
        Format::Json => {
            let spans = filter_fn(is_span).with_max_level_hint(LevelFilter::INFO);
            let lines = lines.with_ansi(false).fmt_fields(JsonFields::new()).event_format(Json);
            lines.with_filter(chosen(verbose, level).or(spans)).boxed()
        }
        // People read what was said; in what it was said is for machines.
        Format::Text => {
            let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let events = filter_fn(|of| of.is_event()).with_max_level_hint(LevelFilter::TRACE);
            lines.with_ansi(ansi).with_target(verbose > 1).with_filter(chosen(verbose, level).and(events)).boxed()
        }
    }
}

/// Which events are told.
fn chosen<S: Subscriber>(verbose: u8, level: LevelFilter) -> Box<dyn Filter<S> + Send + Sync> {
    match std::env::var("FLOWCTL_LOG") {
        Ok(filter) if !filter.is_empty() => {
            Box::new(EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(filter))
        }
        // An error of a library is returned to us as well, and told in our words.
        _ => Box::new(ours(level, if verbose == 0 { LevelFilter::OFF } else { LevelFilter::WARN })),
    }
}

/// Ours from a level on, and others from another.
fn ours(level: LevelFilter, others: LevelFilter) -> Targets {
    Targets::new().with_default(others).with_targets(OURS.map(|name| (name, level)))
}
