//! What the store is asked, counted.

use std::collections::BTreeMap;

type Counts = BTreeMap<&'static str, u64>;

#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// By verb.
    pub reads: Counts,
    pub writes: Counts,
    /// Rows in the journal, by the names of their events.
    pub rows: Counts,
}

impl Asked {
    pub fn read(&mut self, verb: &'static str) {
        *self.reads.entry(verb).or_default() += 1;
    }

    pub fn write(&mut self, verb: &'static str) {
        *self.writes.entry(verb).or_default() += 1;
    }

    pub fn row(&mut self, event: &'static str) {
        *self.rows.entry(event).or_default() += 1;
    }

    /// What came after what had come before.
    pub fn since(&self, before: &Asked) -> Asked {
        let since = |now: &Counts, before: &Counts| {
            now.iter().map(|(name, count)| (*name, count - before.get(name).unwrap_or(&0))).collect()
        };
        Asked {
            reads: since(&self.reads, &before.reads),
            writes: since(&self.writes, &before.writes),
            rows: since(&self.rows, &before.rows),
        }
    }
}
