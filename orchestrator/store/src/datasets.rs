//! The catalogue: which versions of which datasets there are, who made them, and out of what.

use std::collections::BTreeMap;

use flow::Time;
use flow::catalogue::Dataset;
use flow::lineage::Column;
use flow::run::{Event, Record};

use crate::Store;
use crate::db::Tx;
use crate::error::Error;
use crate::row::{Arg, Row};

/// A version of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub dataset: String,
    pub version: u64,
    pub run_id: String,
    pub location: Option<String>,
    pub at: Time,
}

/// The newest version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// None for a view.
    pub version: Option<u64>,
    pub run_id: String,
    pub at: Time,
}

impl Store {
    /// Every dataset that a run has published and recorded here, by name.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, Error> {
        let rows = self.db.read(include_str!("../sql/datasets.sql"), &[]).await?;
        let mut datasets: Vec<Dataset> = rows.into_iter().map(dataset).collect::<Result<_, Error>>()?;
        // Here and not in SQL, because databases sort texts by their own customs.
        datasets.sort_by(|a, b| a.dataset.cmp(&b.dataset));
        Ok(datasets)
    }

    /// Which run made the newest version of each dataset, by name: what tells whether [`Store::datasets`] has changed.
    pub async fn newest(&self) -> Result<BTreeMap<String, Newest>, Error> {
        let rows = self.db.read(include_str!("../sql/datasets_newest.sql"), &[]).await?;
        let newest = |mut row: Row<'_>| {
            Ok((row.text()?, Newest { version: row.number_or_null()?, run_id: row.text()?, at: row.number()? }))
        };
        rows.into_iter().map(newest).collect()
    }

    /// A dataset at its newest version.
    pub async fn dataset(&self, name: &str) -> Result<Option<Dataset>, Error> {
        let rows = self.db.read(include_str!("../sql/dataset.sql"), &[name.into()]).await?;
        rows.into_iter().next().map(dataset).transpose()
    }

    /// The versions of a dataset, oldest first.
    pub async fn versions(&self, dataset: &str) -> Result<Vec<Version>, Error> {
        let rows = self.db.read(include_str!("../sql/versions.sql"), &[dataset.into()]).await?;
        rows.into_iter().map(version).collect()
    }

    /// A version of a dataset with the lineage it was made by.
    pub async fn lineage(&self, dataset_name: &str, version: u64) -> Result<Option<Dataset>, Error> {
        let args = [dataset_name.into(), version.into()];
        let rows = self.db.read(include_str!("../sql/lineage_version.sql"), &args).await?;
        rows.into_iter().next().map(dataset).transpose()
    }
}

fn dataset(mut row: Row<'_>) -> Result<Dataset, Error> {
    Ok(Dataset {
        dataset: row.text()?,
        version: row.number_or_null()?,
        run_id: row.text()?,
        location: row.text_or_null()?,
        at: row.number()?,
        columns: row.json_or_default::<Vec<Column>>()?.into(),
    })
}

pub(crate) fn version(mut row: Row<'_>) -> Result<Version, Error> {
    Ok(Version {
        dataset: row.text()?,
        version: row.number()?,
        run_id: row.text()?,
        location: row.text_or_null()?,
        at: row.number()?,
    })
}

/// Registers what the records published. A version that was only met again (cached, or adopted from
/// an earlier run) keeps the run that made it.
pub(crate) async fn publish(tx: &mut Tx<'_>, records: &[Record]) -> Result<(), Error> {
    let newest: BTreeMap<&str, [Arg<'_>; 6]> = records.iter().filter_map(published).collect();
    let rows: Vec<[Arg<'_>; 6]> = newest.into_values().collect();
    let versions: Vec<[Arg<'_>; 6]> = rows.iter().filter(|row| !matches!(row[1], Arg::Int(None))).cloned().collect();
    tx.bulk(include_str!("../sql/append_versions.sql"), &versions).await?;
    tx.bulk(include_str!("../sql/append_datasets.sql"), &rows).await?;
    Ok(())
}

fn published(record: &Record) -> Option<(&str, [Arg<'_>; 6])> {
    let Event::TaskSucceeded { attempt, outcome, .. } = &record.event else { return None };
    let dataset = outcome.dataset.as_deref()?;
    let met = outcome.cached || *attempt == 0;
    let location = outcome.location.as_deref();
    let run_id = record.run_id.as_str();
    Some((
        dataset,
        [dataset.into(), outcome.version.into(), run_id.into(), location.into(), record.at.into(), met.into()],
    ))
}
