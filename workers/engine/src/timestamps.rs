//! Times in microseconds, as tables hold them. DataFusion's `TIMESTAMP` counts nanoseconds, which end in the year 2262:
//! an open end such as `timestamp '9999-12-31'` would not fit.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast};
use datafusion::sql::sqlparser::ast;

/// What `TIMESTAMP` without a precision means.
#[derive(Debug)]
pub(crate) struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let ast::DataType::Timestamp(None, _) = sql_type else { return Ok(None) };
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, None), true))))
    }
}

/// The plan with whole numbers that are cast to a time taken as seconds, as the planner does for nanoseconds.
pub(crate) fn whole_seconds(plan: LogicalPlan) -> Result<LogicalPlan> {
    let planned = plan.transform_down_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| whole_seconds_in(expr, &schema))
    });
    planned.map(|planned| planned.data)
}

/// As [`whole_seconds`], for one expression.
pub(crate) fn whole_seconds_in(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let whole = |inner: &Expr| inner.get_type(schema).is_ok_and(|kind| kind.is_integer());
        let seconds =
            |inner: Box<Expr>| Box::new(Expr::Cast(Cast::new(inner, DataType::Timestamp(TimeUnit::Second, None))));
        Ok(match expr {
            Expr::Cast(cast) if is_time(cast.field.data_type()) && whole(&cast.expr) => {
                Transformed::yes(Expr::Cast(Cast { expr: seconds(cast.expr), ..cast }))
            }
            Expr::TryCast(cast) if is_time(cast.field.data_type()) && whole(&cast.expr) => {
                Transformed::yes(Expr::TryCast(TryCast { expr: seconds(cast.expr), ..cast }))
            }
            other => Transformed::no(other),
        })
    })
}

fn is_time(kind: &DataType) -> bool {
    *kind == DataType::Timestamp(TimeUnit::Microsecond, None)
}
