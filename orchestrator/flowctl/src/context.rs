//! What commands share. Nothing is opened before it is needed.

use std::cell::OnceCell;
use std::future::Future;
use std::path::Path;

use store::Store;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Global;
use crate::error::Error;
use crate::exit::Exit;
use crate::settings::Settings;

pub struct Context {
    pub global: Global,
    settings: OnceCell<Settings>,
}

impl Context {
    pub fn new(global: Global) -> Self {
        Context { global, settings: OnceCell::new() }
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

    /// Opens the store to write, and makes it if it is not there.
    pub async fn store(&self) -> Result<Store, Error> {
        Ok(Store::open(&self.settings()?.store).await?)
    }

    /// Opens the store if there is one: looking at nothing leaves nothing behind.
    pub async fn store_if_any(&self) -> Result<Option<Store>, Error> {
        let setting = &self.settings()?.store;
        match setting.strip_prefix("sqlite:") {
            Some(path) if !Path::new(path).exists() => Ok(None),
            _ => Ok(Some(Store::open(setting).await?)),
        }
    }

    /// Opens the store that must be there, because the command asks for something in it.
    pub async fn store_with_runs(&self) -> Result<Store, Error> {
        let place = self.settings()?.store_place();
        self.store_if_any().await?.ok_or_else(|| {
            Error::not_found(format!("nothing has run here yet: there is no store at {place}"))
                .hint("`flowctl run FLOW` makes it; --store, FLOWCTL_STORE or flowctl.toml name another")
        })
    }

    /// Runs what needs no more than one thread.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        runtime(&mut Builder::new_current_thread())?.block_on(work)
    }
}

fn runtime(builder: &mut Builder) -> Result<Runtime, Error> {
    let told = |error| Error::new(Exit::Unreachable, format!("failed to start: {error}"));
    builder.enable_all().build().map_err(told)
}
