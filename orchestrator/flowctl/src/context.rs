//! What commands share. Nothing is opened before it is needed.

use std::cell::OnceCell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use engine::Engine;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use store::Store;
use tasks::Lanes;
use tokio::runtime::{Builder, Handle, Runtime};
use worker::Access;

use crate::archive::Archive;
use crate::cli::Global;
use crate::client::Client;
use crate::error::Error;
use crate::exit::Exit;
use crate::settings::Settings;

/// The stack of every thread that may plan a query. Planning recurses as deeply as the query nests, see
/// [`engine::DEPTH_MAX`]; memory is taken only where the stack is used.
pub const STACK_BYTES: usize = 64 << 20;

pub struct Context {
    pub global: Global,
    settings: OnceCell<Settings>,
    lanes: Lanes,
}

impl Context {
    pub fn new(global: Global) -> Self {
        Context { global, settings: OnceCell::new(), lanes: Lanes::new(|| threads(&mut Builder::new_multi_thread())) }
    }

    pub fn json(&self) -> bool {
        self.global.json
    }

    pub fn settings(&self) -> Result<&Settings, Error> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let found = Settings::find(&self.global)?;
        Ok(self.settings.get_or_init(|| found))
    }

    /// What opens a server's door. The token is no flag: everybody on the machine can read those.
    pub fn access(&self) -> Access {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let token = std::env::var("FLOWCTL_TOKEN").ok().filter(|token| !token.is_empty());
        Access { ca: given(&self.global.ca), token, token_file: given(&self.global.token_file) }
    }

    /// The server to ask, if one is named: by --server, else by FLOWCTL_SERVER.
    pub fn server(&self) -> Result<Option<Client>, Error> {
        self.server_url().map(|url| Client::new(&url, &self.access())).transpose()
    }

    /// The URL of the server to ask.
    pub fn server_url(&self) -> Option<String> {
        let named = || std::env::var("FLOWCTL_SERVER").ok();
        self.global.server.clone().or_else(named).filter(|url| !url.is_empty())
    }

    /// Where runs are looked up, if anything is there.
    pub async fn archive_if_any(&self) -> Result<Option<Archive>, Error> {
        match self.server()? {
            Some(client) => Ok(Some(Archive::There(client))),
            None => Ok(self.store_if_any().await?.map(|store| Archive::Here(Box::new(store)))),
        }
    }

    /// Where runs are looked up, because the command asks for something in it.
    pub async fn archive(&self) -> Result<Archive, Error> {
        match self.server()? {
            Some(client) => Ok(Archive::There(client)),
            None => Ok(Archive::Here(Box::new(self.store_with_runs().await?))),
        }
    }

    /// Opens the store to write, and makes it if it is not there.
    pub async fn store(&self) -> Result<Store, Error> {
        let settings = self.settings()?;
        Ok(Store::open(&settings.store).await?.with_pools(settings.pools.clone()))
    }

    /// Opens the store if there is one: looking at nothing leaves nothing behind.
    pub async fn store_if_any(&self) -> Result<Option<Store>, Error> {
        let setting = &self.settings()?.store;
        if let Some(path) = setting.strip_prefix("sqlite:") {
            let there = Path::new(path).try_exists().map_err(|error| {
                Error::new(Exit::Unreachable, format!("failed to open the store at {path}: {error}"))
                    .hint("--store, FLOWCTL_STORE or `store` in flowctl.toml say where it is")
            })?;
            if !there {
                return Ok(None);
            }
        }
        self.store().await.map(Some)
    }

    /// Opens the store that must be there, because the command asks for something in it.
    pub async fn store_with_runs(&self) -> Result<Store, Error> {
        let place = self.settings()?.store_place();
        self.store_if_any().await?.ok_or_else(|| {
            Error::not_found(format!("nothing has run here yet: there is no store at {place}"))
                .hint("`flowctl run FLOW` makes it; --store, FLOWCTL_STORE or flowctl.toml name another")
        })
    }

    /// Makes an engine that only looks: it leaves nothing in the project.
    pub fn engine(&self) -> Result<Engine, Error> {
        self.engine_with(std::env::temp_dir())
    }

    /// Makes an engine for much data, which spills beside the store and not to a `/tmp` that may be memory.
    pub fn engine_to_work(&self) -> Result<Engine, Error> {
        let spill = self.settings()?.ours().join("spill");
        sweep(&spill);
        let scratch = spill.join(std::process::id().to_string());
        std::fs::create_dir_all(&scratch).map_err(|error| {
            Error::new(Exit::Unreachable, format!("failed to make the folder `{}`: {error}", scratch.display()))
                .hint("check who may write there and whether the disk is full")
        })?;
        self.engine_with(scratch)
    }

    fn engine_with(&self, scratch: PathBuf) -> Result<Engine, Error> {
        let settings = self.settings()?;
        let notes = settings.ours().join("types");
        let settings = engine::Settings { lake: settings.lake.clone(), memory: settings.memory, scratch, notes };
        Ok(Engine::new(&settings)?)
    }

    /// Threads for queries, as many for each as there are cores. They end with this, after what a query that was given up
    /// has yet to clear away.
    pub fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }

    /// Runs what needs no more than one thread.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        runtime(&mut Builder::new_current_thread())?.block_on(work)
    }

    /// Runs what keeps all cores busy.
    pub fn block_on_all<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let cores = runtime(&mut Builder::new_multi_thread())?;
        let done = cores.block_on(work);
        // Reads that nobody waits for any more must not hold up the end.
        cores.shutdown_background();
        done
    }

    /// Runs what decides on this thread, which stays free for signals, leases and reports, however busy the cores
    /// are with what it hands to the runtime that it is given.
    pub fn block_on_deciding<T, F>(&self, work: impl FnOnce(Handle) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let cores = runtime(&mut Builder::new_multi_thread())?;
        let done = self.block_on(work(cores.handle().clone()));
        cores.shutdown_background();
        done
    }
}

/// Removes what processes that are gone have spilled. What cannot be removed now is tried again by the next.
fn sweep(spill: &Path) {
    for entry in std::fs::read_dir(spill).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn runtime(builder: &mut Builder) -> Result<Runtime, Error> {
    let told = |error| Error::new(Exit::Unreachable, format!("failed to start: {error}"));
    threads(builder).map_err(told)
}

fn threads(builder: &mut Builder) -> io::Result<Runtime> {
    builder.enable_all().thread_stack_size(STACK_BYTES).build()
}
