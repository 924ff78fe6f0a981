//! What serde objects to, read from its message and said in our words.

use toml::de::{DeValue, Error};

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;

/// The keys or words that would have been right.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected(Vec<String>);

impl Expected {
    /// Reads them from between the backticks of serde's list.
    fn of(list: &str) -> Self {
        Expected(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|expected| expected == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn hint(&self, given: &str) -> Option<String> {
        name::suggest(given, self.keys())
    }
}

#[derive(Debug)]
pub(super) enum Complaint {
    UnknownKey { expected: Expected },
    MissingKey { key: String },
    UnknownWord { given: String, expected: Expected },
    WrongType { expected: &'static str },
    Other { message: String },
}

impl Complaint {
    pub(super) fn of(error: &Error) -> Self {
        let message = error.message();
        let (fact, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
        let quoted = |text: &str| text.trim_matches('`').to_owned();
        if fact.starts_with("unknown field ") || fact.contains(", there are no fields") {
            Complaint::UnknownKey { expected: Expected::of(expected) }
        } else if let Some(key) = fact.strip_prefix("missing field ") {
            Complaint::MissingKey { key: quoted(key) }
        } else if let Some(given) = fact.strip_prefix("unknown variant ") {
            Complaint::UnknownWord { given: quoted(given), expected: Expected::of(expected) }
        } else if let Some(expected) = type_words(message, expected) {
            Complaint::WrongType { expected }
        } else {
            Complaint::Other { message: message.to_owned() }
        }
    }

    /// The diagnostic for the value `found` at `path`.
    pub(super) fn diagnostic(&self, span: Span, path: &[String], found: Option<&DeValue<'_>>) -> Diagnostic {
        let place = place(path);
        match self {
            Complaint::UnknownKey { .. } => Diagnostic::error(codes::UNKNOWN_KEY, span, "unknown key"),
            Complaint::MissingKey { key } => {
                Diagnostic::error(codes::MISSING_KEY, span, format!("{place} has no `{key}`"))
                    .hint(format!("add `{key} = …`"))
            }
            Complaint::UnknownWord { given, expected } => {
                Diagnostic::error(codes::UNKNOWN_WORD, span, format!("{place} cannot be `{given}`"))
                    .maybe_hint(expected.hint(given))
            }
            Complaint::WrongType { expected } => {
                let found = found.map_or("something else", type_of);
                Diagnostic::error(codes::WRONG_TYPE, span, format!("{place} must be {expected}, not {found}"))
            }
            Complaint::Other { message } => {
                Diagnostic::error(codes::WRONG_TYPE, span, format!("{place} cannot be read: {message}"))
            }
        }
    }
}

/// What serde expected, in words of TOML.
fn type_words(message: &str, expected: &str) -> Option<&'static str> {
    if message == "wanted string or table" {
        return Some("a string");
    }
    if message == "integer number overflowed" {
        return Some("an integer of at most 64 bits");
    }
    if !message.starts_with("invalid type: ") && !message.starts_with("invalid value: ") {
        return None;
    }
    match expected {
        "a string" => Some("a string"),
        "a boolean" => Some("true or false"),
        "i64" => Some("an integer"),
        "a sequence" => Some("a list"),
        "a map" => Some("a table"),
        _ if expected.starts_with("struct ") => Some("a table"),
        _ => None,
    }
}

/// A value's type, in words of TOML.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How a message calls the value at `path`: the task, the source, an item of a list, or the key.
pub(super) fn place(path: &[String]) -> String {
    match path {
        [part, name] if part == "tasks" => format!("task `{name}`"),
        [part, name] if part == "sources" => format!("source `{name}`"),
        [part, name] if part == "params" => format!("parameter `{name}`"),
        [.., list, index] if index.parse::<usize>().is_ok() => format!("an item of `{list}`"),
        [.., key] => format!("`{key}`"),
        [] => "the flow".to_owned(),
    }
}
