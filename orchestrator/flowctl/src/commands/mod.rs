//! One file per subcommand: its arguments with their manual, and what it does, ending in an `Exit`.

pub mod completions;
pub mod explain;
pub mod init;
