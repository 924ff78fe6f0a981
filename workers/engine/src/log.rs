//! What a commit of a Delta log says: who published it, and which files came and went.
//!
//! The format is Delta's (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md>): a JSON action a line.
//! What flowctl adds stands in the commit info under `flowctl`.

use flow::spec::Mode;
use flow::wire::{CheckResult, Failure};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::error::delta;
use crate::lake::Table;

/// The key of [`Mark`] in a commit's info.
pub(crate) const MARK: &str = "flowctl";

/// The application whose transaction holds the highest token that published.
pub(crate) const APP_ID: &str = "flowctl";

/// Who published a version, and what it stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub run_id: String,
    pub task: String,
    pub attempt: u32,
    pub token: u64,
    /// `None` for what is never cached.
    pub fingerprint: Option<String>,
    /// Hash of task, parameters and logical time: what an append replaces when it is repeated.
    pub identity: String,
    pub mode: Mode,
    pub rows: u64,
    pub bytes: u64,
    #[serde(default)]
    pub checks: Vec<CheckResult>,
}

impl Mark {
    /// Whether both are of one attempt.
    pub fn is_of_attempt(&self, other: &Mark) -> bool {
        let attempt = |mark: &Mark| (mark.attempt, mark.token);
        self.run_id == other.run_id && self.task == other.task && attempt(self) == attempt(other)
    }
}

/// A version of a table.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub version: u64,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// `None` if another program wrote it.
    pub mark: Option<Mark>,
    /// The highest token that had published by then; 0 if only other programs had.
    pub highest: u64,
    /// Paths of the files it added, below the table, as they are there.
    pub adds: Vec<String>,
    /// Paths of the files it removed, with their bytes.
    pub removes: Vec<(String, u64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<Info>,
    txn: Option<Txn>,
    add: Option<Added>,
    remove: Option<Added>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    timestamp: i64,
    #[serde(rename = "flowctl")]
    mark: Option<Mark>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
struct Added {
    path: String,
    size: Option<i64>,
}

impl Added {
    /// The log percent-encodes paths.
    fn path(&self) -> String {
        percent_decode_str(&self.path).decode_utf8_lossy().into_owned()
    }
}

impl Table {
    /// The commit that made `version`, or `None` if the log no longer holds it.
    pub(crate) async fn commit(&self, version: u64) -> Result<Option<Commit>, Failure> {
        let bytes = self.log.read_commit_entry(version).await;
        let bytes = bytes.map_err(|error| delta(&format!("failed to read the log of `{}`", self.dataset), &error))?;
        bytes.map(|bytes| parse(version, &bytes, &self.dataset)).transpose()
    }

    /// The latest commit at or before `version` for which `wanted` holds, looking back until `stop` holds.
    pub(crate) async fn last_commit(
        &self,
        version: u64,
        wanted: impl Fn(&Mark) -> bool,
        stop: impl Fn(&Mark) -> bool,
    ) -> Result<Option<Commit>, Failure> {
        for version in (0..=version).rev() {
            let Some(commit) = self.commit(version).await? else { return Ok(None) };
            match &commit.mark {
                Some(mark) if wanted(mark) => return Ok(Some(commit)),
                Some(mark) if stop(mark) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}

fn parse(version: u64, bytes: &[u8], dataset: &str) -> Result<Commit, Failure> {
    let mut commit = Commit { version, at: 0, mark: None, highest: 0, adds: vec![], removes: vec![] };
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let line: Line = serde_json::from_slice(line).map_err(|error| {
            Failure::external(format!("version {version} of `{dataset}` has a log entry that is not Delta's: {error}"))
        })?;
        if let Some(info) = line.commit_info {
            commit.at = info.timestamp;
            commit.mark = info.mark;
        }
        if let Some(txn) = line.txn.filter(|txn| txn.app_id == APP_ID) {
            commit.highest = u64::try_from(txn.version).unwrap_or(0);
        }
        commit.adds.extend(line.add.map(|file| file.path()));
        commit.removes.extend(line.remove.map(|file| (file.path(), file.size.unwrap_or_default().unsigned_abs())));
    }
    Ok(commit)
}
