//! Checks: what is counted, and on which rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::Column as PlanColumn;
use datafusion::datasource::ViewTable;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprFunctionExt, JoinType, WindowFunctionDefinition, ident, lit, when};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use flow::plan::{Check, Rule};
use flow::spec::{On, Severity};
use flow::wire::{CheckResult, Failure};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::Query;
use crate::error::failure;
use crate::rowcounts::{Counted, counted};
use crate::session::Session;
use crate::stages;

/// Rows shown of a check that fails.
const SAMPLES_MAX: usize = 3;

/// The column that counts the rows of a group.
const GROUP_ROWS: &str = "__group_rows";

/// A check with what it needs to be made.
pub struct Audit<'a> {
    pub check: &'a Check,
    /// The bound query of an `sql` check.
    pub query: Option<Query>,
}

/// The rows that a check sees.
pub(crate) struct Seen<'a> {
    /// The dataset's name in the session.
    pub name: &'a str,
    pub rows: DataFrame,
    pub table: Option<DataFrame>,
    /// What checks are known to find, in their order; empty if nothing was counted yet.
    pub counted: Vec<Option<Counted>>,
}

impl Session {
    /// Makes every check. Those that count in one pass over the rows share that pass.
    pub(crate) async fn audit(&self, seen: &Seen<'_>, audits: &[Audit<'_>]) -> Result<Vec<CheckResult>, Failure> {
        let mut results = vec![];
        let counted = self.count_all(seen, audits).await?;
        for (audit, counted) in audits.iter().zip(counted) {
            let span = tracing::info_span!("check", check = audit.check.name, passed = Empty, failed_rows = Empty);
            results.push(self.make(seen, audit, counted).instrument(span).await?);
        }
        Ok(results)
    }

    /// Makes a check, of which may be known what it finds.
    async fn make(&self, seen: &Seen<'_>, audit: &Audit<'_>, known: Option<Counted>) -> Result<CheckResult, Failure> {
        let (failed_rows, observed) = match known {
            Some(found) => found,
            None => {
                let rows = self.count_failing(seen, audit).await?;
                (rows, Some(rows as f64))
            }
        };
        let mut result = result(audit.check, failed_rows, observed);
        if !result.passed && !matches!(audit.check.rule, Rule::Rows { .. }) {
            result.samples = self.samples(seen, audit).await?;
        }
        tracing::Span::current().record("passed", result.passed).record("failed_rows", result.failed_rows);
        Ok(result)
    }

    /// One pass for all checks that look at a row at a time: for each what it finds, or `None` if it needs more.
    async fn count_all(&self, seen: &Seen<'_>, audits: &[Audit<'_>]) -> Result<Vec<Option<Counted>>, Failure> {
        let mut counts = seen.counted.clone();
        counts.resize(audits.len(), None);
        for on in [On::Rows, On::Table] {
            let by_row = |check: &Check| check.on == on && row_condition(&check.rule).is_some();
            let chosen: Vec<usize> =
                (0..audits.len()).filter(|index| counts[*index].is_none() && by_row(audits[*index].check)).collect();
            if chosen.is_empty() {
                continue;
            }
            let number = |condition: Expr| Ok(sum(when(condition, lit(1_i64)).otherwise(lit(0_i64))?));
            let aggregates = chosen.iter().enumerate().map(|(n, index)| {
                let condition = row_condition(&audits[*index].check.rule).unwrap_or_else(|| lit(false));
                number(condition).map(|counted: Expr| counted.alias(format!("c{n}")))
            });
            let mut aggregates = aggregates.collect::<datafusion::error::Result<Vec<_>>>().map_err(failure)?;
            aggregates.push(count(lit(1_i64)).alias("rows"));
            let summary = seen.on(on).aggregate(vec![], aggregates).map_err(failure)?;
            let batches = collect(summary).await?;
            let rows = number_at(&batches, chosen.len());
            for (n, index) in chosen.iter().enumerate() {
                counts[*index] = Some(counted(&audits[*index].check.rule, number_at(&batches, n), rows));
            }
        }
        Ok(counts)
    }

    async fn count_failing(&self, seen: &Seen<'_>, audit: &Audit<'_>) -> Result<u64, Failure> {
        let Rule::Unique(columns) = &audit.check.rule else {
            let failing = self.failing(seen, audit).await?;
            let all = failing.aggregate(vec![], vec![count(lit(1_i64))]).map_err(failure)?;
            return Ok(number_at(&collect(all).await?, 0));
        };
        // Groups are counted by the keys alone; their rows are looked for only where there are any.
        let groups = duplicate_groups(seen.on(audit.check.on), columns);
        let all = groups.and_then(|groups| groups.aggregate(vec![], vec![sum(ident(GROUP_ROWS))]));
        Ok(number_at(&collect(all.map_err(failure)?).await?, 0))
    }

    /// The rows that break a check.
    pub(crate) async fn failing(&self, seen: &Seen<'_>, audit: &Audit<'_>) -> Result<DataFrame, Failure> {
        let rows = seen.on(audit.check.on);
        // What the check itself reads under the dataset's name are the rows that it looks at.
        self.add(seen.name, Arc::new(ViewTable::new(rows.logical_plan().clone(), None)));
        let found = match &audit.check.rule {
            Rule::Unique(columns) => duplicates(rows, columns),
            Rule::References { column, input, to_column } => {
                let target = self.table(input).await?;
                unmatched(rows, column, target, to_column)
            }
            Rule::Sql(_) => {
                let query = audit.query.as_ref().ok_or_else(|| Failure::internal("an sql check without its query"))?;
                return self.frame(query).await;
            }
            rule => rows.filter(row_condition(rule).unwrap_or_else(|| lit(false))),
        };
        found.map_err(failure)
    }

    async fn samples(
        &self,
        seen: &Seen<'_>,
        audit: &Audit<'_>,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, Failure> {
        let failing = self.failing(seen, audit).await?;
        let shown = failing.limit(0, Some(SAMPLES_MAX)).map_err(failure)?;
        json_rows(&collect(shown).await?)
    }

    /// The rows of a table of this session.
    pub(crate) async fn table(&self, name: &str) -> Result<DataFrame, Failure> {
        let query = format!("select * from {}", quoted(name));
        let dialect = self.state.config().options().sql_parser.dialect;
        let statement = self.state.sql_to_statement(&query, &dialect).map_err(failure)?;
        let plan = self.planned(&statement).await.map_err(failure)?;
        Ok(DataFrame::new(self.state.clone(), plan))
    }

    /// The rows of a bound query.
    pub(crate) async fn frame(&self, query: &Query) -> Result<DataFrame, Failure> {
        let plan = self.plan_to_run(query).await?;
        Ok(DataFrame::new(self.state.clone(), plan))
    }
}

