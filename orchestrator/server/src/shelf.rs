//! The catalogue, kept: pages about data need all of it, and little of it changes from one to the next.

use std::sync::Arc;

use flow::catalogue::{Catalogue, Dataset};
use store::{Newest, Store};
use tokio::sync::Mutex;

/// Of more changed datasets than so many, all are read again.
const FEW: usize = 100;

/// The last catalogue that was looked at.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Arc<Catalogue>>);

impl Shelf {
    /// The catalogue as it is now. Of many who ask, one reads.
    pub async fn catalogue(&self, store: &Store) -> Result<Arc<Catalogue>, store::Error> {
        let mut kept = self.0.lock().await;
        let newest = store.newest().await?;
        let is_known = |(name, it): &(&String, &Newest)| kept.datasets.get(*name).is_some_and(|known| is(known, it));
        let changed: Vec<&String> = newest.iter().filter(|it| !is_known(it)).map(|(name, _)| name).collect();
        if changed.is_empty() && newest.len() == kept.datasets.len() {
            return Ok(kept.clone());
        }
        let datasets = if changed.len() > FEW {
            store.datasets().await?
        } else {
            let stays = |it: &&Dataset| newest.contains_key(&it.dataset) && !changed.contains(&&it.dataset);
            let mut datasets: Vec<Dataset> = kept.datasets.values().filter(stays).cloned().collect();
            for name in changed {
                datasets.extend(store.dataset(name).await?);
            }
            datasets
        };
        *kept = Arc::new(Catalogue::new(datasets));
        Ok(kept.clone())
    }
}

fn is(known: &Dataset, newest: &Newest) -> bool {
    (known.version, &known.run_id, known.at) == (newest.version, &newest.run_id, newest.at)
}
