//! One file per subcommand: its arguments with their manual, and what it does, ending in an `Exit`.

pub mod backfill;
pub mod backup;
pub mod cancel;
pub mod check;
pub mod completions;
pub mod datasets;
pub mod doctor;
pub mod explain;
pub mod fsck;
pub mod impact;
pub mod init;
pub mod lineage;
pub mod logs;
pub mod next;
pub mod pause;
pub mod plan;
pub mod prune;
pub mod query;
pub mod resume;
pub mod retry;
pub mod run;
pub mod runs;
pub mod schema;
pub mod serve;
pub mod show;
pub mod token;
pub mod why;
pub mod worker;

use crate::error::Error;

/// A flow's name, where a server knows flows by their names and not by their files.
fn flow_name(flow: &std::path::Path) -> Result<&str, Error> {
    let name = flow.to_str().unwrap_or_default();
    if name.is_empty() || name.contains('/') || name.ends_with(".toml") {
        return Err(Error::usage(format!("`{}` is a file, but a server knows flows by their names", flow.display()))
            .hint("give the flow's name, or leave out --server and FLOWCTL_SERVER to use the file here"));
    }
    Ok(name)
}
