//! Sets of input columns, and how the use of a value changes what its inputs are called.

use std::collections::BTreeSet;

use flow::lineage::{Kind, Subtype};

/// An input column by its number in the walk's list of sources.
pub type Source = usize;

/// What one column, or the rows of one relation, depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deps(BTreeSet<(Source, Subtype)>);

/// What each column of a relation is made of, and what decides which rows it has (indirect only).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relation {
    pub columns: Vec<Deps>,
    pub rows: Deps,
}

impl Deps {
    pub fn source(source: Source) -> Deps {
        Deps(BTreeSet::from([(source, Subtype::Identity)]))
    }

    /// Adds what `other` depends on, seen through the use that is made of it.
    pub fn add(&mut self, other: &Deps, usage: Subtype) {
        self.0.extend(other.0.iter().map(|&(source, subtype)| (source, along(subtype, usage))));
    }

    /// Adds what `other` depends on, unchanged.
    pub fn merge(&mut self, other: &Deps) {
        self.add(other, Subtype::Identity);
    }

    pub fn iter(&self) -> impl Iterator<Item = (Source, Subtype)> {
        self.0.iter().copied()
    }
}

impl Relation {
    /// Adds columns and rows of another relation with as many columns, as a union does.
    pub fn merge(&mut self, other: &Relation) {
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            column.merge(more);
        }
        self.rows.merge(&other.rows);
    }

    /// Everything that the relation depends on.
    pub fn all(&self) -> Deps {
        let mut all = self.rows.clone();
        self.columns.iter().for_each(|column| all.merge(column));
        all
    }
}

/// What an input that went into a value as `inner` is called once that value is used as `usage`.
fn along(inner: Subtype, usage: Subtype) -> Subtype {
    match inner.kind() {
        Kind::Indirect => inner,
        Kind::Direct => inner.max(usage),
    }
}

/// What a use as `inner` is called inside an expression that is itself used as `outer`.
pub fn within(outer: Subtype, inner: Subtype) -> Subtype {
    match outer.kind() {
        Kind::Indirect => outer,
        Kind::Direct => outer.max(inner),
    }
}
