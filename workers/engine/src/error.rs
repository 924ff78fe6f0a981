//! Faults of the engine, and what they mean for an attempt.

use std::fmt;

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;
use flow::wire::{Failure, Whose};

/// A fault outside any attempt: a lake that cannot be opened, a query that does not compile.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The lake cannot be read or written.
    Lake(String),
    /// The dataset, version or run is not there.
    NotFound(String),
    /// The SQL does not compile: every mistake found, one at least.
    Sql(Vec<crate::Problem>),
    /// The query compiled and failed while it ran.
    Failed(Failure),
    /// A setting cannot be used.
    Setting(String),
    /// Whoever reads the rows has gone.
    BrokenPipe,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Lake(message) | Error::NotFound(message) | Error::Setting(message) => f.write_str(message),
            Error::BrokenPipe => f.write_str("the reader has gone"),
            Error::Sql(problems) => {
                f.write_str(&problems.iter().map(|it| it.message.as_str()).collect::<Vec<_>>().join("; "))
            }
            Error::Failed(failure) => f.write_str(&failure.message),
        }
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Failed(failure)
    }
}

/// What an execution error means: the user's data, the world, or us.
pub(crate) fn failure(error: DataFusionError) -> Failure {
    if is_of_object_store(&error) {
        return external(text(&error));
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => Failure {
            whose: Whose::External,
            retry: false,
            message: format!(
                "out of memory: {} (raise the limit with `memory` in flowctl.toml or FLOWCTL_MEMORY)",
                first_line(message)
            ),
            checks: vec![],
        },
        DataFusionError::IoError(_) => external(text(&error)),
        DataFusionError::Internal(message) => Failure::internal(first_line(message)),
        _ => Failure::user(text(&error)),
    }
}

/// What an error of the table format means.
pub(crate) fn delta(action: &str, error: &DeltaTableError) -> Failure {
    let text = error.to_string();
    let failure = external(format!("{action}: {}", first_line(&text)));
    let retry = is_of_object_store(error) || matches!(error, DeltaTableError::Io { .. }) || is_full(&text);
    Failure { retry, ..failure }
}

/// Whether an object store is behind it, however deep: it may be back soon.
pub(crate) fn is_of_object_store(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| {
        // What an I/O error wraps is not its source: that is the source of what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    });
    causes.any(|error| error.is::<datafusion::object_store::Error>())
}

/// The world's fault. That a disk is full is told in the same words whichever library met it.
fn external(message: String) -> Failure {
    Failure::external(if is_full(&message) { format!("no space is left on the disk{FREE_SPACE}") } else { message })
}

/// Libraries wrap the system's error in texts of their own; `ENOSPC` stands in all of them.
fn is_full(text: &str) -> bool {
    text.contains("(os error 28)")
}

const FREE_SPACE: &str = " (free some space, then run again)";

pub(crate) fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull => FREE_SPACE,
        std::io::ErrorKind::PermissionDenied => " (check who may write there)",
        _ => "",
    };
    Failure::external(format!("{action} `{}`: {error}{hint}", path.display()))
}

/// An error's text without backtraces and without the library's own prefixes.
pub(crate) fn text(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let mut text = text.as_str();
    const PREFIXES: [&str; 9] = [
        "Arrow error: ",
        "Execution error: ",
        "External error: ",
        "Parquet error: ",
        "Error during planning: ",
        "Schema error: ",
        "Parser error: ",
        "Cast error: ",
        "type_coercion\ncaused by\n",
    ];
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text.trim().to_string()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datafusion::object_store;
    use datafusion::parquet::errors::ParquetError;

    use super::*;

    #[test]
    fn a_store_that_fails_at_the_end_of_a_file_is_asked_again_as_one_that_fails_within() {
        let store = || object_store::Error::Generic { store: "disk", source: "Input/output error (os error 5)".into() };
        let within = ParquetError::External(Box::new(store()));
        let at_the_end = ParquetError::External(Box::new(std::io::Error::other(store())));
        for source in [within, at_the_end] {
            assert!(delta("failed to write the dataset", &DeltaTableError::Parquet { source }).retry);
        }
        let source = ParquetError::General("not of a store".into());
        assert!(!delta("failed to write the dataset", &DeltaTableError::Parquet { source }).retry);
    }
}
