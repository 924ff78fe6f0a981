//! How long tasks took, so that the next run knows what is long.

use std::collections::HashMap;

use flow::Time;

use crate::Store;
use crate::error::Error;

impl Store {
    /// How long each task of a flow took on average in its last five runs, in milliseconds.
    pub async fn durations(&self, flow: &str) -> Result<HashMap<String, Time>, Error> {
        let rows = self.db.read(include_str!("../sql/durations.sql"), &[flow.into()]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.number()?))).collect()
    }
}
