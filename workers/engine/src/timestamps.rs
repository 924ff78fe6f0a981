//! Times in microseconds, as tables hold them. DataFusion's `TIMESTAMP` counts nanoseconds, which end in the year 2262:
//! an open end such as `timestamp '9999-12-31'` would not fit.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_table::all_default_table_functions;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, TryCast};
use datafusion::sql::sqlparser::ast;

const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// What `TIMESTAMP` without a precision means.
#[derive(Debug)]
pub(crate) struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let ast::DataType::Timestamp(None, _) = sql_type else { return Ok(None) };
        Ok(Some(Arc::new(Field::new("", TIME, true))))
    }
}

/// The plan with what is done to times done in microseconds: whole numbers that are cast to one are seconds, as the planner
/// has it for nanoseconds, and dates and texts that are compared with one become one of the same kind.
pub(crate) fn kept(plan: LogicalPlan) -> Result<LogicalPlan> {
    let planned = plan.transform_down_with_subqueries(|node| {
        let (schema, names) = (merge_schema(&node.inputs()), NamePreserver::new(&node));
        node.map_expressions(|expr| {
            // What reads this column knows it by the name that it had.
            let name = names.save(&expr);
            Ok(kept_in(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })
    });
    planned.map(|planned| planned.data)
}

/// As [`kept`], for one expression.
pub(crate) fn kept_in(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    let is_time = |expr: &Expr| kind(expr) == Some(TIME);
    // What becomes nanoseconds beside a time.
    let grows = |expr: &Expr| {
        kind(expr).is_some_and(|kind| kind.is_string() || matches!(kind, DataType::Date32 | DataType::Date64))
    };
    let time = |expr: Box<Expr>| if grows(&expr) { Box::new(Expr::Cast(Cast::new(expr, TIME))) } else { expr };
    expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Cast(cast)
                if *cast.field.data_type() == TIME && kind(&cast.expr).is_some_and(|it| it.is_integer()) =>
            {
                Transformed::yes(Expr::Cast(Cast { expr: seconds(cast.expr), ..cast }))
            }
            Expr::TryCast(cast)
                if *cast.field.data_type() == TIME && kind(&cast.expr).is_some_and(|it| it.is_integer()) =>
            {
                Transformed::yes(Expr::TryCast(TryCast { expr: seconds(cast.expr), ..cast }))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if op.supports_propagation()
                    && (is_time(&left) && grows(&right) || grows(&left) && is_time(&right)) =>
            {
                Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: time(left), op, right: time(right) }))
            }
            Expr::Between(it) if [&it.expr, &it.low, &it.high].into_iter().any(|it| is_time(it)) => {
                let Between { expr, negated, low, high } = it;
                Transformed::yes(Expr::Between(Between { expr: time(expr), negated, low: time(low), high: time(high) }))
            }
            Expr::InList(it) if is_time(&it.expr) || it.list.iter().any(is_time) => {
                let list = it.list.into_iter().map(|it| *time(Box::new(it))).collect();
                Transformed::yes(Expr::InList(InList { expr: time(it.expr), list, negated: it.negated }))
            }
            other => Transformed::no(other),
        })
    })
}

/// The table functions, such as `generate_series`, which know only times in nanoseconds, for those of this module.
pub(crate) fn table_functions() -> Vec<Arc<TableFunction>> {
    let given = |function: Arc<TableFunction>| {
        Arc::new(TableFunction::new(function.name().to_owned(), Arc::new(Given(function.function().clone()))))
    };
    all_default_table_functions().into_iter().map(given).collect()
}

#[derive(Debug)]
struct Given(Arc<dyn TableFunctionImpl>);

impl TableFunctionImpl for Given {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let exprs: Vec<Expr> = args.exprs().iter().cloned().map(in_nanoseconds).collect();
        self.0.call_with_args(TableFunctionArgs::new(&exprs, args.session()))
    }
}

/// What does not fit stays, for the function to refuse.
fn in_nanoseconds(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(micros, zone), data)
            if micros.is_none_or(|micros| micros.checked_mul(1_000).is_some()) =>
        {
            let nanos = micros.and_then(|micros| micros.checked_mul(1_000));
            Expr::Literal(ScalarValue::TimestampNanosecond(nanos, zone), data)
        }
        other => other,
    }
}

fn seconds(expr: Box<Expr>) -> Box<Expr> {
    Box::new(Expr::Cast(Cast::new(expr, DataType::Timestamp(TimeUnit::Second, None))))
}
