//! Checks that look at one row at a time, counted while the rows are written: what passes is not read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use flow::plan::Rule;
use flow::spec::On;
use flow::wire::Failure;

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

struct Counter {
    rule: Rule,
    broken: Arc<dyn PhysicalExpr>,
    failed: AtomicU64,
}

impl RowCounts {
    /// Counters for the checks on rows of this schema.
    pub(crate) fn new(session: &Session, schema: &DFSchema, audits: &[Audit<'_>]) -> Result<RowCounts, Failure> {
        let counter = |audit: &Audit<'_>| {
            let rule = &audit.check.rule;
            let Some(condition) = row_condition(rule).filter(|_| audit.check.on == On::Rows) else { return Ok(None) };
            let broken = session.state.create_physical_expr(condition, schema).map_err(failure)?;
            Ok(Some(Counter { rule: rule.clone(), broken, failed: AtomicU64::new(0) }))
        };
        Ok(RowCounts { rows: AtomicU64::new(0), counters: audits.iter().map(counter).collect::<Result<_, Failure>>()? })
    }

    /// Counts the rows of a batch.
    pub(crate) fn add(&self, batch: &RecordBatch) -> Result<(), Failure> {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        for counter in self.counters.iter().flatten() {
            let broken = counter.broken.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
            let broken = broken.map_err(failure)?;
            let failed = broken.as_boolean_opt().map_or(0, |broken| broken.true_count());
            counter.failed.fetch_add(failed as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The rows counted so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// What each check found, in their order.
    pub(crate) fn found(&self) -> Vec<Option<Counted>> {
        let found = |counter: &Counter| counted(&counter.rule, counter.failed.load(Ordering::Relaxed), self.rows());
        self.counters.iter().map(|counter| counter.as_ref().map(found)).collect()
    }
}

/// What a check finds, of which `failed` of all `rows` break its condition.
pub(crate) fn counted(rule: &Rule, failed: u64, rows: u64) -> Counted {
    let Rule::Rows { min, max } = rule else { return (failed, Some(failed as f64)) };
    let inside = min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
    (u64::from(!inside) * rows.max(1), Some(rows as f64))
}
