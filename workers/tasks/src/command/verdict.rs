//! What is said about a command that did not do well.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use flow::wire::Failure;
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::process::Command;

/// Why a command is skipped that ended with exit code 99.
pub fn nothing_to_do() -> String {
    "the command said that there is nothing to do (exit code 99)".to_owned()
}

/// A command that ended with a code that is neither 0 nor 99, or by a signal. Another try may help.
pub fn failed(status: ExitStatus, stderr_tail: &[String]) -> Failure {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit code {code}"),
        (None, Some(9)) => "the command was killed by SIGKILL, as the system does when memory runs out".to_owned(),
        (None, Some(signal)) => format!("the command was killed by {}", signal_name(signal)),
        (None, None) => format!("the command ended abnormally ({status})"),
    };
    let said = match stderr_tail {
        [] => "; it wrote nothing to stderr".to_owned(),
        lines => format!("; the end of its stderr:\n{}", lines.join("\n")),
    };
    Failure::user(how + &said).retryable()
}

/// A command that could not be started.
pub fn not_started(command: &Command, error: &io::Error) -> Failure {
    let command = command.as_std();
    let program = Path::new(command.get_program());
    let dir = command.get_current_dir().unwrap_or(Path::new("."));
    let is_file = program.components().count() > 1;
    let name = program.display();
    match (error.kind(), Errno::from_io_error(error)) {
        _ if !dir.is_dir() => Failure::user(format!("the folder {} that the command runs in is gone", dir.display())),
        (ErrorKind::NotFound, _) if is_file && program.exists() => Failure::user(format!(
            "cannot run {name}: the interpreter that its first line names does not exist; correct the line or install it"
        )),
        (ErrorKind::NotFound, _) if is_file => {
            Failure::user(format!("cannot run {name}: there is no such file; paths are relative to the flow file"))
        }
        (ErrorKind::NotFound, _) => Failure::user(format!(
            "cannot run `{name}`: no folder in PATH has such a program; install it, or give a path such as `./{name}`"
        )),
        (ErrorKind::PermissionDenied, _) => {
            Failure::user(format!("cannot run {name}: it is not an executable file; `chmod +x` makes a script one"))
        }
        (_, Some(Errno::NOEXEC)) => Failure::user(format!(
            "cannot run {name}: it is neither a program nor a script whose first line begins with `#!`"
        )),
        (_, Some(Errno::TOOBIG)) => Failure::user(format!(
            "cannot run {name}: its arguments and environment are too long; hand large values over in files"
        )),
        (ErrorKind::InvalidInput, _) => {
            Failure::user(format!("cannot run {name}: an argument or a parameter holds a NUL character; remove it"))
        }
        _ => Failure::external(format!("cannot run {name}: {error}; the system may be short of processes or memory")),
    }
}

/// A folder or file of ours that the disk refused.
pub fn disk(what: &str, path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::external(format!("cannot {what} {path}: {error}; look at the disk's free space and the permissions"))
}

fn signal_name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 15] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    let named = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
