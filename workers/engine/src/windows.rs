//! Windows that take their rows by columns.
//!
//! DataFusion 55 does not recognize as sorted what it has sorted itself by a comparison with what a function returns, and
//! refuses to run it: `row_number() over (partition by length(name) > 1)`. It does by a column that holds the same.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Window};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Computes what windows are partitioned and ordered by before them, as columns of their own.
#[derive(Debug)]
pub(crate) struct KeyColumns;

impl OptimizerRule for KeyColumns {
    fn name(&self) -> &str {
        "key_columns"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Window(window) = &plan else { return Ok(Transformed::no(plan)) };
        let mut keys = Keys { found: vec![], config };
        let functions = window.window_expr.iter().map(|function| keys.taken_from(function));
        let functions = functions.collect::<Result<Vec<_>>>()?;
        if keys.found.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let columns = window.input.schema().columns().into_iter().map(Expr::Column);
        let keys = keys.found.into_iter().map(|(key, name)| key.alias(name));
        let input = LogicalPlanBuilder::from(window.input.clone()).project(columns.chain(keys))?.build()?;
        let keyed = LogicalPlan::Window(Window::try_new(functions, input.into())?);
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        LogicalPlanBuilder::from(keyed).project(columns)?.build().map(Transformed::yes)
    }
}

struct Keys<'a> {
    /// What is computed, and its column's name.
    found: Vec<(Expr, String)>,
    config: &'a dyn OptimizerConfig,
}

impl Keys<'_> {
    /// The window function with columns for keys, under the name that it had.
    fn taken_from(&mut self, function: &Expr) -> Result<Expr> {
        let name = function.schema_name().to_string();
        let taken = function.clone().transform_down(|expr| {
            let Expr::WindowFunction(mut function) = expr else { return Ok(Transformed::no(expr)) };
            let WindowFunction { params, .. } = function.as_mut();
            let keys = params.partition_by.iter_mut().chain(params.order_by.iter_mut().map(|sort| &mut sort.expr));
            keys.filter(|key| !matches!(key, Expr::Column(_) | Expr::Literal(..))).for_each(|key| self.name(key));
            Ok(Transformed::yes(Expr::WindowFunction(function)))
        })?;
        taken.data.alias_if_changed(name)
    }

    /// Puts the column in the place of what it holds.
    fn name(&mut self, key: &mut Expr) {
        let name = match self.found.iter().find(|(found, _)| found == key) {
            Some((_, name)) => name.clone(),
            None => {
                let name = self.config.alias_generator().next("__window_key");
                self.found.push((key.clone(), name.clone()));
                name
            }
        };
        *key = datafusion::logical_expr::ident(name);
    }
}
