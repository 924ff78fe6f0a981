//! What an expression is made of.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, Case, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition};
use flow::lineage::Subtype;
use recursive::recursive;

use super::deps::{Deps, within};
use super::relations::Walk;

/// The columns that an expression may name: those of its node's inputs, then those of the queries around it.
pub struct Scope<'a> {
    pub parts: &'a [(&'a DFSchema, &'a [Deps])],
    pub up: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn own(&self, column: &Column) -> Option<&Deps> {
        self.parts.iter().find_map(|(schema, deps)| deps.get(schema.maybe_index_of_column(column)?))
    }

    /// A column of this query, or of one around it.
    fn column(&self, column: &Column) -> Result<&Deps> {
        match (self.own(column), self.up) {
            (Some(deps), _) => Ok(deps),
            (None, Some(up)) => up.column(column),
            (None, None) => plan_err!("no input of the plan has the column {column}"),
        }
    }

    /// A column that the query says to be one of a query around it.
    fn outer(&self, column: &Column) -> Result<&Deps> {
        self.up.unwrap_or(self).column(column)
    }

    fn is_text(&self, expr: &Expr) -> bool {
        self.parts.iter().any(|(schema, _)| expr.get_type(*schema).is_ok_and(|kind| kind.is_string()))
    }
}

impl Walk<'_> {
    /// What an expression depends on when it is used as `usage`.
    pub fn expr(&mut self, expr: &Expr, usage: Subtype, scope: &Scope) -> Result<Deps> {
        let mut deps = Deps::default();
        self.gather(expr, usage, scope, &mut deps)?;
        Ok(deps)
    }

    pub fn gather_all<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        usage: Subtype,
        scope: &Scope,
        into: &mut Deps,
    ) -> Result<()> {
        exprs.into_iter().try_for_each(|expr| self.gather(expr, usage, scope, into))
    }

    #[recursive]
    fn gather(&mut self, expr: &Expr, usage: Subtype, scope: &Scope, into: &mut Deps) -> Result<()> {
        let changed = within(usage, Subtype::Transformation);
        match expr {
            Expr::Column(column) => into.add(scope.column(column)?, usage),
            Expr::OuterReferenceColumn(_, column) => into.add(scope.outer(column)?, usage),
            Expr::Alias(alias) => self.gather(&alias.expr, usage, scope, into)?,
            Expr::Cast(cast) if cast.field.data_type().is_string() && scope.is_text(&cast.expr) => {
                self.gather(&cast.expr, usage, scope, into)?;
            }
            Expr::Case(case) => self.case(case, usage, scope, into)?,
            Expr::ScalarFunction(function) => self.scalar(function, usage, scope, into)?,
            Expr::AggregateFunction(function) => self.aggregate(function, usage, scope, into)?,
            Expr::WindowFunction(function) => self.window(function, usage, scope, into)?,
            Expr::ScalarSubquery(subquery) => self.values(&subquery.subquery, usage, scope, into)?,
            Expr::InSubquery(member) => {
                self.gather(&member.expr, changed, scope, into)?;
                self.values(&member.subquery.subquery, changed, scope, into)?;
            }
            Expr::SetComparison(comparison) => {
                self.gather(&comparison.expr, changed, scope, into)?;
                self.values(&comparison.subquery.subquery, changed, scope, into)?;
            }
            Expr::Exists(exists) => into.merge(&self.relation(&exists.subquery.subquery, Some(scope))?.rows),
            other => {
                other.apply_children(|child| {
                    self.gather(child, changed, scope, into)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(())
    }

    /// The values of a subquery, and with them whatever decided on its rows.
    fn values(&mut self, subquery: &LogicalPlan, usage: Subtype, scope: &Scope, into: &mut Deps) -> Result<()> {
        let relation = self.relation(subquery, Some(scope))?;
        relation.columns.iter().for_each(|column| into.add(column, usage));
        into.merge(&relation.rows);
        Ok(())
    }

    fn case(&mut self, case: &Case, usage: Subtype, scope: &Scope, into: &mut Deps) -> Result<()> {
        let conditions = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
        let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        self.gather_all(conditions.map(AsRef::as_ref), within(usage, Subtype::Conditional), scope, into)?;
        self.gather_all(branches.map(AsRef::as_ref), within(usage, Subtype::Transformation), scope, into)
    }

    fn scalar(&mut self, function: &ScalarFunction, usage: Subtype, scope: &Scope, into: &mut Deps) -> Result<()> {
        let args = &function.args;
        let (conditions, values) = match (function.func.name(), args.len()) {
            ("coalesce" | "nvl", 1..) => (&args[..args.len() - 1], &args[..]),
            ("nullif", 2) => (&args[..], &args[..1]),
            ("nvl2", 3) => (&args[..1], &args[1..]),
            _ => (&args[..0], &args[..]),
        };
        self.gather_all(conditions, within(usage, Subtype::Conditional), scope, into)?;
        self.gather_all(values, within(usage, Subtype::Transformation), scope, into)
    }

    fn aggregate(
        &mut self,
        function: &AggregateFunction,
        usage: Subtype,
        scope: &Scope,
        into: &mut Deps,
    ) -> Result<()> {
        let params = &function.params;
        let filter = params.filter.iter().map(AsRef::as_ref);
        let order = params.order_by.iter().map(|sort| &sort.expr);
        self.gather_all(&params.args, within(usage, Subtype::Aggregation), scope, into)?;
        self.gather_all(filter, within(usage, Subtype::Filter), scope, into)?;
        self.gather_all(order, within(usage, Subtype::Sort), scope, into)
    }

    fn window(&mut self, function: &WindowFunction, usage: Subtype, scope: &Scope, into: &mut Deps) -> Result<()> {
        let params = &function.params;
        let value = match function.fun {
            WindowFunctionDefinition::AggregateUDF(_) => Subtype::Aggregation,
            WindowFunctionDefinition::WindowUDF(_) => Subtype::Transformation,
        };
        let filter = params.filter.iter().map(AsRef::as_ref);
        let order = params.order_by.iter().map(|sort| &sort.expr);
        self.gather_all(&params.args, within(usage, value), scope, into)?;
        self.gather_all(filter, within(usage, Subtype::Filter), scope, into)?;
        self.gather_all(params.partition_by.iter().chain(order), within(usage, Subtype::Window), scope, into)
    }
}
