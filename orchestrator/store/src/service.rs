//! What services share: whose turn a schedule's times are, which runs wait for a driver, who is serving.

use std::collections::HashMap;

use flow::Time;
use serde_json::{Map, Value};

use crate::Store;
use crate::db::Db;
use crate::error::{Error, Kind};
use crate::row::Row;
use crate::runs::{Head, head, json};

/// How far a flow's schedule has been decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The last logical time that has a run or was passed over.
    pub handled: Time,
    pub paused: bool,
}

impl Store {
    /// Runs that wait for a service to drive them: made through one, not closed, and no live lease. Oldest first.
    pub async fn takeable(&self, limit: u64) -> Result<Vec<Head>, Error> {
        let rows = self.db.read(include_str!("../sql/takeable.sql"), &[limit.into()]).await?;
        rows.into_iter().map(head).collect()
    }

    /// How far the schedule of a flow has been decided; `None` if nobody has begun.
    pub async fn schedule(&self, flow: &str) -> Result<Option<Scheduled>, Error> {
        let rows = self.db.read(include_str!("../sql/schedule.sql"), &[flow.into()]).await?;
        let row = rows.into_iter().next();
        row.map(|mut row| Ok(Scheduled { handled: row.number()?, paused: row.flag()? })).transpose()
    }

    /// How far the schedule of each flow has been decided that has begun.
    pub async fn schedules(&self) -> Result<HashMap<String, Scheduled>, Error> {
        let rows = self.db.read(include_str!("../sql/schedules.sql"), &[]).await?;
        let scheduled = |mut row: Row<'_>| Ok((row.text()?, Scheduled { handled: row.number()?, paused: row.flag()? }));
        rows.into_iter().map(scheduled).collect()
    }

    /// Begins with the schedule of a flow: times up to `handled` are none of its business. Does nothing if it has begun.
    pub async fn begin_schedule(&self, flow: &str, handled: Time) -> Result<(), Error> {
        self.db.write(include_str!("../sql/schedule_begin.sql"), &[flow.into(), handled.into()]).await.map(drop)
    }

    /// Moves on from one decided time to a later one. False if somebody else has moved on already.
    pub async fn advance_schedule(&self, flow: &str, from: Time, to: Time) -> Result<bool, Error> {
        let args = [flow.into(), from.into(), to.into()];
        Ok(self.db.write(include_str!("../sql/schedule_advance.sql"), &args).await? == 1)
    }

    /// Holds the schedule of a flow, or lets it go on. False if it has not begun.
    pub async fn pause_schedule(&self, flow: &str, paused: bool) -> Result<bool, Error> {
        Ok(self.db.write(include_str!("../sql/schedule_pause.sql"), &[flow.into(), paused.into()]).await? == 1)
    }

    /// The flows whose schedules have begun.
    pub async fn scheduled_flows(&self) -> Result<Vec<String>, Error> {
        let rows = self.db.read(include_str!("../sql/scheduled_flows.sql"), &[]).await?;
        rows.into_iter().map(|mut row| row.text()).collect()
    }

    /// Whether a scheduled run of the flow is not over.
    pub async fn schedule_is_busy(&self, flow: &str) -> Result<bool, Error> {
        Ok(!self.db.read(include_str!("../sql/schedule_busy.sql"), &[flow.into()]).await?.is_empty())
    }

    /// The logical times from `from` to `to` for which a whole run of the flow with these parameters has succeeded.
    pub async fn succeeded_at(
        &self,
        flow: &str,
        params: &Map<String, Value>,
        from: Time,
        to: Time,
    ) -> Result<Vec<Time>, Error> {
        let args = [flow.into(), from.into(), to.into(), json(params)?.into()];
        let rows = self.db.read(include_str!("../sql/succeeded_at.sql"), &args).await?;
        rows.into_iter().map(|mut row| row.number()).collect()
    }

    /// Says that `server` serves this store with a lake, for `lease_ms` from now.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`] if another one does and this is an SQLite file, for only PostgreSQL is shared, or if another
    /// one does with another lake: what one publishes the other would never find.
    pub async fn serve(&self, server: &str, lake: Option<&str>, lease_ms: u64) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        if matches!(self.db, Db::Postgres { .. }) {
            // Differs: two that come in at once would not see each other; SQLite has locked the whole file already.
            tx.script(include_str!("../sql/servers_lock.postgres.sql")).await?;
        }
        for mut row in tx.fetch(include_str!("../sql/servers_others.sql"), &[server.into()]).await? {
            let (other, theirs) = (row.text()?, row.text_or_null()?);
            if matches!(self.db, Db::Sqlite { .. }) {
                let message = format!("serve the store at {}: {other} does already", self.place());
                return Err(Error::new(Kind::Refused, message)
                    .hint("stop that server, or set FLOWCTL_STORE to a PostgreSQL, which several can share"));
            }
            if is_another(lake, theirs.as_deref()) {
                return Err(self.apart(&other));
            }
        }
        tx.execute(include_str!("../sql/server_stay.sql"), &[server.into(), lease_ms.into(), lake.into()]).await?;
        tx.commit().await
    }

    /// Whether a server works now.
    pub async fn is_served(&self) -> Result<bool, Error> {
        Ok(!self.db.read(include_str!("../sql/servers_others.sql"), &["".into()]).await?.is_empty())
    }

    /// Refuses who would publish into another lake than a server that works now.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`] if it is another. One that has no id yet is none that a server works on.
    pub async fn share_lake(&self, lake: Option<&str>) -> Result<(), Error> {
        for mut row in self.db.read(include_str!("../sql/servers_others.sql"), &["".into()]).await? {
            let (server, theirs) = (row.text()?, row.text_or_null()?);
            if is_another(Some(lake.unwrap_or_default()), theirs.as_deref()) {
                return Err(self.apart(&server));
            }
        }
        Ok(())
    }

    fn apart(&self, server: &str) -> Error {
        let message = format!("use the store at {}: {server} works on another lake", self.place());
        Error::new(Kind::Refused, message).hint(
            "--lake, FLOWCTL_LAKE or `lake` in flowctl.toml name the lake, for all who share a store the same; to \
             change to another, stop the servers first",
        )
    }

    /// Says that `server` serves no more: others may take its runs over at once.
    pub async fn leave(&self, server: &str) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        tx.execute(include_str!("../sql/leases_release.sql"), &[server.into()]).await?;
        tx.execute(include_str!("../sql/server_leave.sql"), &[server.into()]).await?;
        tx.commit().await
    }
}

fn is_another(ours: Option<&str>, theirs: Option<&str>) -> bool {
    ours.zip(theirs).is_some_and(|(ours, theirs)| ours != theirs)
}
