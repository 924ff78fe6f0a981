//! Why a run could not be driven to its end. The run itself may still be fine.

use std::fmt;

/// Displayed as a fragment that continues "failed to …".
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The store answers no more, or refuses.
    Store(store::Error),
    /// Somebody else drives the run now.
    LeaseLost { run_id: String },
    /// A run of this flow for this logical time exists.
    Exists { run_id: String },
    /// Nobody is left to run anything.
    WorkersGone { run_id: String },
    /// A part of a service ended, which never happens unless something is broken.
    PartDied { part: &'static str, why: String },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Store(error) => error.hint.clone(),
            Error::LeaseLost { run_id } | Error::Exists { run_id } => Some(format!("see `flowctl show {run_id}`")),
            Error::WorkersGone { run_id } => Some(format!("run `flowctl retry {run_id}`")),
            Error::PartDied { .. } => {
                Some("this is a bug of ours; start the service again, it loses nothing".to_owned())
            }
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Store(error) => error.fmt(f),
            Error::LeaseLost { run_id } => write!(f, "go on with run {run_id}: this process was silent for too long"),
            Error::Exists { run_id } => write!(f, "make the run: {run_id} is for the same logical time"),
            Error::WorkersGone { run_id } => write!(f, "go on with run {run_id}: its workers have ended"),
            Error::PartDied { part, why } => write!(f, "go on serving: {part}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
