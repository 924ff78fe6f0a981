//! Two databases behind one small surface: statements with arguments in, rows of cells out.
//!
//! sqlx's own `Any` driver is not used: it loses result codes and rewrites no placeholders.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, TypeInfo as _, ValueRef as _};

use crate::error::{Error, Kind, commit_unknown};
use crate::row::{Arg, Cell, Row};

/// A connection pool per role. `place` names the database without its password.
pub(crate) enum Db {
    /// SQLite has one writer at a time; readers see the last commit meanwhile.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        place: String,
    },
    Postgres {
        pool: PgPool,
        place: String,
    },
}

/// A write transaction. Dropped without [`Tx::commit`] it rolls back.
pub(crate) struct Tx<'a> {
    place: &'a str,
    inner: TxInner,
}

enum TxInner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Binds every argument; the two databases differ in types only.
macro_rules! bind {
    ($sql:expr, $args:expr, $persistent:expr) => {{
        let mut query = sqlx::query($sql).persistent($persistent);
        for arg in $args {
            query = match arg {
                Arg::Int(value) => query.bind(*value),
                Arg::Text(value) => query.bind(value.as_deref()),
            };
        }
        query
    }};
}

/// Fetches every row as cells.
macro_rules! fetch {
    ($query:expr, $from:expr) => {
        $query.fetch_all($from).await.and_then(|rows| rows.iter().map(|row| cells!(row)).collect())
    };
}

/// The values of a row. The unchecked reads follow the type that each value itself names.
macro_rules! cells {
    ($row:expr) => {
        (0..$row.len())
            .map(|index| {
                let raw = $row.try_get_raw(index)?;
                Ok(match raw.type_info().name() {
                    _ if raw.is_null() => Cell::Null,
                    "INTEGER" | "INT8" | "INT4" => Cell::Int($row.try_get_unchecked(index)?),
                    _ => Cell::Text($row.try_get_unchecked(index)?),
                })
            })
            .collect()
    };
}

type Cells = Result<Vec<Vec<Cell>>, sqlx::Error>;

impl Db {
    pub fn place(&self) -> &str {
        match self {
            Db::Sqlite { place, .. } | Db::Postgres { place, .. } => place,
        }
    }

    /// Reads outside of any transaction.
    pub async fn read(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row<'_>>, Error> {
        let rows: Cells = match self {
            Db::Sqlite { readers, .. } => fetch!(bind!(sql, args, true), readers),
            Db::Postgres { pool, .. } => fetch!(bind!(sql, args, true), pool),
        };
        rows_of(self.place(), rows)
    }

    /// Begins a write. On SQLite the write lock is taken at once, so that nothing read goes stale.
    pub async fn begin(&self) -> Result<Tx<'_>, Error> {
        let inner = match self {
            Db::Sqlite { writer, .. } => writer.begin_with("begin immediate").await.map(TxInner::Sqlite),
            Db::Postgres { pool, .. } => pool.begin().await.map(TxInner::Postgres),
        };
        let inner = inner.map_err(|error| Error::from_sqlx(self.place(), &error))?;
        Ok(Tx { place: self.place(), inner })
    }

    /// One statement that writes, on its own. Answers how many rows it touched.
    pub async fn write(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let touched = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(touched)
    }

    /// Runs the statement that copies the whole database into a file. It reads one state and stops nobody from writing.
    pub async fn copy_to(&self, sql: &'static str, file: &str) -> Result<(), Error> {
        let args = [Arg::from(file)];
        let done = match self {
            Db::Sqlite { readers, .. } => bind!(sql, &args, false).execute(readers).await.map(drop),
            Db::Postgres { place, .. } => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("copy the store at {place}: that is pg_dump's business"),
                ));
            }
        };
        done.map_err(|error| Error::from_sqlx(self.place(), &error))
    }

    /// Begins to read what is committed now: what others write meanwhile is not seen.
    pub async fn snapshot(&self) -> Result<Tx<'_>, Error> {
        let inner = match self {
            Db::Sqlite { readers, .. } => readers.begin_with("begin").await.map(TxInner::Sqlite),
            Db::Postgres { pool, .. } => {
                pool.begin_with("begin isolation level repeatable read read only").await.map(TxInner::Postgres)
            }
        };
        let inner = inner.map_err(|error| Error::from_sqlx(self.place(), &error))?;
        Ok(Tx { place: self.place(), inner })
    }

    pub async fn close(&self) {
        match self {
            Db::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Db::Postgres { pool, .. } => pool.close().await,
        }
    }
}

