//! What a query returns, before anything runs.

use std::collections::HashSet;
use std::ops::Range;
use std::panic::AssertUnwindSafe;

use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Select, SelectItem, SetExpr, Spanned, Statement as SqlStatement};
use flow::codes;
use flow::lineage;
use flow::plan::Column;
use flow::wire::Failure;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::session::Session;
use crate::sql::{Query, bytes};
use crate::{canonical, joins, spans, timestamps, types};

/// What is told of the planner's reasons at most.
const WHY_CHARS_MAX: usize = 120;

/// A mistake in a query, with its place in the query's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub span: Range<usize>,
}

/// What a query returns.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The columns as published, with everything each is made of.
    pub columns: Vec<lineage::Column>,
    /// Hash of what the query means; `None` if its result changes by itself.
    pub fingerprint: Option<String>,
}

impl Session {
    /// Types a query whose parameters are bound. `dataset` gives the dataset behind a table's name.
    ///
    /// # Errors
    /// Every mistake that the planner finds, one at least, in the order of the text.
    pub async fn type_query(
        &self,
        query: &Query,
        dataset: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Typed, Vec<Problem>> {
        let plan = self.analyse(query).await?;
        output_columns(&plan, query).map_err(|problem| vec![problem])?;
        if has_subqueries(&plan) {
            self.can_run(&plan, query).await.map_err(|problem| vec![problem])?;
        }
        let name = |table: &TableReference| dataset(&crate::sql::table_name(table));
        let inputs = crate::lineage::columns(&plan, &name).map_err(|error| self.diagnose(&error, query))?;
        let columns = plan.schema().fields().iter().zip(inputs).map(|(field, inputs)| lineage::Column {
            name: field.name().clone(),
            kind: types::published(field.data_type()).map(|kind| types::word(&kind)).unwrap_or_default(),
            inputs,
        });
        Ok(Typed { columns: columns.collect(), fingerprint: canonical::fingerprint(&plan, &name) })
    }

    /// Whether the result of a query changes by itself, as that of `now()` does.
    ///
    /// # Errors
    /// When it makes no sense against the tables of this session: every mistake, as of [`Session::type_query`].
    pub async fn is_volatile(&self, query: &Query) -> Result<bool, Vec<Problem>> {
        Ok(canonical::is_volatile(&self.analyse(query).await?))
    }

    /// The columns of a table of this session; `None` if there is none.
    pub async fn columns(&self, name: &str) -> Option<Vec<Column>> {
        let table = self.table(name).await.ok()?;
        Some(crate::session::columns(table.schema().as_arrow()))
    }

    /// The analysed, un-optimised plan: names resolved, types coerced.
    pub(crate) async fn analyse(&self, query: &Query) -> Result<LogicalPlan, Vec<Problem>> {
        if let Some(problem) = joins::unmerged(query) {
            return Err(vec![problem]);
        }
        let plan = async {
            let plan = timestamps::kept(self.planned(&query.statement).await?)?;
            self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {})
        };
        match AssertUnwindSafe(plan).catch_unwind().await {
            Ok(analysed) => analysed.map_err(|error| self.diagnose(&error, query)),
            Err(_) => {
                let message = "the planner cannot cope with this query".to_string();
                let hint = Some("this is a bug in DataFusion; write the query in another way".to_string());
                Err(vec![Problem { code: codes::SQL_NOT_PLANNED, message, hint, span: spans::whole(&query.text) }])
            }
        }
    }

    /// What a statement means, before types are coerced.
    ///
    /// No `async fn`, whose body is compiled again by each crate that awaits it, and the whole planner with it.
    pub(crate) fn planned(&self, statement: &Statement) -> BoxFuture<'_, PlanResult<LogicalPlan>> {
        self.state.statement_to_plan(statement.clone()).boxed()
    }

    /// Not every subquery that makes sense can be run: that shows only when it is planned to the end.
    async fn can_run(&self, plan: &LogicalPlan, query: &Query) -> Result<(), Problem> {
        let Err(error) = self.state.create_physical_plan(plan).await else { return Ok(()) };
        let text = crate::error::text(&error);
        let why: String = text.lines().next().unwrap_or_default().chars().take(WHY_CHARS_MAX).collect();
        Err(Problem {
            code: codes::SQL_NOT_PLANNED,
            message: format!("a subquery of this query cannot be run: {why}"),
            hint: Some("write it as a join, or as a task of its own".to_string()),
            span: spans::whole(&query.text),
        })
    }

    /// The plan of a query that was typed before. It still may not fit what is there now.
    pub(crate) async fn plan_to_run(&self, query: &Query) -> Result<LogicalPlan, Failure> {
        let planned = self.analyse(query).await;
        planned
            .map_err(|problems| Failure::user(problems.into_iter().map(|it| it.message).collect::<Vec<_>>().join("; ")))
    }

    fn diagnose(&self, error: &datafusion::error::DataFusionError, query: &Query) -> Vec<Problem> {
        spans::diagnose_all(error, &query.text, &self.known())
    }
}

fn has_subqueries(plan: &LogicalPlan) -> bool {
    let is = |expr: &Expr| Ok(matches!(expr, Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_)));
    let inside = |node: &LogicalPlan| Ok(node.expressions().iter().any(|expr| expr.exists(is).unwrap_or_default()));
    plan.exists(inside).unwrap_or_default()
}

/// Whether every column can be published, under a name of its own.
fn output_columns(plan: &LogicalPlan, query: &Query) -> Result<(), Problem> {
    if plan.schema().fields().is_empty() {
        let message = "the query returns no columns".to_string();
        let hint = Some("say which: `select * from …`".to_string());
        return Err(Problem { code: codes::SQL_NOT_PLANNED, message, hint, span: spans::whole(&query.text) });
    }
    let mut names = HashSet::new();
    for (index, field) in plan.schema().fields().iter().enumerate() {
        let name = field.name();
        let problem = |code, message: String, hint: String| {
            let span = output_span(query, index, plan.schema().fields().len());
            Err(Problem { code, message, hint: Some(hint), span })
        };
        if !names.insert(name.to_lowercase()) {
            let hint = "give one of them another name with `as`".to_string();
            return problem(codes::DUPLICATE_COLUMN, format!("two output columns are called `{name}`"), hint);
        }
        if field.data_type().is_null() {
            let hint = format!("say which type it has: `cast(null as varchar) as {name}`");
            return problem(codes::NULL_COLUMN, format!("column `{name}` can only be NULL and has no type"), hint);
        }
        if types::published(field.data_type()).is_none() {
            let kind = types::word(field.data_type());
            let hint = "cast it to a type that tables can hold, such as varchar or bigint".to_string();
            return problem(
                codes::UNSUPPORTED_TYPE,
                format!("column `{name}` has type {kind}, which cannot be published"),
                hint,
            );
        }
    }
    Ok(())
}

/// Where the expression of an output column stands, if the query lists one for each.
fn output_span(query: &Query, index: usize, width: usize) -> Range<usize> {
    let select = select(&query.statement).filter(|select| select.projection.len() == width);
    match select.map(|select| &select.projection[index]) {
        Some(SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) | None => spans::whole(&query.text),
        Some(item) => bytes(&query.text, item.span()),
    }
}

fn select(statement: &Statement) -> Option<&Select> {
    let Statement::Statement(inner) = statement else { return None };
    let SqlStatement::Query(query) = inner.as_ref() else { return None };
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}
