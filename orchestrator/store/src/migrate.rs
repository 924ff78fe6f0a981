//! The layout of the store, brought up to date by whoever opens it first.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::db::Db;
use crate::error::{Error, Kind};
use crate::open::PATIENCE;
use crate::row::Row;

/// How long to wait before asking a busy store again.
const PAUSE: Duration = Duration::from_millis(20);

/// What one migration runs.
struct Migration {
    sqlite: &'static str,
    postgres: &'static str,
}

/// In order; the number of a migration is its place from 1.
const MIGRATIONS: &[Migration] = &[
    Migration {
        sqlite: include_str!("../migrations/0001_tables.sql"),
        postgres: include_str!("../migrations/0001_tables.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0002_clock.sqlite.sql"),
        postgres: include_str!("../migrations/0002_clock.postgres.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0003_service.sql"),
        postgres: include_str!("../migrations/0003_service.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0004_access_tokens.sql"),
        postgres: include_str!("../migrations/0004_access_tokens.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0005_limits.sql"),
        postgres: include_str!("../migrations/0005_limits.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0006_retention.sql"),
        postgres: include_str!("../migrations/0006_retention.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0007_shared_plans.sql"),
        postgres: include_str!("../migrations/0007_shared_plans.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0008_selections.sqlite.sql"),
        postgres: include_str!("../migrations/0008_selections.postgres.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0009_lakes.sql"),
        postgres: include_str!("../migrations/0009_lakes.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/0010_requests.sql"),
        postgres: include_str!("../migrations/0010_requests.sql"),
    },
];

/// Checks the layout with one query and changes it only where it is behind. While another process gives a new SQLite
/// file its log, SQLite says busy at once and waits for nothing, so that we have to.
pub(crate) async fn migrate(db: &Db) -> Result<(), Error> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match bring_up_to_date(db).await {
            Err(error) if error.kind == Kind::Busy && Instant::now() < patience => sleep(PAUSE).await,
            done => return done,
        }
    }
}

async fn bring_up_to_date(db: &Db) -> Result<(), Error> {
    let version = match db.read(include_str!("../sql/schema_version.sql"), &[]).await {
        Ok(rows) => number(rows)?,
        // Both databases turn down the question while there is no such table.
        Err(error) if error.kind == Kind::Internal => 0,
        Err(error) => return Err(error),
    };
    if is_current(db, version)? { Ok(()) } else { apply(db).await }
}

fn is_current(db: &Db, version: u64) -> Result<bool, Error> {
    let known = MIGRATIONS.len() as u64;
    if version > known {
        let message = format!(
            "open the store at {}: its layout is number {version}, this flowctl knows up to {known}",
            db.place()
        );
        return Err(Error::new(Kind::Newer, message)
            .hint("a newer flowctl has written it: use that one, or set FLOWCTL_STORE to another store"));
    }
    Ok(version == known)
}

/// Holds the lock of the whole store, so that of two processes one migrates and the other finds it done.
async fn apply(db: &Db) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let postgres = matches!(db, Db::Postgres { .. });
    if postgres {
        // Differs: SQLite's `begin immediate` has locked the whole file already.
        tx.script(include_str!("../sql/migrate_lock.postgres.sql")).await?;
    }
    tx.script(include_str!("../sql/migrations.sql")).await?;
    let version = number(tx.fetch(include_str!("../sql/schema_version.sql"), &[]).await?)?;
    if is_current(db, version)? {
        return Ok(());
    }
    for (migration, number) in MIGRATIONS.iter().zip(1_u64..).skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        tx.script(if postgres { migration.postgres } else { migration.sqlite }).await?;
        tx.execute(include_str!("../sql/migrated.sql"), &[number.into()]).await?;
    }
    tx.commit().await
}

fn number(rows: Vec<Row<'_>>) -> Result<u64, Error> {
    rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
}
