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

#[cfg(test)]
mod tests {
    use flow::lineage::{Column, Input, Kind, Subtype};
    use flow::plan::{Output, Plan, Task};
    use flow::run::{Event, Record, Run, RunState};
    use flow::spec::Mode;
    use flow::wire::{Outcome, Pins};
    use store::{NewRun, Origin};

    use super::*;

    /// A run publishes `f.NAME`, with a column `c` made of `reads`.
    async fn publish(store: &Store, run_id: &str, name: &str, reads: &str) {
        let input = Input { dataset: reads.into(), column: "c".into(), kind: Kind::Direct, subtype: Subtype::Identity };
        let output = Output {
            dataset: format!("f.{name}"),
            view: false,
            mode: Mode::Overwrite,
            keys: vec![],
            predicate: None,
            partition_by: vec![],
            columns: vec![Column { name: "c".into(), kind: "int".into(), inputs: vec![input] }],
        };
        let task = Task { name: name.into(), kind: "sql".into(), output: Some(output), ..Task::default() };
        let plan = Plan { flow: "f".into(), tasks: vec![task], ..Plan::default() };
        let outcome = Outcome { dataset: Some(format!("f.{name}")), version: Some(0), ..Outcome::default() };
        let facts = [
            Event::RunCreated,
            Event::RunStarted,
            Event::TaskStarted { task: name.into(), attempt: 1, worker: "w".into(), token: 0 },
            Event::TaskSucceeded { task: name.into(), attempt: 1, outcome: Box::new(outcome) },
            Event::RunClosed { state: RunState::Succeeded, error: None },
        ];
        let record = |(seq, event)| Record { run_id: run_id.into(), seq, at: 1_000 + seq, event };
        let records: Vec<Record> = (1..).zip(facts).map(record).collect();
        let mut run = Run::new(Arc::new(plan), run_id);
        run.read(&records);
        let pins = Pins::default();
        let new = NewRun::of(&pins, 1_000, Origin::Service);
        store.create(&new, &run, records).await.expect("made");
    }

    fn readers(catalogue: &Catalogue, of: &str) -> Vec<String> {
        catalogue.readers(of).map(|it| it.dataset.clone()).collect()
    }

    #[tokio::test]
    async fn what_is_kept_is_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("state.db").to_str().expect("utf-8")).await.expect("a new store");
        let shelf = Shelf::default();
        assert!(shelf.catalogue(&store).await.expect("readable").datasets.is_empty());
        publish(&store, "r1", "a", "raw").await;
        let first = shelf.catalogue(&store).await.expect("readable");
        assert_eq!(readers(&first, "raw"), ["f.a"]);
        let again = shelf.catalogue(&store).await.expect("readable");
        assert!(Arc::ptr_eq(&first, &again), "nothing has changed, and nothing is read");
        publish(&store, "r2", "b", "f.a").await;
        publish(&store, "r3", "a", "other").await;
        let third = shelf.catalogue(&store).await.expect("readable");
        assert_eq!(readers(&third, "f.a"), ["f.b"]);
        assert_eq!((readers(&third, "raw"), readers(&third, "other")), (vec![], vec!["f.a".to_owned()]));
        assert_eq!(third.datasets.values().cloned().collect::<Vec<_>>(), store.datasets().await.expect("readable"));
    }
}
