//! Numbers for those who watch from a distance.

use std::collections::BTreeMap;

use flow::run::RunState;

use crate::Store;
use crate::error::Error;
use crate::limits::SILENCE_MS;
use crate::row::Row;

impl Store {
    /// How many runs of each flow are in each state that is no end, at most `limit` such numbers.
    pub async fn open_by_flow(&self, limit: u64) -> Result<Vec<(String, RunState, u64)>, Error> {
        let rows = self.db.read(include_str!("../sql/runs_open_count.sql"), &[limit.into()]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.word()?, row.number()?))).collect()
    }

    /// How many runs wait for slots of each pool in which any does.
    pub async fn waiting_by_pool(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = self.db.read(include_str!("../sql/waits_count.sql"), &[SILENCE_MS.into()]).await?;
        let counted = |mut row: Row<'_>| Ok((row.text()?, row.number()?));
        rows.into_iter().map(counted).collect()
    }
}
