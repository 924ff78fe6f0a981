//! What flowctl remembers, in SQLite or PostgreSQL: plans, runs, their events, datasets, lineage, logs.
//!
//! The journal is the truth: `(run_id, seq)` is its primary key, and whoever appends second is told
//! [`Kind::Conflict`]. Everything in `runs` and `tasks` beside the identity of a run follows from it
//! and is written in the same transaction. When a verb that writes answers `Ok`, what it wrote is on
//! disk (SQLite: WAL with synchronous FULL; PostgreSQL: synchronous commit).

mod access;
mod append;
mod backup;
mod counts;
mod datasets;
mod db;
mod durations;
mod error;
mod fsck;
mod keys;
mod leases;
mod limits;
mod logs;
mod looks;
mod migrate;
mod open;
mod retention;
mod row;
mod runs;
mod service;

pub use access::{Scope, Token, Tokens};
pub use datasets::{Newest, Version};
pub use error::{Error, Kind};
pub use fsck::Finding;
pub use keys::Key;
pub use limits::{Hold, Sizes};
pub use logs::{Line, NumberedLine};
pub use retention::RETENTION;
pub use runs::{Created, Head, Loaded, NewRun, Origin};
pub use service::Scheduled;

/// An open store. Cheap to share by reference; the verbs take `&self`.
pub struct Store {
    db: db::Db,
    /// How many slots each pool has.
    pools: Sizes,
}

impl Store {
    /// Opens the store that `setting` names (a path, `sqlite:PATH`, `postgres://…`), makes it if it
    /// is an SQLite file that does not exist, and brings its layout up to date.
    pub async fn open(setting: &str) -> Result<Store, Error> {
        let db = open::open(setting).await?;
        migrate::migrate(&db).await?;
        Ok(Store { db, pools: Sizes::new() })
    }

    /// Where the store is, for messages. Holds no password.
    pub fn place(&self) -> &str {
        self.db.place()
    }

    /// Closes every connection. SQLite then folds its log into the file.
    pub async fn close(self) {
        self.db.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.place()).finish()
    }
}
