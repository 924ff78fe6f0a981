//! Published tables, as far as a service cares: who has committed what, fenced as the engine does it.

use std::collections::BTreeMap;

/// A dataset's log, oldest first. A version is a place in it.
#[derive(Debug, Default)]
pub struct Lake(BTreeMap<String, Vec<Commit>>);

#[derive(Debug)]
struct Commit {
    run_id: String,
    token: u64,
}

impl Lake {
    /// Publishes for an attempt, and answers the version that stands for its task. What an earlier attempt of the same
    /// run has committed is adopted.
    ///
    /// # Errors
    /// A later attempt was faster.
    pub fn publish(&mut self, dataset: &str, run_id: &str, token: u64) -> Result<u64, String> {
        let log = self.0.entry(dataset.to_owned()).or_default();
        match log.iter().position(|commit| commit.run_id == run_id) {
            Some(version) if log[version].token <= token => Ok(version as u64),
            Some(_) => Err("a later attempt has published".to_owned()),
            None => {
                log.push(Commit { run_id: run_id.to_owned(), token });
                Ok(log.len() as u64 - 1)
            }
        }
    }

    /// The version that a run has made of a dataset.
    pub fn version(&self, dataset: &str, run_id: &str) -> Option<u64> {
        let log = self.0.get(dataset)?;
        log.iter().position(|commit| commit.run_id == run_id).map(|version| version as u64)
    }
}
