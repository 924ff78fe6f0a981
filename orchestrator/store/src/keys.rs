//! What requests for runs are called, so that asking again makes no second one.

use flow::api::Once;
use flow::run::Run;

use crate::Store;
use crate::db::Tx;
use crate::error::{Error, Kind};
use crate::row::Row;
use crate::runs::json;

/// The name that a client gives to its request for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    /// What tells the request from others: a hash of all that it says.
    pub request: String,
}

impl Store {
    /// The run that a client's request has made, or found, before.
    ///
    /// # Errors
    ///
    /// [`Kind::KeyTaken`] if the key was used for another request.
    pub async fn keyed(&self, key: &Key) -> Result<Option<String>, Error> {
        key.run_in(self.db.read(include_str!("../sql/key_read.sql"), &[key.name.as_str().into()]).await?)
    }
}

impl Key {
    /// The run that the key's row names, if the row is there.
    fn run_in(&self, rows: Vec<Row<'_>>) -> Result<Option<String>, Error> {
        let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
        let (run_id, request) = (row.text()?, row.text_or_null()?);
        if request.is_some_and(|request| request != self.request) {
            let message = format!("ask for a run by the key `{}`: run {run_id} is of another request", self.name);
            return Err(Error::new(Kind::KeyTaken, message).hint("give each request a key of its own"));
        }
        Ok(Some(run_id))
    }
}

/// Gives the run the key, or answers the run that has it.
pub(crate) async fn take(tx: &mut Tx<'_>, key: &Key, run_id: &str) -> Result<Option<String>, Error> {
    let args = [key.name.as_str().into(), run_id.into(), key.request.as_str().into()];
    if tx.execute(include_str!("../sql/key_insert.sql"), &args).await? == 1 {
        return Ok(None);
    }
    let rows = tx.fetch(include_str!("../sql/key_read.sql"), &[key.name.as_str().into()]).await?;
    key.run_in(rows)
}

/// Gives the keys of one run to another.
pub(crate) async fn hand_over(tx: &mut Tx<'_>, from: &str, to: &str) -> Result<(), Error> {
    tx.execute(include_str!("../sql/keys_move.sql"), &[from.into(), to.into()]).await.map(drop)
}

/// The run that stands for one that is to be made. Of several who ask for the same time, each waits for the last.
pub(crate) async fn stand_in(tx: &mut Tx<'_>, run: &Run, once: Once) -> Result<Option<String>, Error> {
    let plan = run.plan();
    let Some(time) = plan.logical_time else { return Ok(None) };
    let params = json(&flow::view::params(&plan.params))?;
    // No client can give a run this name: a header has no line breaks.
    let key = format!("time\n{}", blake3::hash(format!("{}\n{time}\n{params}", plan.flow).as_bytes()).to_hex());
    tx.execute(include_str!("../sql/key_take.sql"), &[key.into(), run.id().into()]).await?;
    let part = plan.selection.as_deref().unwrap_or_default();
    let args = [plan.flow.as_str().into(), time.into(), params.into(), (once == Once::Done).into(), part.into()];
    let rows = tx.fetch(include_str!("../sql/stand_in.sql"), &args).await?;
    rows.into_iter().next().map(|mut row| row.text()).transpose()
}
