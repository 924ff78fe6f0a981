//! Expressions as bytes: a tag, what the node itself says, then its parts.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{AggregateFunctionParams, GroupingSet, Like, Sort, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};
use recursive::recursive;

use super::changes_by_itself;
use super::plans::Canon;

/// The columns that an expression may name: those of its node's inputs, then those of the queries around it.
pub struct Scope<'a> {
    pub parts: &'a [&'a DFSchema],
    pub up: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// How many queries further out the column is, and its position there.
    fn find(&self, column: &Column) -> Option<(u64, usize)> {
        let mut before = 0;
        for schema in self.parts {
            if let Some(index) = schema.maybe_index_of_column(column) {
                return Some((0, before + index));
            }
            before += schema.fields().len();
        }
        self.up?.find(column).map(|(depth, index)| (depth + 1, index))
    }
}

impl Canon<'_> {
    pub fn exprs<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr, IntoIter: ExactSizeIterator>,
        scope: &Scope,
    ) -> Option<()> {
        let exprs = exprs.into_iter();
        self.out.size(exprs.len());
        exprs.into_iter().try_for_each(|expr| self.expr(expr, scope))
    }

    fn optional(&mut self, expr: Option<&Expr>, scope: &Scope) -> Option<()> {
        self.exprs(expr, scope)
    }

    fn parts(&mut self, tag: &str, parts: &[&Expr], scope: &Scope) -> Option<()> {
        self.out.text(tag);
        self.exprs(parts.iter().copied(), scope)
    }

    #[recursive]
    pub fn expr(&mut self, expr: &Expr, scope: &Scope) -> Option<()> {
        if changes_by_itself(expr) {
            return None;
        }
        match expr {
            Expr::Alias(alias) => self.expr(&alias.expr, scope),
            Expr::Column(column) => self.column("column", scope.find(column)?),
            Expr::OuterReferenceColumn(_, column) => {
                let (depth, index) = scope.up?.find(column)?;
                self.column("outer", (depth + 1, index))
            }
            Expr::Literal(value, _) => {
                self.out.text("literal");
                self.out.literal(value)
            }
            Expr::BinaryExpr(binary) => self.parts(&format!("{:?}", binary.op), &[&binary.left, &binary.right], scope),
            Expr::Not(part) => self.parts("not", &[part], scope),
            Expr::IsNotNull(part) => self.parts("is not null", &[part], scope),
            Expr::IsNull(part) => self.parts("is null", &[part], scope),
            Expr::IsTrue(part) => self.parts("is true", &[part], scope),
            Expr::IsFalse(part) => self.parts("is false", &[part], scope),
            Expr::IsUnknown(part) => self.parts("is unknown", &[part], scope),
            Expr::IsNotTrue(part) => self.parts("is not true", &[part], scope),
            Expr::IsNotFalse(part) => self.parts("is not false", &[part], scope),
            Expr::IsNotUnknown(part) => self.parts("is not unknown", &[part], scope),
            Expr::Negative(part) => self.parts("negative", &[part], scope),
            Expr::Between(range) => {
                self.out.flag(range.negated);
                self.parts("between", &[&range.expr, &range.low, &range.high], scope)
            }
            Expr::Like(like) => self.like("like", like, scope),
            Expr::SimilarTo(like) => self.like("similar", like, scope),
            _ => self.compound(expr, scope),
        }
    }

    fn compound(&mut self, expr: &Expr, scope: &Scope) -> Option<()> {
        match expr {
            Expr::Case(case) => {
                self.out.text("case");
                self.optional(case.expr.as_deref(), scope)?;
                self.exprs(case.when_then_expr.iter().map(|(when, _)| when.as_ref()), scope)?;
                self.exprs(case.when_then_expr.iter().map(|(_, then)| then.as_ref()), scope)?;
                self.optional(case.else_expr.as_deref(), scope)
            }
            Expr::Cast(cast) => {
                self.out.kind(cast.field.data_type());
                self.parts("cast", &[&cast.expr], scope)
            }
            Expr::TryCast(cast) => {
                self.out.kind(cast.field.data_type());
                self.parts("try cast", &[&cast.expr], scope)
            }
            Expr::InList(list) => {
                self.out.flag(list.negated);
                self.parts("in", &[&list.expr], scope)?;
                self.exprs(&list.list, scope)
            }
            Expr::ScalarFunction(call) => {
                self.out.text("scalar");
                self.out.text(call.func.name());
                self.exprs(&call.args, scope)
            }
            Expr::AggregateFunction(call) => {
                self.out.text("aggregate");
                self.out.text(call.func.name());
                self.aggregate(&call.params, scope)
            }
            Expr::WindowFunction(call) => self.window(call, scope),
            Expr::HigherOrderFunction(call) => {
                self.out.text("higher order");
                self.out.text(call.func.name());
                self.exprs(&call.args, scope)
            }
            Expr::Lambda(lambda) => {
                self.out.text("lambda");
                lambda.params.iter().for_each(|param| self.out.text(param));
                self.expr(&lambda.body, scope)
            }
            Expr::LambdaVariable(variable) => {
                self.out.text("lambda variable");
                self.out.text(&variable.name);
                Some(())
            }
            Expr::GroupingSet(set) => self.grouping(set, scope),
            Expr::Unnest(unnest) => {
                self.out.flag(unnest.outer);
                self.parts("unnest", &[&unnest.expr], scope)
            }
            Expr::Placeholder(placeholder) => {
                self.out.text("placeholder");
                self.out.text(&placeholder.id);
                Some(())
            }
            _ => self.subquery(expr, scope),
        }
    }

    fn subquery(&mut self, expr: &Expr, scope: &Scope) -> Option<()> {
        match expr {
            Expr::ScalarSubquery(subquery) => self.nested("scalar", &subquery.subquery, scope),
            Expr::Exists(exists) => {
                self.out.flag(exists.negated);
                self.nested("exists", &exists.subquery.subquery, scope)
            }
            Expr::InSubquery(member) => {
                self.out.flag(member.negated);
                self.nested("in", &member.subquery.subquery, scope)?;
                self.expr(&member.expr, scope)
            }
            Expr::SetComparison(comparison) => {
                self.out.text(&format!("{:?} {:?}", comparison.op, comparison.quantifier));
                self.nested("comparison", &comparison.subquery.subquery, scope)?;
                self.expr(&comparison.expr, scope)
            }
            _ => None,
        }
    }

    fn nested(&mut self, tag: &str, plan: &LogicalPlan, scope: &Scope) -> Option<()> {
        self.out.text("subquery");
        self.out.text(tag);
        self.plan(plan, Some(scope))
    }

    fn column(&mut self, tag: &str, (depth, index): (u64, usize)) -> Option<()> {
        self.out.text(tag);
        self.out.number(depth);
        self.out.size(index);
        Some(())
    }

    fn like(&mut self, tag: &str, like: &Like, scope: &Scope) -> Option<()> {
        self.out.flag(like.negated);
        self.out.flag(like.case_insensitive);
        self.out.text(&like.escape_char.map(String::from).unwrap_or_default());
        self.parts(tag, &[&like.expr, &like.pattern], scope)
    }

    pub fn sorts(&mut self, sorts: &[Sort], scope: &Scope) -> Option<()> {
        self.out.size(sorts.len());
        sorts.iter().try_for_each(|sort| {
            self.out.flag(sort.asc);
            self.out.flag(sort.nulls_first);
            self.expr(&sort.expr, scope)
        })
    }

    fn aggregate(&mut self, params: &AggregateFunctionParams, scope: &Scope) -> Option<()> {
        self.out.flag(params.distinct);
        self.out.text(&format!("{:?}", params.null_treatment));
        self.exprs(&params.args, scope)?;
        self.optional(params.filter.as_deref(), scope)?;
        self.sorts(&params.order_by, scope)
    }

    fn window(&mut self, call: &WindowFunction, scope: &Scope) -> Option<()> {
        let params = &call.params;
        self.out.text("window");
        self.out.text(call.fun.name());
        self.out.flag(params.distinct);
        self.out.text(&format!("{:?} {:?}", params.null_treatment, params.window_frame));
        self.exprs(&params.args, scope)?;
        self.optional(params.filter.as_deref(), scope)?;
        self.exprs(&params.partition_by, scope)?;
        self.sorts(&params.order_by, scope)
    }

    fn grouping(&mut self, set: &GroupingSet, scope: &Scope) -> Option<()> {
        match set {
            GroupingSet::Rollup(exprs) => {
                self.out.text("rollup");
                self.exprs(exprs, scope)
            }
            GroupingSet::Cube(exprs) => {
                self.out.text("cube");
                self.exprs(exprs, scope)
            }
            GroupingSet::GroupingSets(sets) => {
                self.out.text("grouping sets");
                self.out.size(sets.len());
                sets.iter().try_for_each(|exprs| self.exprs(exprs, scope))
            }
        }
    }
}
