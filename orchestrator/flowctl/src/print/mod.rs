//! How results look: on a terminal for people, elsewhere plain, and as JSON for programs.

pub mod diagnostics;
pub mod progress;
pub mod run;
pub mod state;
pub mod style;
pub mod table;
pub mod time;

use std::io::{IsTerminal, Write};

pub use flow::human;
use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;

/// One value as JSON on standard output, indented for a person, on one line for a pipe.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    let out = std::io::stdout();
    let text = if out.is_terminal() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    Ok(writeln!(out.lock(), "{}", text.map_err(json_error)?)?)
}

/// A value that has no form in JSON, which is a fault of ours.
pub fn json_error(error: serde_json::Error) -> Error {
    Error::new(Exit::Failed, format!("failed to write JSON: {error}"))
}

/// Something to know that is no data, on standard error.
pub fn note(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Parameters as on the command line.
pub fn params(params: &serde_json::Map<String, serde_json::Value>) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    pairs.join(" ")
}
