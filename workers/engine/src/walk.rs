//! The syntax tree, walked.
//!
//! The tree has some hundred types, and the code that walks them is made once for each type of visitor: seconds of the
//! compiler each. So there is one, and what differs is a function behind a pointer.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, Visit, Visitor};

/// What a walk comes to.
pub(crate) enum Node<'a> {
    Query(&'a Query),
    Select(&'a Select),
    Relation(&'a ObjectName),
    Expr(&'a Expr),
    /// The end of the expression that was begun last.
    ExprEnd,
}

/// Tells `step` of everything in a tree, from the top down, until it breaks off.
pub(crate) fn walk(tree: &impl Visit, step: &mut dyn FnMut(Node<'_>) -> ControlFlow<()>) {
    let _ = tree.visit(&mut Walker(step));
}

/// Tells `step` of every expression in a tree, from the top down.
pub(crate) fn exprs(tree: &impl Visit, step: &mut dyn FnMut(&Expr)) {
    walk(tree, &mut |node| {
        if let Node::Expr(expr) = node {
            step(expr);
        }
        ControlFlow::Continue(())
    });
}

struct Walker<'a>(&'a mut dyn FnMut(Node<'_>) -> ControlFlow<()>);

impl Visitor for Walker<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        (self.0)(Node::Query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        (self.0)(Node::Select(select))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        (self.0)(Node::Relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        (self.0)(Node::Expr(expr))
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        (self.0)(Node::ExprEnd)
    }
}
