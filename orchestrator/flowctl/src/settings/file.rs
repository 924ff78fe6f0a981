//! `flowctl.toml`: a closed table, with the same care for mistakes as a flow.

use std::collections::BTreeMap;
use std::path::Path;

use flow::diagnostic::{Diagnostic, Span};
use flow::{codes, duration, name};
use serde::Deserialize;
use store::Sizes;
use toml::Spanned;

use super::size;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::diagnostics;

const KEYS: [&str; 6] = ["store", "lake", "memory", "slots", "pools", "keep"];

/// The most slots that a pool may have.
const POOL_MAX: i64 = 100_000;

/// What the file sets.
#[derive(Debug, Default, PartialEq)]
pub struct Written {
    pub store: Option<String>,
    pub lake: Option<String>,
    pub memory: Option<u64>,
    pub slots: Option<usize>,
    pub pools: Sizes,
    /// Milliseconds.
    pub keep: Option<u64>,
}

/// Reads the file at `path`. Its mistakes are printed as diagnostics.
pub fn read(path: &Path) -> Result<Written, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("failed to read `{}`: {error}", path.display())))?;
    parse(&text).map_err(|found| {
        // When standard error is gone there is nobody left to tell.
        let _ = diagnostics::write(&mut anstream::stderr(), &path.display().to_string(), &text, &found);
        Error::Said(Exit::Usage)
    })
}

/// The table as serde reads it. Values keep their place, so that what is wrong with them can be pointed at.
#[derive(Deserialize)]
struct Table {
    store: Option<String>,
    lake: Option<String>,
    memory: Option<Spanned<toml::Value>>,
    slots: Option<Spanned<i64>>,
    #[serde(default)]
    pools: BTreeMap<Spanned<String>, Spanned<i64>>,
    keep: Option<Spanned<String>>,
}

fn parse(text: &str) -> Result<Written, Vec<Diagnostic>> {
    let at = |error: toml::de::Error| (error.span().unwrap_or(0..0), error.message().to_owned());
    let table = toml::de::DeTable::parse(text).map_err(|error| {
        let (span, message) = at(error);
        vec![Diagnostic::error(codes::TOML_SYNTAX, span, message)]
    })?;
    let strays = table.get_ref().keys().filter(|key| !KEYS.contains(&key.get_ref().as_ref()));
    let mut found: Vec<Diagnostic> = strays.map(|key| unknown(key.get_ref(), key.span())).collect();
    let table: Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => {
            let (span, message) = at(error);
            found.push(Diagnostic::error(codes::WRONG_TYPE, span, message));
            return Err(found);
        }
    };
    let memory = table.memory.and_then(|value| memory(&value).map_err(|problem| found.push(problem)).ok());
    let slots = table.slots.and_then(|value| slots(&value).map_err(|problem| found.push(problem)).ok());
    let pools =
        table.pools.iter().filter_map(|(name, size)| pool(name, size).map_err(|it| found.push(it)).ok()).collect();
    let keep = table.keep.and_then(|value| keep(&value).map_err(|problem| found.push(problem)).ok());
    match found.is_empty() {
        true => Ok(Written { store: table.store, lake: table.lake, memory, slots, pools, keep }),
        false => Err(found),
    }
}

fn unknown(key: &str, span: Span) -> Diagnostic {
    Diagnostic::error(codes::UNKNOWN_KEY, span, format!("unknown setting `{key}`")).maybe_hint(name::suggest(key, KEYS))
}

fn memory(value: &Spanned<toml::Value>) -> Result<u64, Diagnostic> {
    let wrong = |problem: String| {
        Diagnostic::error(codes::OUT_OF_RANGE, value.span(), format!("this is no amount of memory: {problem}"))
            .hint("write it like `\"2GiB\"` or `\"512MB\"`")
    };
    match value.get_ref() {
        toml::Value::String(text) => size::parse(text).map_err(wrong),
        toml::Value::Integer(bytes) => size::parse(&bytes.to_string()).map_err(wrong),
        _ => Err(wrong("neither a text nor a number".to_owned())),
    }
}

fn slots(value: &Spanned<i64>) -> Result<usize, Diagnostic> {
    let count = usize::try_from(*value.get_ref()).ok().filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| {
        Diagnostic::error(codes::OUT_OF_RANGE, value.span(), "`slots` lies between 1 and 1024")
            .hint("it is the number of tasks that run at the same time")
    })
}

fn pool(name: &Spanned<String>, size: &Spanned<i64>) -> Result<(String, u32), Diagnostic> {
    if let Some(problem) = name::problem(name.get_ref(), true) {
        return Err(Diagnostic::error(codes::BAD_NAME, name.span(), problem));
    }
    let slots = u32::try_from(*size.get_ref()).ok().filter(|_| (1..=POOL_MAX).contains(size.get_ref()));
    let slots = slots.ok_or_else(|| {
        let message = format!("a pool has between 1 and {POOL_MAX} slots, not {}", size.get_ref());
        Diagnostic::error(codes::OUT_OF_RANGE, size.span(), message)
            .hint("it is the number of tasks of all runs that may use it at the same time")
    })?;
    Ok((name.get_ref().clone(), slots))
}

fn keep(value: &Spanned<String>) -> Result<u64, Diagnostic> {
    duration::keep(value.get_ref()).map_err(|message| {
        Diagnostic::error(codes::BAD_DURATION, value.span(), message).hint("write it like `90d` or `12h`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "store = 's.db'\nlake = 'lake'\nmemory = '1GiB'\nslots = 3\nkeep = '90d'\n[pools]\nwarehouse = 4\n";
        let (store, lake) = (Some("s.db".to_owned()), Some("lake".to_owned()));
        let (pools, keep) = ([("warehouse".to_owned(), 4)].into(), Some(90 * 86_400_000));
        let expected = Written { store, lake, memory: Some(1 << 30), slots: Some(3), pools, keep };
        let written = parse(text).unwrap();
        assert_eq!(written, expected);
        assert_eq!(parse("").unwrap(), Written::default());
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = parse("stor = 's.db'\nmemory = 'much'\nslots = 0\n[pools]\na = 0\n'b c' = 1\n").unwrap_err();
        let said: Vec<_> = found.iter().map(|d| (d.code, d.hint.as_deref().unwrap_or(""))).collect();
        assert_eq!(said[0], ("E102", "did you mean `store`?"));
        assert_eq!(said[1..].iter().map(|it| it.0).collect::<Vec<_>>(), ["E108", "E108", "E108", "E201"]);
        assert_eq!(found[1].span, 23..29);
    }

    #[test]
    fn broken_text_is_a_diagnostic() {
        assert_eq!(parse("store = ").unwrap_err()[0].code, "E101");
        assert_eq!(parse("store = 1").unwrap_err()[0].code, "E103");
    }
}
