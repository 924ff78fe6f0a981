//! How long tasks take, so that the next run knows what is long.

use std::collections::{BTreeMap, HashMap};

use flow::Time;
use flow::run::{Run, Took};

use crate::Store;
use crate::db::Tx;
use crate::error::Error;
use crate::row::Arg;
use crate::runs::json;

/// Of how many attempts a task's durations are remembered.
const REMEMBERED: usize = 20;

impl Store {
    /// How long each task of a flow took in its last attempts that succeeded and were not cached.
    pub async fn took(&self, flow: &str) -> Result<HashMap<String, Took>, Error> {
        let rows = self.db.read(include_str!("../sql/durations.sql"), &[flow.into()]).await?;
        let mut took = HashMap::new();
        for mut row in rows {
            let (task, took_ms) = (row.text()?, row.json()?);
            took.extend(Took::of(took_ms).map(|known| (task, known)));
        }
        Ok(took)
    }

    /// How long each task of a flow is expected to take, in milliseconds.
    pub async fn durations(&self, flow: &str) -> Result<HashMap<String, Time>, Error> {
        Ok(self.took(flow).await?.into_iter().map(|(task, took)| (task, took.median_ms)).collect())
    }
}

/// Takes in how long the tasks of a run took that is closed. Of two runs that close at the same moment one may be
/// forgotten, which changes no decision but the order of tasks.
pub(crate) async fn learn(tx: &mut Tx<'_>, run: &Run) -> Result<(), Error> {
    let plan = run.plan();
    let took = (0..plan.tasks.len()).filter_map(|id| Some((plan.tasks[id].name.as_str(), run.took_ms(id)?)));
    // In order, so that two runs that close at the same moment do not wait for each other.
    let took: BTreeMap<&str, Time> = took.collect();
    if took.is_empty() {
        return Ok(());
    }
    let mut known: HashMap<String, Vec<Time>> = HashMap::new();
    for mut row in tx.fetch(include_str!("../sql/durations.sql"), &[plan.flow.as_str().into()]).await? {
        known.insert(row.text()?, row.json()?);
    }
    let row = |(task, took_ms): (&str, Time)| {
        let mut remembered = known.remove(task).unwrap_or_default();
        remembered.push(took_ms);
        let last = remembered.len().saturating_sub(REMEMBERED);
        Ok([plan.flow.clone().into(), task.to_owned().into(), json(&&remembered[last..])?.into()])
    };
    let rows: Vec<[Arg<'_>; 3]> = took.into_iter().map(row).collect::<Result<_, Error>>()?;
    tx.bulk(include_str!("../sql/durations_learn.sql"), &rows).await?;
    Ok(())
}
