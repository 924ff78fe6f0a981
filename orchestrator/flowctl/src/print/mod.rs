//! How results look: on a terminal for people, elsewhere plain, and as JSON for programs.

pub mod diagnostics;
pub mod human;
pub mod style;
pub mod table;

use std::io::Write;

use serde::Serialize;

use crate::error::Error;

/// One value as JSON on standard output, indented for a person, on one line for a pipe.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    use std::io::IsTerminal;
    let out = std::io::stdout();
    let text = if out.is_terminal() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let text = text.map_err(|error| Error::new(crate::exit::Exit::Failed, format!("failed to write JSON: {error}")))?;
    Ok(writeln!(out.lock(), "{text}")?)
}