impl<'p> Tx<'p> {
    pub fn place(&self) -> &'p str {
        self.place
    }

    /// Answers how many rows the statement touched.
    pub async fn execute(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, Error> {
        let touched = match &mut self.inner {
            TxInner::Sqlite(tx) => bind!(sql, args, true).execute(&mut **tx).await.map(|done| done.rows_affected()),
            TxInner::Postgres(tx) => bind!(sql, args, true).execute(&mut **tx).await.map(|done| done.rows_affected()),
        };
        touched.map_err(|error| Error::from_sqlx(self.place, &error))
    }

    pub async fn fetch(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row<'p>>, Error> {
        self.fetch_text(sql.into(), args, true).await
    }

    /// Several statements without arguments.
    pub async fn script(&mut self, sql: &'static str) -> Result<(), Error> {
        let done = match &mut self.inner {
            TxInner::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
            TxInner::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
        };
        done.map_err(|error| Error::from_sqlx(self.place, &error))
    }

    /// Runs a statement whose line after `values` is one row's tuple for many rows, a batch at a
    /// time. Answers what `returning` gives.
    pub async fn bulk<const N: usize>(
        &mut self,
        sql: &'static str,
        rows: &[[Arg<'_>; N]],
    ) -> Result<Vec<Row<'p>>, Error> {
        let mut returned = vec![];
        for batch in rows.chunks(BATCH_ROWS) {
            let text = match &self.inner {
                TxInner::Sqlite(_) => repeat(sql, batch.len(), N, '?'),
                TxInner::Postgres(_) => repeat(sql, batch.len(), N, '$'),
            };
            let cached = batch.len() == BATCH_ROWS || batch.len() <= SMALL_BATCH_ROWS;
            returned.extend(self.fetch_text(text.into(), batch.as_flattened(), cached).await?);
        }
        Ok(returned)
    }

    async fn fetch_text(
        &mut self,
        sql: Cow<'static, str>,
        args: &[Arg<'_>],
        cached: bool,
    ) -> Result<Vec<Row<'p>>, Error> {
        // The text is a file of this crate, with at most its own placeholders repeated.
        let sql = AssertSqlSafe(sql);
        let rows: Cells = match &mut self.inner {
            TxInner::Sqlite(tx) => fetch!(bind!(sql, args, cached), &mut **tx),
            TxInner::Postgres(tx) => fetch!(bind!(sql, args, cached), &mut **tx),
        };
        rows_of(self.place, rows)
    }

    /// Makes everything durable before it answers.
    pub async fn commit(self) -> Result<(), Error> {
        let done = match self.inner {
            TxInner::Sqlite(tx) => tx.commit().await,
            TxInner::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|error| {
            let known = Error::from_sqlx(self.place, &error);
            if commit_unknown(&error) { Error { kind: Kind::Unknown, ..known } } else { known }
        })
    }
}

fn rows_of(place: &str, rows: Cells) -> Result<Vec<Row<'_>>, Error> {
    let rows = rows.map_err(|error| Error::from_sqlx(place, &error))?;
    Ok(rows.into_iter().map(|cells| Row::new(place, cells)).collect())
}

/// Rows of one statement: SQLite takes 32,766 arguments, PostgreSQL 65,535.
const BATCH_ROWS: usize = 500;
/// Batches this small are common, so that their texts are worth remembering.
const SMALL_BATCH_ROWS: usize = 4;

/// The statement with its tuple repeated and renumbered. `?` is SQLite's placeholder that needs no search by name.
fn repeat(sql: &str, rows: usize, width: usize, mark: char) -> String {
    let Some((head, rest)) = sql.split_once("values\n") else { return sql.to_string() };
    let (tuple, tail) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut parts = tuple.split('$');
    let start = parts.next().unwrap_or_default();
    let parts: Vec<(usize, &str)> = parts
        .map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            (part[..digits].parse().unwrap_or_default(), &part[digits..])
        })
        .collect();
    let mut text = format!("{head}values\n");
    for row in 0..rows {
        text.push_str(if row > 0 { ",\n" } else { "" });
        text.push_str(start);
        for (number, after) in &parts {
            text.push(mark);
            text.push_str(&(row * width + number).to_string());
            text.push_str(after);
        }
    }
    text.push('\n');
    text.push_str(tail);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuple_is_repeated_and_renumbered() {
        let sql = "insert into t (a, b)\nvalues\n($1, f($2))\non conflict do nothing\n";
        let twice = "insert into t (a, b)\nvalues\n(?1, f(?2)),\n(?3, f(?4))\non conflict do nothing\n";
        assert_eq!(repeat(sql, 2, 2, '?'), twice);
        assert_eq!(repeat(sql, 1, 2, '$'), sql);
    }
}
