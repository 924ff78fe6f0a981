//! What can go wrong with the store, where, and what to do about it.

use std::fmt;

/// A failed verb. Displayed as a fragment that continues "failed to …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    /// What went wrong and where. Never holds a password.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The setting names no store.
    Setting,
    /// Nobody answers, or the connection broke before anything was decided.
    Unreachable,
    /// The store may be read but not written, or its file may not be opened.
    Unwritable,
    /// The disk is full.
    Full,
    /// Somebody else keeps the store locked for too long.
    Busy,
    /// A newer flowctl has changed the layout.
    Newer,
    /// The file is damaged, no store at all, or holds what no flowctl wrote.
    Corrupt,
    /// Somebody else has decided first: read the tail and go on from there. Nothing was written.
    Conflict,
    /// A client's key was used for another request. Nothing was written.
    KeyTaken,
    /// A pool has no slot for what would start: put it off. Nothing was written.
    NoRoom,
    /// The connection broke during the commit: it may or may not have happened. Ask [`crate::Store::settle`].
    Unknown,
    /// There is no such run or dataset.
    NotFound,
    /// The request makes no sense as it is: an ambiguous prefix, a finished run.
    Refused,
    /// The database turned down our own SQL.
    Internal,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Error { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn corrupt(place: &str, what: impl fmt::Display) -> Self {
        Error::new(Kind::Corrupt, format!("read the store at {place}: {what}"))
            .hint("run `flowctl fsck`; restore the store from a backup if it was edited or damaged")
    }

    /// What sqlx says, in our words. `place` is where the store is, without its password.
    pub(crate) fn from_sqlx(place: &str, error: &sqlx::Error) -> Self {
        let kind = kind(error);
        let error = plain(error);
        let (message, hint) = match kind {
            Kind::Conflict => (format!("write to the store at {place}: somebody else has decided first"), None),
            Kind::Full => (
                format!("write to the store at {place}: the disk is full ({error})"),
                Some("free some space and run the command again; what was recorded is safe"),
            ),
            Kind::Unwritable => (
                format!("write to the store at {place}: {error}"),
                Some("check the permissions of the file and its folder, or set FLOWCTL_STORE to another place"),
            ),
            Kind::Busy => (
                format!("write to the store at {place}: it stayed locked for too long ({error})"),
                Some("another process holds it; end that process or wait, then try again"),
            ),
            Kind::Corrupt => (
                format!("read the store at {place}: {error}"),
                Some(
                    "the file is damaged or no flowctl store; restore a backup, or set FLOWCTL_STORE to another place",
                ),
            ),
            Kind::Unreachable | Kind::Unknown => (
                format!("reach the store at {place}: {error}"),
                Some("check that the database runs and that FLOWCTL_STORE names it rightly"),
            ),
            _ => (format!("use the store at {place}: {error}"), None),
        };
        Error { kind, message, hint: hint.map(String::from) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Without sqlx's preambles, which say twice what the message around it says.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_string(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "no connection became free in time".to_string(),
        error => error.to_string(),
    }
}

fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() || error.is_foreign_key_violation() => {
            Kind::Conflict
        }
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if code.len() == 5 && error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
                kind_postgres(&code)
            }
            Some(code) => kind_sqlite(code.parse().unwrap_or_default()),
            None => Kind::Internal,
        },
        sqlx::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::StorageFull => Kind::Full,
            _ => Kind::Unreachable,
        },
        sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Kind::Unreachable,
        sqlx::Error::Configuration(_) => Kind::Setting,
        _ => Kind::Internal,
    }
}

/// Result codes: <https://www.sqlite.org/rescode.html>. The low byte is the primary code.
fn kind_sqlite(code: i32) -> Kind {
    match code & 0xff {
        3 | 8 | 14 | 23 => Kind::Unwritable, // PERM, READONLY, CANTOPEN, AUTH
        5 | 6 => Kind::Busy,                 // BUSY, LOCKED
        11 | 26 => Kind::Corrupt,            // CORRUPT, NOTADB
        13 => Kind::Full,                    // FULL
        10 => Kind::Unreachable,             // IOERR
        _ => Kind::Internal,
    }
}

/// Classes: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn kind_postgres(code: &str) -> Kind {
    match code {
        "53100" => Kind::Full,
        "25006" | "42501" => Kind::Unwritable, // read-only transaction, insufficient privilege
        "40001" | "40P01" | "55P03" => Kind::Busy, // serialisation, deadlock, lock not available
        "XX001" | "XX002" => Kind::Corrupt,
        _ if ["08", "28", "3D", "53", "57", "58"].contains(&&code[..2]) => Kind::Unreachable,
        _ => Kind::Internal,
    }
}

/// Whether the error of a commit leaves open if it happened: the answer got lost, not the question refused.
pub(crate) fn commit_unknown(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.len() == 5 && code.starts_with("57P")),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_sqlite_keep_their_meaning_when_extended() {
        let cantopen_isdir = 14 | (2 << 8);
        let readonly_directory = 8 | (6 << 8);
        let ioerr_write = 10 | (3 << 8);
        assert_eq!([cantopen_isdir, readonly_directory].map(kind_sqlite), [Kind::Unwritable; 2]);
        assert_eq!(
            [13, 5, 11, 26, 1].map(kind_sqlite),
            [Kind::Full, Kind::Busy, Kind::Corrupt, Kind::Corrupt, Kind::Internal]
        );
        assert_eq!(kind_sqlite(ioerr_write), Kind::Unreachable);
    }

    #[test]
    fn codes_of_postgres_fall_into_the_kinds_that_callers_tell_apart() {
        let unreachable = ["08006", "28P01", "3D000", "53300", "57P01", "58030"];
        assert_eq!(unreachable.map(kind_postgres), [Kind::Unreachable; 6]);
        assert_eq!(["53100", "25006", "40P01"].map(kind_postgres), [Kind::Full, Kind::Unwritable, Kind::Busy]);
        assert_eq!(kind_postgres("42P01"), Kind::Internal);
    }

    #[test]
    fn only_a_lost_answer_leaves_a_commit_open() {
        let cut = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(commit_unknown(&cut));
        assert!(!commit_unknown(&sqlx::Error::PoolTimedOut));
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = Error::from_sqlx("a.db", &sqlx::Error::Io(std::io::ErrorKind::StorageFull.into()));
        assert_eq!(error.kind, Kind::Full);
        assert!(error.message.starts_with("write to the store at a.db: the disk is full"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("free some space")));
    }
}
