//! Joins that DataFusion would compute otherwise than SQL means them.
//!
//! `USING` and `NATURAL` merge the columns that they join by: bare, such a column is that of the side that has a row. The
//! planner takes that of the left side always, which in a full or right join is NULL for rows of the right side alone.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, Select, SelectItem, SetExpr, Spanned, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use flow::codes;

use crate::sql::bytes;
use crate::typing::Problem;
use crate::walk::{Node, walk};
use crate::{Query, spans};

/// The first place at which a query means a merged column that would not be merged.
pub(crate) fn unmerged(query: &Query) -> Option<Problem> {
    let Statement::Statement(statement) = query.statement.as_ref() else { return None };
    let mut found = None;
    walk(statement, &mut |node| match node {
        Node::Query(query) => {
            found = in_set(&query.body).break_value();
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        _ => ControlFlow::Continue(()),
    });
    let Found { column, span } = found?;
    let message = match &column {
        Some(column) => format!("`{column}` would be NULL in rows that only the right side of this join has"),
        None => "columns of a natural join would be NULL in rows that only its right side has".to_owned(),
    };
    let column = column.unwrap_or_else(|| "k".to_owned());
    let hint = format!(
        "join `on l.{column} = r.{column}`, and select `coalesce(l.{column}, r.{column}) as {column}`, or `r.{column}` \
         after a right join"
    );
    let span = if span == Span::empty() { spans::whole(&query.text) } else { bytes(&query.text, span) };
    Some(Problem { code: codes::SQL_NOT_PLANNED, message, hint: Some(hint), span })
}

struct Found {
    /// `None`: those of a natural join.
    column: Option<String>,
    span: Span,
}

fn in_set(body: &SetExpr) -> ControlFlow<Found> {
    match body {
        SetExpr::Select(select) => select.from.iter().try_for_each(|tables| in_tables(tables, select)),
        SetExpr::SetOperation { left, right, .. } => {
            in_set(left)?;
            in_set(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

fn in_tables(tables: &TableWithJoins, select: &Select) -> ControlFlow<Found> {
    in_factor(&tables.relation, select)?;
    for join in &tables.joins {
        in_factor(&join.relation, select)?;
        let (JoinOperator::FullOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)) = &join.join_operator
        else {
            continue;
        };
        match constraint {
            JoinConstraint::Natural => return ControlFlow::Break(Found { column: None, span: join.relation.span() }),
            JoinConstraint::Using(columns) => {
                let columns = columns.iter().filter_map(|name| name.0.last()?.as_ident());
                columns.into_iter().try_for_each(|column| meant(column, select))?;
            }
            JoinConstraint::On(_) | JoinConstraint::None => {}
        }
    }
    ControlFlow::Continue(())
}

/// Joins in parentheses belong to the same select.
fn in_factor(factor: &TableFactor, select: &Select) -> ControlFlow<Found> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => in_tables(table_with_joins, select),
        _ => ControlFlow::Continue(()),
    }
}

/// Whether the select means this column, bare or by a `*`.
fn meant(column: &Ident, select: &Select) -> ControlFlow<Found> {
    let found = |span| ControlFlow::Break(Found { column: Some(column.value.clone()), span });
    if select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
        return found(column.span);
    }
    let mut named = None;
    walk(select, &mut |node| match node {
        Node::Expr(Expr::Identifier(name)) if name.value.eq_ignore_ascii_case(&column.value) => {
            named = Some(name.span);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    named.map_or(ControlFlow::Continue(()), found)
}
