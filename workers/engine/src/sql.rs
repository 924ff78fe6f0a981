//! SQL text: parsed once, its tables found, its parameters bound.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, ObjectName, Spanned, Statement as SqlStatement, Value as SqlValue, Visit, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};
use flow::value::{ParamType, Value};

use crate::spans::Known;
use crate::typing::Problem;
use crate::walk::{Node, walk};
use crate::{Engine, depth, spans};

/// A parsed query: one `SELECT`, with the tables it reads.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) statement: Arc<Statement>,
    pub(crate) text: String,
    /// Every table it names that is not a common table expression, once.
    pub references: Vec<Reference>,
    /// The `$name`s in it, with where each stands.
    pub parameters: Vec<(String, Range<usize>)>,
}

/// A table that a query names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `table`, or `flow.dataset`.
    pub name: String,
    /// Where it stands in the text first.
    pub span: Range<usize>,
}

impl Engine {
    /// Parses one query. What is not exactly one `SELECT` (or `VALUES`, `WITH`, set operation) is a problem.
    pub fn parse(&self, text: &str) -> Result<Query, Problem> {
        let dialect = self.state().config().options().sql_parser.dialect;
        let parsed = self.state().sql_to_statement(text, &dialect);
        let statement = parsed.map_err(|error| spans::diagnose(&error, text, &Known::default()))?;
        let Statement::Statement(inner) = &statement else { return Err(spans::not_a_query(text)) };
        let SqlStatement::Query(query) = inner.as_ref() else { return Err(spans::not_a_query(text)) };
        depth::limited(query.as_ref(), text)?;
        let named = Named::find(query.as_ref(), text);
        let resolved = self.state().resolve_table_references(&statement);
        let resolved = resolved.map_err(|error| spans::diagnose(&error, text, &Known::default()))?;
        let references = resolved.iter().map(|table| reference(table, &named.tables)).collect();
        Ok(Query { statement: Arc::new(statement), text: text.to_string(), references, parameters: named.parameters })
    }
}

fn reference(table: &TableReference, spans: &[(String, Range<usize>)]) -> Reference {
    let name = table_name(table);
    let span = spans.iter().find(|(found, _)| *found == name).map(|(_, span)| span.clone());
    Reference { span: span.unwrap_or(0..0), name }
}

/// `table` or `flow.dataset`, as the flow file writes it.
pub(crate) fn table_name(table: &TableReference) -> String {
    match table {
        TableReference::Bare { table } => table.to_string(),
        TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
            format!("{schema}.{table}")
        }
    }
}

impl Query {
    /// The query with every `$name` replaced by its value, as a typed literal of the syntax tree.
    /// A parameter without a value is a typed NULL: enough to compile, never run.
    pub fn bind(mut self, values: &BTreeMap<String, Bound>) -> Query {
        if let Statement::Statement(inner) = Arc::make_mut(&mut self.statement) {
            let _ = inner.visit(&mut Binder { values });
        }
        self
    }
}

/// What a parameter stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The SQL type, such as `TIMESTAMP`.
    kind: &'static str,
    value: Option<Value>,
}

impl Bound {
    /// A parameter with its value.
    pub fn value(value: &Value) -> Bound {
        Bound { kind: sql_type(value), value: Some(value.clone()) }
    }

    /// A parameter whose value is not known yet.
    pub fn unknown(kind: &ParamType) -> Bound {
        let kind = match kind {
            ParamType::String | ParamType::Enum(_) => "VARCHAR",
            ParamType::Int => "BIGINT",
            ParamType::Float => "DOUBLE",
            ParamType::Bool => "BOOLEAN",
            ParamType::Date => "DATE",
            ParamType::Timestamp => "TIMESTAMP",
        };
        Bound { kind, value: None }
    }
}

fn sql_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "VARCHAR",
        Value::Int(_) => "BIGINT",
        Value::Float(_) => "DOUBLE",
        Value::Bool(_) => "BOOLEAN",
        Value::Date(_) => "DATE",
        Value::Timestamp(_) => "TIMESTAMP",
    }
}

/// The expression with every `$name` replaced by its value.
pub(crate) fn bind_expr(mut expr: Expr, values: &BTreeMap<String, Bound>) -> Expr {
    let _ = VisitMut::visit(&mut expr, &mut Binder { values });
    expr
}

/// The `$name`s of an expression, with where each stands in `text`.
pub(crate) fn expr_parameters(expr: &Expr, text: &str) -> Vec<(String, Range<usize>)> {
    Named::find(expr, text).parameters
}

/// What a tree names, with where each stands.
#[derive(Default)]
struct Named {
    tables: Vec<(String, Range<usize>)>,
    parameters: Vec<(String, Range<usize>)>,
}

impl Named {
    fn find(tree: &impl Visit, text: &str) -> Named {
        let mut named = Named::default();
        walk(tree, &mut |node| {
            match node {
                Node::Relation(name) => named.tables.push((full_name(name), bytes(text, name.span()))),
                Node::Expr(Expr::Value(value)) => {
                    if let SqlValue::Placeholder(name) = &value.value {
                        let name = name.trim_start_matches('$').to_string();
                        named.parameters.push((name, bytes(text, value.span)));
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        named
    }
}

fn full_name(relation: &ObjectName) -> String {
    let part = |ident: &ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    let parts: Vec<String> = relation.0.iter().filter_map(|part| part.as_ident()).map(part).collect();
    parts.join(".")
}

struct Binder<'a> {
    values: &'a BTreeMap<String, Bound>,
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let SqlValue::Placeholder(name) = &value.value
            && let Some(bound) = self.values.get(name.trim_start_matches('$'))
        {
            *expr = literal(bound, value.span);
        }
        ControlFlow::Continue(())
    }
}

/// A typed literal: `CAST('2013-01-31' AS DATE)`.
fn literal(bound: &Bound, span: Span) -> Expr {
    let text = |text: String| SqlValue::SingleQuotedString(text);
    let value = match &bound.value {
        None => SqlValue::Null,
        Some(Value::String(value)) => text(value.clone()),
        Some(Value::Int(value)) => text(value.to_string()),
        Some(Value::Float(value)) => text(value.to_string()),
        Some(Value::Bool(value)) => SqlValue::Boolean(*value),
        Some(value @ (Value::Date(_) | Value::Timestamp(_))) => text(value.to_string()),
    };
    let data_type = match bound.kind {
        "BIGINT" => ast::DataType::BigInt(None),
        "DOUBLE" => ast::DataType::Double(ast::ExactNumberInfo::None),
        "BOOLEAN" => ast::DataType::Boolean,
        "DATE" => ast::DataType::Date,
        "TIMESTAMP" => ast::DataType::Timestamp(None, ast::TimezoneInfo::None),
        _ => ast::DataType::Varchar(None),
    };
    let value = Expr::Value(ast::ValueWithSpan { value, span });
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(value), data_type, array: false, format: None }
}

/// The byte range of a span of the tokenizer, whose lines and columns count characters from 1.
pub(crate) fn bytes(text: &str, span: Span) -> Range<usize> {
    let start = byte(text, span.start);
    start..byte(text, span.end).max(start)
}

pub(crate) fn byte(text: &str, at: Location) -> usize {
    if at.line == 0 {
        return 0;
    }
    let line_start = match at.line {
        1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2).map_or(text.len(), |(index, _)| index + 1),
    };
    let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
    text[line_start..].char_indices().nth(column).map_or(text.len(), |(index, _)| line_start + index)
}