/// The rows of a check's query, of whose operators is told.
async fn collect(rows: DataFrame) -> Result<Vec<RecordBatch>, Failure> {
    let query = async {
        let cx = Arc::new(rows.task_ctx());
        let plan = rows.create_physical_plan().await?;
        let batches = datafusion::physical_plan::collect(plan.clone(), cx).await?;
        stages::tell(plan.as_ref());
        Ok(batches)
    };
    query.instrument(tracing::info_span!("query")).await.map_err(failure)
}

fn quoted(name: &str) -> String {
    let part = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

impl Seen<'_> {
    fn on(&self, on: On) -> DataFrame {
        match (on, &self.table) {
            (On::Table, Some(table)) => table.clone(),
            _ => self.rows.clone(),
        }
    }
}

/// The condition under which a row breaks a rule that looks at a row at a time.
pub(crate) fn row_condition(rule: &Rule) -> Option<Expr> {
    let any = |conditions: Vec<Expr>| conditions.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false));
    Some(match rule {
        Rule::NotNull(columns) => any(columns.iter().map(|name| ident(name).is_null()).collect()),
        Rule::Between { column, min, max } => {
            let low = min.iter().map(|min| ident(column).lt(literal(min)));
            let high = max.iter().map(|max| ident(column).gt(literal(max)));
            any(low.chain(high).collect())
        }
        Rule::Accepted { column, values } => ident(column).in_list(values.iter().map(literal).collect(), true),
        Rule::Rows { .. } => lit(false),
        Rule::Unique(_) | Rule::References { .. } | Rule::Sql(_) => return None,
    })
}

