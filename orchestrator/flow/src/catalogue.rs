//! The datasets that have been published, how they are named, and how their columns hang together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::Time;
use crate::lineage::{Column, Input};
use crate::name::{self, Miss};
use crate::view::{Edge, Place};

/// A dataset at its newest version.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `flow.task`.
    pub dataset: String,
    /// None for a view, which has no versions.
    pub version: Option<u64>,
    /// The run that made the version.
    pub run_id: String,
    pub location: Option<String>,
    /// When the version was recorded.
    pub at: Time,
    /// Its columns with their types and their lineage, as the plan of that run has them.
    pub columns: Arc<[Column]>,
}

impl Dataset {
    /// Whether what it is made of has changed since it was made.
    pub fn is_behind(&self, input: &Dataset) -> bool {
        self.version.is_some() && input.version.is_some() && input.at > self.at
    }
}

/// Every dataset at its newest version, by name.
#[derive(Default)]
pub struct Catalogue {
    pub datasets: BTreeMap<String, Dataset>,
    /// What is read and made by no run here, sources above all, with the columns that are read.
    read: BTreeMap<String, BTreeSet<String>>,
    /// Which datasets read each, by names.
    readers: BTreeMap<String, BTreeSet<String>>,
}

/// What a name that somebody gave means.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// `flow.task`, or a source's name.
    pub dataset: String,
    pub column: Option<String>,
}

impl Catalogue {
    pub fn new(datasets: Vec<Dataset>) -> Self {
        let datasets: BTreeMap<String, Dataset> = datasets.into_iter().map(|it| (it.dataset.clone(), it)).collect();
        let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut readers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for reader in datasets.values() {
            let mut inputs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for input in reader.columns.iter().flat_map(|column| &column.inputs) {
                inputs.entry(&input.dataset).or_default().insert(&input.column);
            }
            for (dataset, columns) in inputs {
                readers.entry(dataset.to_owned()).or_default().insert(reader.dataset.clone());
                if !datasets.contains_key(dataset) {
                    read.entry(dataset.to_owned()).or_default().extend(columns.into_iter().map(str::to_owned));
                }
            }
        }
        Catalogue { datasets, read, readers }
    }

    /// What is read and made by no run here, with the columns that are read.
    pub fn sources(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.read.iter().map(|(name, columns)| (name.as_str(), columns.iter().map(String::as_str)))
    }

    /// The datasets that read a dataset or a source, itself among them if it does.
    pub fn readers(&self, dataset: &str) -> impl Iterator<Item = &Dataset> {
        self.readers.get(dataset).into_iter().flatten().filter_map(|name| self.datasets.get(name))
    }

    /// What `text` means: a dataset before a column of one.
    ///
    /// # Errors
    /// Nothing has that name, or several datasets do.
    pub fn resolve(&self, text: &str) -> Result<Named, Miss> {
        if let Some(dataset) = self.dataset(text)? {
            return Ok(Named { dataset, column: None });
        }
        let Some((of, column)) = text.rsplit_once('.') else { return Err(self.unknown(text)) };
        let dataset = self.dataset(of)?.ok_or_else(|| self.unknown(text))?;
        let columns = self.columns(&dataset);
        if columns.contains(&column) {
            return Ok(Named { dataset, column: Some(column.to_owned()) });
        }
        let hint = name::suggest(column, columns);
        Err(Miss::none(format!("dataset `{dataset}` has no column `{column}`"), hint))
    }

    /// The full name of the dataset called `text`, which may leave out the flow where that is clear.
    fn dataset(&self, text: &str) -> Result<Option<String>, Miss> {
        if self.datasets.contains_key(text) {
            return Ok(Some(text.to_owned()));
        }
        let mut same = self.datasets.keys().filter(|full| full.split_once('.').is_some_and(|(_, short)| short == text));
        match (same.next(), same.next()) {
            (None, _) => Ok(self.read.contains_key(text).then(|| text.to_owned())),
            (Some(full), None) => Ok(Some(full.clone())),
            (Some(one), Some(other)) => Err(Miss::several(
                format!("several flows have a dataset `{text}`"),
                format!("name the flow too: `{one}`, `{other}`"),
            )),
        }
    }

    fn unknown(&self, text: &str) -> Miss {
        let names = self.datasets.keys().chain(self.read.keys()).map(String::as_str);
        let short = self.datasets.keys().filter_map(|full| full.split_once('.')).map(|(_, short)| short);
        let near = name::nearest(text, names.clone().chain(short)).map(|near| format!("did you mean `{near}`?"));
        let list = || name::list(names).map(|names| format!("there are {names}"));
        let nothing = || Some("`flowctl run FLOW` publishes datasets".to_owned());
        Miss::none(format!("there is no dataset `{text}`"), near.or_else(list).or_else(nothing))
    }

    /// The names of a dataset's columns; of a source, those that are read.
    pub fn columns(&self, dataset: &str) -> Vec<&str> {
        match self.datasets.get(dataset) {
            Some(known) => known.columns.iter().map(|column| column.name.as_str()).collect(),
            None => self.read.get(dataset).into_iter().flatten().map(String::as_str).collect(),
        }
    }

