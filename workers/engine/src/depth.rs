//! How deeply a query nests. Planning recurses that deep, so what would exhaust the stack is refused before.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, SetExpr, Visit};
use flow::codes;

use crate::spans;
use crate::typing::Problem;
use crate::walk::{Node, walk};

/// The most operators, set operations or joins that may hang on one another.
pub const DEPTH_MAX: usize = 1_000;

/// Refuses what nests more deeply than [`DEPTH_MAX`].
pub(crate) fn limited(node: &impl Visit, text: &str) -> Result<(), Problem> {
    let Some(what) = too_deep(node) else { return Ok(()) };
    // The place of what nests would be found by recursion.
    let span = spans::whole(text);
    let message = format!("more than {DEPTH_MAX} {what} hang on one another");
    let hint = "write a list of values as `in (…)`, and long chains as tasks of their own";
    Err(Problem { code: codes::SQL_SYNTAX, message, hint: Some(hint.into()), span })
}

fn too_deep(node: &impl Visit) -> Option<&'static str> {
    let (mut exprs, mut found) = (0, None);
    walk(node, &mut |node| {
        match node {
            Node::Query(query) => found = has_many_sets(query).then_some("set operations"),
            Node::Select(select) => {
                found = select.from.iter().any(|table| table.joins.len() > DEPTH_MAX).then_some("joins");
            }
            Node::Expr(_) => {
                exprs += 1;
                found = (exprs > DEPTH_MAX).then_some("operators");
            }
            Node::ExprEnd => exprs -= 1,
            Node::Relation(_) => {}
        }
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

fn has_many_sets(query: &Query) -> bool {
    let mut open = vec![(query.body.as_ref(), 1)];
    while let Some((body, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return true;
        }
        if let SetExpr::SetOperation { left, right, .. } = body {
            open.extend([(left.as_ref(), depth + 1), (right.as_ref(), depth + 1)]);
        }
    }
    false
}
