//! How deeply a query nests. Planning recurses that deep, so what would exhaust the stack is refused before.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SetExpr, Visit, Visitor};
use flow::codes;

use crate::spans;
use crate::typing::Problem;

/// The most operators, set operations or joins that may hang on one another.
pub const DEPTH_MAX: usize = 1_000;

/// Refuses what nests more deeply than [`DEPTH_MAX`].
pub(crate) fn limited(node: &impl Visit, text: &str) -> Result<(), Problem> {
    let mut depth = Depth { exprs: 0 };
    match node.visit(&mut depth) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => {
            // The place of what nests would be found by recursion.
            let span = spans::whole(text);
            let message = format!("more than {DEPTH_MAX} {what} hang on one another");
            let hint = "write a list of values as `in (…)`, and long chains as tasks of their own";
            Err(Problem { code: codes::SQL_SYNTAX, message, hint: Some(hint.into()), span })
        }
    }
}

struct Depth {
    exprs: usize,
}

impl Visitor for Depth {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let mut open = vec![(query.body.as_ref(), 1)];
        while let Some((body, depth)) = open.pop() {
            if depth > DEPTH_MAX {
                return ControlFlow::Break("set operations");
            }
            if let SetExpr::SetOperation { left, right, .. } = body {
                open.extend([(left.as_ref(), depth + 1), (right.as_ref(), depth + 1)]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        match select.from.iter().any(|table| table.joins.len() > DEPTH_MAX) {
            true => ControlFlow::Break("joins"),
            false => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<Self::Break> {
        self.exprs += 1;
        match self.exprs > DEPTH_MAX {
            true => ControlFlow::Break("operators"),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Self::Break> {
        self.exprs -= 1;
        ControlFlow::Continue(())
    }
}
