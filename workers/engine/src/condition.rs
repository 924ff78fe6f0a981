//! Boolean expressions outside queries: `when`, and the predicate of a `replace_where`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{ExprSchemable, LogicalPlanBuilder};
use datafusion::prelude::DataFrame;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, ExprWithAlias, SetExpr, Statement as SqlStatement};
use flow::codes;

use crate::publish::Predicate;
use crate::spans::{self, Known};
use crate::sql::{Bound, Query, bind_expr, expr_parameters};
use crate::typing::Problem;
use crate::{Engine, depth, timestamps};

/// A parsed boolean expression.
pub struct Condition {
    expr: ast::Expr,
    text: String,
    /// The `$name`s in it, with where each stands.
    pub parameters: Vec<(String, std::ops::Range<usize>)>,
}

impl Engine {
    /// Parses a boolean expression.
    pub fn parse_condition(&self, text: &str) -> Result<Condition, Problem> {
        let dialect = self.state().config().options().sql_parser.dialect;
        let parsed = self.state().sql_to_expr_with_alias(text, &dialect);
        let parsed = parsed.map_err(|error| spans::diagnose(&error, text, &Known::default()))?;
        let expr = parsed.expr;
        depth::limited(&expr, text)?;
        let parameters = expr_parameters(&expr, text);
        Ok(Condition { expr, text: text.to_string(), parameters })
    }

    /// The value of a condition over parameters; `None` if it is NULL. A condition that reads columns, or is not
    /// boolean, is a problem.
    pub async fn evaluate(
        &self,
        condition: &Condition,
        values: &BTreeMap<String, Bound>,
    ) -> Result<Option<bool>, Problem> {
        let diagnose = |error| spans::diagnose(&error, &condition.text, &Known::default());
        let schema = DFSchema::empty();
        let expr = ExprWithAlias { expr: bind_expr(condition.expr.clone(), values), alias: None };
        let expr = self.state().create_logical_expr_from_sql_expr(expr, &schema);
        let expr = expr.and_then(|expr| timestamps::kept_in(expr, &schema)).map_err(diagnose)?.data;
        let kind = expr.get_type(&schema).map_err(diagnose)?;
        if !matches!(kind, DataType::Boolean | DataType::Null) {
            let message = format!("the condition is {}, not true or false", crate::types::word(&kind));
            let hint = Some("write a comparison, such as `$month >= '2013-01'`".into());
            return Err(Problem { code: codes::NOT_BOOLEAN, message, hint, span: spans::whole(&condition.text) });
        }
        let plan =
            LogicalPlanBuilder::empty(true).project([expr]).and_then(LogicalPlanBuilder::build).map_err(diagnose)?;
        let batches = DataFrame::new(self.session().state, plan).collect().await.map_err(diagnose)?;
        let value = batches.first().filter(|batch| batch.num_rows() == 1).map(|batch| batch.column(0).clone());
        Ok(value.and_then(|value| {
            let value = value.as_boolean_opt()?;
            (!value.is_null(0)).then(|| value.value(0))
        }))
    }

    /// The rows of table `name` that match the condition, and those that do not: two queries for a `replace_where`.
    pub fn predicate(
        &self,
        name: &str,
        condition: &Condition,
        values: &BTreeMap<String, Bound>,
    ) -> Result<Predicate, Problem> {
        let matches = bind_expr(condition.expr.clone(), values);
        let nested = Box::new(ast::Expr::Nested(Box::new(matches.clone())));
        let misses = ast::Expr::IsNotTrue(nested);
        Ok(Predicate {
            replaced: self.filtered(name, matches, condition)?,
            kept: self.filtered(name, misses, condition)?,
        })
    }

    fn filtered(&self, name: &str, filter: ast::Expr, condition: &Condition) -> Result<Query, Problem> {
        let mut query = self.parse(&format!("select * from \"{}\"", name.replace('"', "\"\"")))?;
        if let Statement::Statement(inner) = Arc::make_mut(&mut query.statement)
            && let SqlStatement::Query(inner) = inner.as_mut()
            && let SetExpr::Select(select) = inner.body.as_mut()
        {
            select.selection = Some(filter);
        }
        query.text.clone_from(&condition.text);
        Ok(query)
    }
}
