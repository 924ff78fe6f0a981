//! `<dataset>__rejected`: the rows that broke a blocking check in the latest failing attempt.

use datafusion::logical_expr::{LogicalPlanBuilder, ident, lit};
use datafusion::prelude::DataFrame;
use flow::spec::Mode;
use flow::wire::{CheckResult, Failure};

use crate::Engine;
use crate::audit::{Audit, Seen, blocks};
use crate::error::failure;
use crate::log::Mark;
use crate::publish::{Publish, commit};
use crate::replace::Change;
use crate::rowcounts::RowCounts;
use crate::session::Session;
use crate::stage;

/// Rows kept for each failed check. The count in the check's result is exact.
const ROWS_MAX: usize = 10_000;

fn rejected(dataset: &str) -> String {
    format!("{dataset}__rejected")
}

impl Engine {
    /// Keeps the rows that broke blocking checks, with the check's name and the run.
    pub(crate) async fn keep_rejected(
        &self,
        session: &Session,
        seen: &Seen<'_>,
        publish: &Publish<'_>,
        checks: &[CheckResult],
    ) -> Result<(), Failure> {
        let mut all: Option<LogicalPlanBuilder> = None;
        for (audit, _) in publish.audits.iter().zip(checks).filter(|(_, result)| blocks(result)) {
            let Some(rows) = self.rejected_rows(session, seen, audit, &publish.assignment.run_id).await? else {
                continue;
            };
            let plan = rows.into_unoptimized_plan();
            all = Some(match all {
                None => LogicalPlanBuilder::from(plan),
                Some(all) => all.union(plan).map_err(failure)?,
            });
        }
        // Those of an earlier failure would be taken for this one's.
        let Some(all) = all else { return self.clear_rejected(publish).await };
        let plan = stage::as_published(all.build().map_err(failure)?).map_err(failure)?;
        self.write_rejected(session, plan, publish).await
    }

    /// The failing rows of a check, if they have the dataset's columns.
    async fn rejected_rows(
        &self,
        session: &Session,
        seen: &Seen<'_>,
        audit: &Audit<'_>,
        run_id: &str,
    ) -> Result<Option<DataFrame>, Failure> {
        if matches!(audit.check.rule, flow::plan::Rule::Rows { .. }) {
            return Ok(None);
        }
        let columns: Vec<String> = seen.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let failing = session.failing(seen, audit).await?;
        let has = |name: &String| failing.schema().fields().iter().any(|field| field.name() == name);
        if !columns.iter().all(has) {
            return Ok(None);
        }
        let mut kept: Vec<_> = columns.iter().map(ident).collect();
        kept.push(lit(audit.check.name.clone()).alias("_check"));
        kept.push(lit(run_id).alias("_run_id"));
        let limited = failing.limit(0, Some(ROWS_MAX)).and_then(|rows| rows.select(kept));
        limited.map(Some).map_err(failure)
    }

    async fn write_rejected(
        &self,
        session: &Session,
        plan: datafusion::logical_expr::LogicalPlan,
        publish: &Publish<'_>,
    ) -> Result<(), Failure> {
        let table = self.lake.table(&rejected(&publish.output.dataset))?;
        if let Some(folder) = &table.folder {
            crate::durable::make_folder(folder)
                .map_err(|error| crate::error::io("failed to make the folder", folder, &error))?;
        }
        let staged = stage::stage(session, plan, &table, &[], RowCounts::default()).await?;
        stage::sync_folders(&table, &staged).await?;
        loop {
            let change = Change::overwrite(&table, &staged).await?;
            let mark = Mark {
                mode: Mode::Overwrite,
                fingerprint: None,
                checks: vec![],
                rows: staged.rows,
                bytes: staged.bytes,
                ..publish.mark(0, 0, &[])
            };
            if commit(&table, &staged, &change, &mark).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Empties the rejected rows: the dataset is good again.
    pub(crate) async fn clear_rejected(&self, publish: &Publish<'_>) -> Result<(), Failure> {
        let table = self.lake.table(&rejected(&publish.output.dataset))?;
        loop {
            let Some(change) = Change::clear(&table).await? else { return Ok(()) };
            let mark = Mark { mode: Mode::Overwrite, fingerprint: None, checks: vec![], ..publish.mark(0, 0, &[]) };
            if commit(&table, &stage::Staged::none(), &change, &mark).await?.is_some() {
                return Ok(());
            }
        }
    }
}