    /// The newest run of those that read what no run here makes.
    pub fn reader(&self, source: &str) -> Option<&str> {
        self.readers(source).max_by_key(|it| it.at).map(|it| it.run_id.as_str())
    }

    /// Every hop from the places to what they come from, near ones first, and about so many at most.
    pub fn up(&self, from: Vec<Place>, edges_max: usize) -> Vec<Edge> {
        walk(from, edges_max, |place| {
            let columns = self.datasets.get(&place.dataset).map_or(&[][..], |it| &it.columns);
            let maker = columns.iter().find(|column| column.name == place.column);
            let inputs = maker.map_or(&[][..], |column| &column.inputs);
            inputs.iter().map(|input| (source_of(input), edge(input, place.clone()))).collect()
        })
    }

    /// Every hop from the places to what is made of them, near ones first, and about so many at most.
    pub fn down(&self, from: Vec<Place>, edges_max: usize) -> Vec<Edge> {
        walk(from, edges_max, |place| {
            let reads = |input: &&Input| input.column == place.column && input.dataset == place.dataset;
            let columns = self.readers(&place.dataset).flat_map(|it| it.columns.iter().map(move |column| (it, column)));
            let read = columns.flat_map(|(it, column)| {
                let to = Place { dataset: it.dataset.clone(), column: column.name.clone() };
                column.inputs.iter().filter(reads).map(move |input| (to.clone(), edge(input, to.clone())))
            });
            read.collect()
        })
    }
}

fn source_of(input: &Input) -> Place {
    Place { dataset: input.dataset.clone(), column: input.column.clone() }
}

fn edge(input: &Input, to: Place) -> Edge {
    Edge { from: source_of(input), to, kind: input.kind, subtype: input.subtype, hops: 0 }
}

/// Breadth first; each place is looked at once.
fn walk(from: Vec<Place>, edges_max: usize, next: impl Fn(&Place) -> Vec<(Place, Edge)>) -> Vec<Edge> {
    let mut seen: BTreeSet<Place> = from.iter().cloned().collect();
    let mut queue: VecDeque<(Place, usize)> = from.into_iter().map(|place| (place, 1)).collect();
    let mut edges = vec![];
    while edges.len() < edges_max
        && let Some((place, hops)) = queue.pop_front()
    {
        for (beyond, edge) in next(&place) {
            edges.push(Edge { hops, ..edge });
            if seen.insert(beyond.clone()) {
                queue.push_back((beyond, hops + 1));
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{Kind, Subtype};

    fn dataset(name: &str, columns: &[(&str, &[(&str, &str)])]) -> Dataset {
        let input = |&(dataset, column): &(&str, &str)| Input {
            dataset: dataset.into(),
            column: column.into(),
            kind: Kind::Direct,
            subtype: Subtype::Identity,
        };
        let column = |(name, inputs): &(&str, &[(&str, &str)])| Column {
            name: (*name).into(),
            kind: "int".into(),
            inputs: inputs.iter().map(input).collect(),
        };
        let columns = columns.iter().map(column).collect();
        Dataset { dataset: name.into(), version: Some(0), run_id: "r".into(), location: None, at: 0, columns }
    }

    fn catalogue() -> Catalogue {
        Catalogue::new(vec![
            dataset("a.x", &[("k", &[("raw", "k")])]),
            dataset("a.y", &[("k", &[("a.x", "k")]), ("n", &[])]),
            dataset("y.k", &[("k", &[("a.y", "k")])]),
            dataset("b.y", &[("z", &[("a.y", "n")])]),
        ])
    }

    fn named(text: &str) -> Option<(String, Option<String>)> {
        catalogue().resolve(text).ok().map(|named| (named.dataset, named.column))
    }

    #[test]
    fn a_name_is_a_dataset_before_it_is_a_column() {
        assert_eq!(named("y.k"), Some(("y.k".into(), None)), "flow.dataset goes before dataset.column");
        assert_eq!(named("x"), Some(("a.x".into(), None)));
        assert_eq!(named("x.k"), Some(("a.x".into(), Some("k".into()))));
        assert_eq!(named("a.y.n"), Some(("a.y".into(), Some("n".into()))));
        assert_eq!(named("raw.k"), Some(("raw".into(), Some("k".into()))));
        for nothing in ["y", "nope", "x.nope", "nope.k", ""] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn hops_are_followed_to_the_end() {
        let place = |dataset: &str, column: &str| Place { dataset: dataset.into(), column: column.into() };
        let down = catalogue().down(vec![place("raw", "k")], usize::MAX);
        let reached: Vec<_> = down.iter().map(|edge| (edge.to.dataset.as_str(), edge.hops)).collect();
        assert_eq!(reached, [("a.x", 1), ("a.y", 2), ("y.k", 3)]);
        let up = catalogue().up(vec![place("y.k", "k")], usize::MAX);
        assert_eq!(up.last().unwrap().from, place("raw", "k"));
        assert_eq!(catalogue().down(vec![place("raw", "k")], 2).len(), 2, "near ones are enough");
    }
}