/// A value of a flow file as a literal; planning coerces it to the column's type.
pub(crate) fn literal(value: &serde_json::Value) -> Expr {
    match value {
        serde_json::Value::Bool(value) => lit(*value),
        serde_json::Value::Number(value) => match value.as_i64() {
            Some(value) => lit(value),
            None => lit(value.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(value) => lit(value.clone()),
        _ => lit(ScalarValue::Null),
    }
}

/// The size of each group of rows that agree in all columns; a NULL is no duplicate.
fn duplicate_groups(rows: DataFrame, columns: &[String]) -> datafusion::error::Result<DataFrame> {
    let known = columns.iter().map(|name| ident(name).is_not_null()).reduce(Expr::and).unwrap_or_else(|| lit(true));
    let keys: Vec<Expr> = columns.iter().map(ident).collect();
    let grouped = rows.filter(known)?.aggregate(keys, vec![count(lit(1_i64)).alias(GROUP_ROWS)])?;
    grouped.filter(ident(GROUP_ROWS).gt(lit(1_i64)))
}

/// All rows of groups that agree in all columns; a NULL is no duplicate.
fn duplicates(rows: DataFrame, columns: &[String]) -> datafusion::error::Result<DataFrame> {
    let known = columns.iter().map(|name| ident(name).is_not_null()).reduce(Expr::and).unwrap_or_else(|| lit(true));
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let keys: Vec<Expr> = columns.iter().map(ident).collect();
    let size = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(count_udaf()), vec![lit(1_i64)]);
    let size = Expr::from(size).partition_by(keys).build()?.alias(GROUP_ROWS);
    let counted = rows.filter(known)?.window(vec![size])?;
    counted.filter(ident(GROUP_ROWS).gt(lit(1_i64)))?.select(names.iter().map(ident).collect::<Vec<_>>())
}

/// Rows whose value is not among those of another table; NULL passes.
fn unmatched(
    rows: DataFrame,
    column: &str,
    target: DataFrame,
    to_column: &str,
) -> datafusion::error::Result<DataFrame> {
    let present = rows.filter(ident(column).is_not_null())?.alias("checked")?;
    let target = target.select(vec![ident(to_column).alias("__value")])?.alias("target")?;
    let left = Expr::Column(PlanColumn::new(Some("checked"), column));
    let right = Expr::Column(PlanColumn::new(Some("target"), "__value"));
    present.join_on(target, JoinType::LeftAnti, [left.eq(right)])
}

fn result(check: &Check, failed_rows: u64, observed: Option<f64>) -> CheckResult {
    CheckResult {
        name: check.name.clone(),
        kind: check.rule.kind().to_string(),
        columns: check.rule.columns(),
        severity: check.severity,
        passed: failed_rows == 0,
        failed_rows: if matches!(check.rule, Rule::Rows { .. }) { 0 } else { failed_rows },
        observed,
        samples: vec![],
    }
}

/// Whether a result stops the publish.
pub(crate) fn blocks(result: &CheckResult) -> bool {
    !result.passed && result.severity == Severity::Error
}

fn number_at(batches: &[RecordBatch], column: usize) -> u64 {
    let value = batches.first().filter(|batch| batch.num_rows() > 0).map(|batch| batch.column(column).clone());
    let value = value.and_then(|array| {
        let numbers = array.as_primitive_opt::<Int64Type>()?;
        (!numbers.is_null(0)).then(|| numbers.value(0))
    });
    value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

/// Rows as JSON objects, NULLs included.
pub(crate) fn json_rows(batches: &[RecordBatch]) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, Failure> {
    use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
    let mut text = vec![];
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    let written = writer.write_batches(&batches.iter().collect::<Vec<_>>()).and_then(|()| writer.finish());
    written.map_err(|error| Failure::internal(error.to_string()))?;
    drop(writer);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| Failure::internal(error.to_string()))).collect()
}
