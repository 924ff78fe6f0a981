//! From a setting to a store: which database, where, how it is opened.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::db::Db;
use crate::error::{Error, Kind};

/// How long a write waits for another process's write, or a verb for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Connects nothing yet, but for PostgreSQL finds out whether anybody answers.
pub(crate) async fn open(setting: &str) -> Result<Db, Error> {
    match setting.split_once(':') {
        Some(("postgres" | "postgresql", _)) => postgres(setting).await,
        Some(("sqlite", path)) => sqlite(Path::new(path.strip_prefix("//").unwrap_or(path))),
        Some((scheme, rest)) if rest.starts_with("//") => {
            Err(Error::new(Kind::Setting, format!("open a store by `{scheme}:`"))
                .hint("FLOWCTL_STORE is a path, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`"))
        }
        _ => sqlite(Path::new(setting)),
    }
}

fn sqlite(path: &Path) -> Result<Db, Error> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(Kind::Setting, "open a store without a path").hint("set FLOWCTL_STORE to a file"));
    }
    let place = path.display().to_string();
    make_parent(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        .disable_statement_logging();
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(is_free(connection)))
    };
    Ok(Db::Sqlite {
        writer: pool().max_connections(1).connect_lazy_with(options.clone()),
        readers: pool().max_connections(4).connect_lazy_with(options),
        place,
    })
}

/// Whether a connection can begin a transaction. A write that a full disk broke off is rolled back by SQLite itself, and
/// sqlx, whose own rollback then fails, believes for ever that it goes on: such a connection is closed.
async fn is_free(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback may still be on its way; this comes after it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn make_parent(path: &Path) -> Result<(), Error> {
    let parent: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    if parent.as_os_str().is_empty() || parent.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(&parent).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::StorageFull { Kind::Full } else { Kind::Unwritable };
        Error::new(kind, format!("make the folder {} for the store: {error}", parent.display()))
            .hint("check the permissions, or set FLOWCTL_STORE to another place")
    })
}

async fn postgres(setting: &str) -> Result<Db, Error> {
    refuse_stray_password(setting)?;
    let options = PgConnectOptions::from_str(setting)
        .map_err(|_| setting_error())?
        .application_name("flowctl")
        .options([("synchronous_commit", "on")])
        .disable_statement_logging();
    let place = place(&options);
    greet(&options, &place).await?;
    let pool = PgPoolOptions::new().acquire_timeout(PATIENCE).max_connections(4).connect_lazy_with(options);
    Ok(Db::Postgres { pool, place })
}

/// A pool would knock for [`PATIENCE`] at a closed door and then only say that it took too long.
async fn greet(options: &PgConnectOptions, place: &str) -> Result<(), Error> {
    match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await.map_err(|error| Error::from_sqlx(place, &error)),
        Ok(Err(error)) => Err(Error::from_sqlx(place, &error)),
        Err(_) => Err(Error::from_sqlx(place, &sqlx::Error::PoolTimedOut)),
    }
}

/// User, host and database: never the password.
fn place(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@/{database} on socket {}", socket.display()),
        None => format!("postgres://{user}@{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// A password with an unencoded special character ends up in other parts of the URL, and so in
/// messages. Such a URL is refused unread.
fn refuse_stray_password(setting: &str) -> Result<(), Error> {
    let url = url::Url::parse(setting).map_err(|_| setting_error())?;
    let strayed = [Some(url.path()), url.query()].into_iter().flatten().any(|part| part.contains('@'));
    if strayed || url.fragment().is_some() { Err(setting_error()) } else { Ok(()) }
}

fn setting_error() -> Error {
    Error::new(Kind::Setting, "read the `postgres://` URL of the store").hint(
        "write postgres://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded (@ is %40, / is %2F)",
    )
}
