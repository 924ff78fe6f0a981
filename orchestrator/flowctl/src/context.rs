//! What commands share. Nothing is opened before it is needed.

use std::cell::OnceCell;

use crate::cli::Global;
use crate::error::Error;
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
}
