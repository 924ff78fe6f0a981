//! Where the project, its store and its lake are: flags, then environment, then `flowctl.toml`, then defaults.

mod file;
pub mod size;

use std::path::{Path, PathBuf};

use store::Sizes;

use crate::cli::Global;
use crate::error::Error;

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The folder of `flowctl.toml`, or the working directory.
    pub root: PathBuf,
    /// The `flowctl.toml` in force.
    pub file: Option<PathBuf>,
    /// `sqlite:PATH` with an absolute path, or `postgres://…`.
    pub store: String,
    /// An absolute path, or a URL.
    pub lake: String,
    /// Bytes that queries may use together. `None`: a share of the machine.
    pub memory: Option<u64>,
    /// Attempts that run at the same time.
    pub slots: usize,
    /// How many slots each pool has.
    pub pools: Sizes,
    /// How long runs of flows are kept that do not say so themselves. Milliseconds. `None`: for ever.
    pub keep: Option<u64>,
}

impl Settings {
    /// # Errors
    /// A `flowctl.toml` that cannot be read or makes no sense (its diagnostics are printed), or a size
    /// that is none.
    pub fn find(global: &Global) -> Result<Settings, Error> {
        let cwd = std::env::current_dir().map_err(|error| {
            Error::usage(format!("failed to find the working directory: {error}"))
                .hint("change to a folder that exists")
        })?;
        let file = cwd.ancestors().map(|folder| folder.join("flowctl.toml")).find(|path| path.is_file());
        let written = file.as_deref().map(file::read).transpose()?.unwrap_or_default();
        let root = file.as_deref().and_then(Path::parent).unwrap_or(&cwd).to_path_buf();

        // What is given by hand is relative to where it was given, what is written to the file it stands in.
        let place = |given: &Option<String>, written: Option<String>, default: &str| match (non_empty(given), written) {
            (Some(given), _) => (given, cwd.as_path()),
            (None, Some(written)) => (written, root.as_path()),
            (None, None) => (default.to_owned(), root.as_path()),
        };
        let (store, store_base) = place(&global.store, written.store, ".flowctl/state.db");
        let (lake, lake_base) = place(&global.lake, written.lake, ".flowctl/lake");
        let memory = match non_empty(&global.memory) {
            Some(text) => Some(size::parse(&text).map_err(|problem| {
                Error::usage(format!("`{text}` is no amount of memory: {problem}"))
                    .hint("write it like `2GiB` or `512MB`")
            })?),
            None => written.memory,
        };
        let slots = global.slots.or(written.slots).unwrap_or_else(default_slots);
        Ok(Settings {
            store: absolute_store(&store, store_base),
            lake: absolute_lake(&lake, lake_base),
            memory,
            slots,
            pools: written.pools,
            keep: written.keep,
            root,
            file,
        })
    }

    /// Where the store is, for messages: a path, or a URL without its password. Other programs take it as well.
    pub fn store_place(&self) -> String {
        match url::Url::parse(&self.store) {
            Ok(mut url) if url.has_host() => {
                // Fails only for URLs that cannot have one.
                let _ = url.set_password(None);
                // As it was written: libpq takes no `+` for a space.
                let is_open = |pair: &&str| {
                    let mut known = url::form_urlencoded::parse(pair.as_bytes());
                    known.all(|(key, _)| !key.to_ascii_lowercase().contains("pass"))
                };
                let shown: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_open).collect();
                let shown = Some(shown.join("&")).filter(|query| !query.is_empty());
                url.set_query(shown.as_deref());
                url.to_string()
            }
            _ => self.store.trim_start_matches("sqlite:").to_owned(),
        }
    }

    /// The folder for what is ours on this machine, whatever store and lake are.
    pub fn ours(&self) -> PathBuf {
        self.root.join(".flowctl")
    }
}

/// An empty variable is an unset one.
fn non_empty(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// Commands and reads wait more than they compute, so that small machines get some more slots than cores.
fn default_slots() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).max(4)
}

fn absolute_store(store: &str, base: &Path) -> String {
    // Of a scheme that it does not know, the store says so: as a path its password would be shown.
    if store.contains("://") && !store.starts_with("sqlite:") {
        return store.to_owned();
    }
    let path = store.strip_prefix("sqlite:").unwrap_or(store);
    let path = path.strip_prefix("//").filter(|rest| !rest.is_empty()).unwrap_or(path);
    format!("sqlite:{}", base.join(path).display())
}

fn absolute_lake(lake: &str, base: &Path) -> String {
    match lake.strip_prefix("file://") {
        Some(path) => path.to_owned(),
        None if lake.contains("://") => lake.to_owned(),
        None => base.join(lake).display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_all_but_the_password() {
        let place = |store: &str| Settings { store: store.to_owned(), ..settings() }.store_place();
        assert_eq!(place("postgres://u:p@h/db"), "postgres://u@h/db");
        assert_eq!(place("postgres://u@h/db?password=p&host=%2Frun%2Fpg"), "postgres://u@h/db?host=%2Frun%2Fpg");
        assert_eq!(place("postgres://u:p@h/db?sslmode=require"), "postgres://u@h/db?sslmode=require");
        assert_eq!(place("postgres://u@h/db?PASSWORD=p&%70assword=q"), "postgres://u@h/db");
        assert_eq!(place("postgres://u@h/db?options=-c%20a=b"), "postgres://u@h/db?options=-c%20a=b");
    }

    fn settings() -> Settings {
        let (store, lake) = ("sqlite:/s".to_owned(), "/lake".to_owned());
        let (root, pools) = (PathBuf::new(), Sizes::new());
        Settings { root, file: None, store, lake, memory: None, slots: 1, pools, keep: None }
    }

    #[test]
    fn paths_become_absolute_and_urls_stay() {
        let base = Path::new("/project");
        assert_eq!(absolute_store("state.db", base), "sqlite:/project/state.db");
        assert_eq!(absolute_store("sqlite:x/s.db", base), "sqlite:/project/x/s.db");
        assert_eq!(absolute_store("sqlite:///var/s.db", base), "sqlite:/var/s.db");
        assert_eq!(absolute_store("postgres://u:p@h/db", base), "postgres://u:p@h/db");
        assert_eq!(absolute_lake("lake", base), "/project/lake");
        assert_eq!(absolute_lake("s3://bucket/lake", base), "s3://bucket/lake");
        assert_eq!(absolute_lake("file:///lake", base), "/lake");
    }
}
