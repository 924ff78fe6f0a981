//! Exit codes.

use std::process::ExitCode;

/// How the process ends. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// The run failed (a task or a blocking check), or `fsck` found something.
    Failed = 1,
    /// The command line, a parameter or a setting is wrong.
    Usage = 2,
    /// The flow, or the SQL of `query`, does not compile.
    NotCompiled = 3,
    /// Store, lake or server cannot be reached, or was lost on the way.
    Unreachable = 4,
    /// No such flow file, run, dataset or code.
    NotFound = 5,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What `flowctl --help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    the run failed (a task or a blocking check), or `fsck` found something
  2    wrong usage, a missing or ill-typed parameter
  3    the flow, or the SQL of `query`, does not compile
  4    store, lake or server cannot be reached, or was lost on the way
  5    no such flow file, run, dataset or code
  130  interrupted";
