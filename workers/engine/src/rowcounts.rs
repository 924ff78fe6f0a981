//! Checks that look at one row at a time, and keys that ascend, seen while the rows are written: what passes is not read
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use flow::plan::Rule;
use flow::spec::On;
use flow::wire::Failure;

use crate::ascending::Ascending;
use crate::audit::{Audit, row_condition};
use crate::error::failure;
use crate::session::Session;

/// What a check found: failed rows, and the number it measured.
pub(crate) type Counted = (u64, Option<f64>);

/// The rows that a stage has written, and how many of them break each check.
#[derive(Default)]
pub(crate) struct RowCounts {
    rows: AtomicU64,
    /// In the order of the checks; `None` for one that needs more than a row.
    counters: Vec<Option<Counter>>,
}

enum Counter {
    Condition { rule: Rule, broken: Arc<dyn PhysicalExpr>, failed: AtomicU64 },
    Key(Ascending),
}

impl RowCounts {
    /// Counters for the checks on rows of this schema.
    pub(crate) fn new(session: &Session, schema: &DFSchema, audits: &[Audit<'_>]) -> Result<RowCounts, Failure> {
        let counter = |audit: &Audit<'_>| match &audit.check.rule {
            _ if audit.check.on != On::Rows => Ok(None),
            Rule::Unique(columns) => {
                let key = Ascending::new(schema, columns).map_err(|error| failure(error.into()))?;
                Ok(key.map(Counter::Key))
            }
            rule => {
                let Some(condition) = row_condition(rule) else { return Ok(None) };
                let broken = session.state.create_physical_expr(condition, schema).map_err(failure)?;
                Ok(Some(Counter::Condition { rule: rule.clone(), broken, failed: AtomicU64::new(0) }))
            }
        };
        Ok(RowCounts { rows: AtomicU64::new(0), counters: audits.iter().map(counter).collect::<Result<_, Failure>>()? })
    }

    /// Counts the rows of a batch.
    pub(crate) fn add(&self, batch: &RecordBatch) -> Result<(), Failure> {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.counters.iter().flatten().try_for_each(|counter| counter.add(batch)).map_err(failure)
    }

    /// The rows counted so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// What each check found, in their order; `None` for one that needs another look.
    pub(crate) fn found(&self) -> Vec<Option<Counted>> {
        let found = |counter: &Option<Counter>| match counter.as_ref()? {
            Counter::Condition { rule, failed, .. } => Some(counted(rule, failed.load(Ordering::Relaxed), self.rows())),
            Counter::Key(ascending) => ascending.proves_unique().then_some((0, Some(0.0))),
        };
        self.counters.iter().map(found).collect()
    }
}

impl Counter {
    fn add(&self, batch: &RecordBatch) -> datafusion::error::Result<()> {
        match self {
            Counter::Condition { broken, failed, .. } => {
                let broken = broken.evaluate(batch)?.into_array(batch.num_rows())?;
                let count = broken.as_boolean_opt().map_or(0, |broken| broken.true_count());
                failed.fetch_add(count as u64, Ordering::Relaxed);
            }
            Counter::Key(ascending) => ascending.add(batch)?,
        }
        Ok(())
    }
}

/// What a check finds, of which `failed` of all `rows` break its condition.
pub(crate) fn counted(rule: &Rule, failed: u64, rows: u64) -> Counted {
    let Rule::Rows { min, max } = rule else { return (failed, Some(failed as f64)) };
    let inside = min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
    (u64::from(!inside) * rows.max(1), Some(rows as f64))
}
