//! What a command failed with, as the user reads it.

use std::any::Any;
use std::io::{self, Write};

use anstream::stderr;
use server::service::{Cause, Told, Trouble};

use crate::exit::Exit;
use crate::print::style;

/// Why a command ends early.
#[derive(Debug)]
pub enum Error {
    /// Nobody reads our output any more: nothing to say, and no fault of ours.
    Pipe,
    /// Everything there is to say has been printed.
    Said(Exit),
    Told {
        exit: Exit,
        message: String,
        hint: Option<String>,
    },
}

impl Error {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Error::Told { exit, message: message.into(), hint: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Exit::Usage, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(Exit::NotFound, message)
    }

    /// A panic that nobody caught.
    pub fn internal(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Error::new(Exit::Failed, format!("internal error: {}; this is a bug in flowctl", text.unwrap_or("no message")))
            .hint("`-vv` shows where it happened")
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint.into()))
    }

    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match self {
            Error::Told { exit, message, .. } => Error::Told { exit, message, hint },
            other => other,
        }
    }

    /// What failed, in one text.
    pub fn message(self) -> String {
        self.told().1.message
    }

    /// How to exit, and what somebody else is told who is to know why.
    pub fn told(self) -> (Exit, Told) {
        match self {
            Error::Told { exit, message, hint } => (exit, Told { message, hint }),
            Error::Said(exit) => (exit, Told::from("it ended early".to_owned())),
            Error::Pipe => (Exit::Done, Told::from("it ended early".to_owned())),
        }
    }

    /// Prints it to standard error and answers how to exit.
    pub fn report(self) -> Exit {
        match self {
            Error::Pipe => Exit::Done,
            Error::Said(exit) => exit,
            Error::Told { exit, message, hint } => {
                let mut err = stderr().lock();
                let (bad, help) = (style::BAD, style::HELP);
                // When standard error is gone there is nobody left to tell.
                let _ = writeln!(err, "{bad}error{bad:#}: {message}");
                if let Some(hint) = hint {
                    let _ = writeln!(err, "  {help}hint{help:#}: {hint}");
                }
                exit
            }
        }
    }
}

impl From<io::Error> for Error {
    /// Only for writes to standard output: every other fault of I/O says what it was doing.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Error::Pipe,
            _ => Error::new(Exit::Unreachable, format!("failed to write to standard output: {error}")),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let exit = match error.kind {
            store::Kind::Setting | store::Kind::Refused | store::Kind::KeyTaken => Exit::Usage,
            store::Kind::NotFound => Exit::NotFound,
            _ => Exit::Unreachable,
        };
        Error::Told { exit, message: format!("failed to {error}"), hint: error.hint }
    }
}

impl From<flow::name::Miss> for Error {
    fn from(miss: flow::name::Miss) -> Self {
        let exit = if miss.ambiguous { Exit::Usage } else { Exit::NotFound };
        Error::new(exit, miss.message).maybe_hint(miss.hint)
    }
}

impl From<server::look::Error> for Error {
    fn from(error: server::look::Error) -> Self {
        match error {
            server::look::Error::Store(error) => error.into(),
            server::look::Error::Name(miss) => miss.into(),
            server::look::Error::Cursor => Error::usage("the cursor is none that this list gives"),
        }
    }
}

impl From<server::Error> for Error {
    fn from(error: server::Error) -> Self {
        match error {
            server::Error::Store(error) => error.into(),
            error => Error::Told { exit: Exit::Unreachable, message: format!("failed to {error}"), hint: error.hint() },
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let (exit, Told { message, hint }) = match trouble {
            Trouble::Store(error) => return error.into(),
            Trouble::Flow(Cause::Mistake, told) => (Exit::NotCompiled, told),
            Trouble::Flow(Cause::Request, told) => (Exit::Usage, told),
            Trouble::Flow(Cause::Missing, told) => (Exit::NotFound, told),
            Trouble::Flow(Cause::Unreadable, told) => (Exit::Failed, told),
            Trouble::Flow(Cause::Away, told) => (Exit::Unreachable, told),
        };
        Error::new(exit, message).maybe_hint(hint)
    }
}

impl From<server::retention::Error> for Error {
    fn from(error: server::retention::Error) -> Self {
        match error {
            server::retention::Error::Store(error) => error.into(),
            error => Error::new(Exit::Unreachable, format!("failed to {error}")).hint("run it again: it goes on"),
        }
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        let exit = match &error {
            engine::Error::BrokenPipe => return Error::Pipe,
            engine::Error::Lake(_) => Exit::Unreachable,
            engine::Error::NotFound(_) => Exit::NotFound,
            engine::Error::Sql(_) => Exit::NotCompiled,
            engine::Error::Failed(_) => Exit::Failed,
            engine::Error::Setting(_) => Exit::Usage,
        };
        Error::new(exit, error.to_string())
    }
}
