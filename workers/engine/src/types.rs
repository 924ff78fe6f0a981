//! The types of flow files, and the Arrow types they stand for.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::ExprSchemable;
use datafusion::sql::sqlparser::ast::{self, Expr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::Engine;

/// The word of the flow file for an Arrow type, as published.
pub(crate) fn word(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        kind if kind.is_integer() => "int".into(),
        DataType::Float64 => "float".into(),
        DataType::Float32 | DataType::Float16 => "real".into(),
        DataType::Boolean => "bool".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            format!("decimal({p},{s})")
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea".into()
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _) => {
            format!("{}[]", nested_word(item.data_type()))
        }
        DataType::Struct(fields) => {
            let field = |field: &FieldRef| {
                format!("\"{}\" {}", field.name().replace('"', "\"\""), nested_word(field.data_type()))
            };
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) if entry.len() == 2 => {
                format!("map({}, {})", nested_word(entry[0].data_type()), nested_word(entry[1].data_type()))
            }
            other => other.to_string().to_lowercase(),
        },
        other => other.to_string().to_lowercase(),
    }
}

/// The SQL type of what lies inside another type, where `int` would mean 32 bits.
fn nested_word(kind: &DataType) -> String {
    match word(kind).as_str() {
        "int" => "bigint".into(),
        "float" => "double".into(),
        "string" => "varchar".into(),
        word => word.into(),
    }
}

impl Engine {
    /// The word for a type as published, whatever it was called: `"bigint"` is `int`.
    ///
    /// # Errors
    /// Says that there is no such type, or that tables cannot hold it.
    pub fn type_word(&self, text: &str) -> Result<String, String> {
        let kind = self.arrow_type(text)?;
        let kind = published(&kind).ok_or_else(|| format!("tables cannot hold the type `{text}`"))?;
        Ok(word(&kind))
    }

    /// Whether `text` is a date or time that a column of type `kind` can be compared with.
    pub fn is_time(&self, kind: &str, text: &str) -> bool {
        let value = ScalarValue::Utf8(Some(text.to_string()));
        self.arrow_type(kind).and_then(|kind| value.cast_to(&kind).map_err(|error| error.to_string())).is_ok()
    }

    /// Whether a column of type `actual` keeps a promise of type `promised`, both words of flow files.
    pub fn keeps_promise(&self, actual: &str, promised: &str) -> bool {
        match (self.arrow_type(actual), self.arrow_type(promised)) {
            (Ok(actual), Ok(promised)) => keeps(&actual, &promised),
            _ => false,
        }
    }

    /// The Arrow type of a word of a flow file: one of the simple ones, or any SQL type.
    pub(crate) fn arrow_type(&self, word: &str) -> Result<DataType, String> {
        if let Some(kind) = simple(word) {
            return Ok(kind);
        }
        let unknown = |_| format!("`{word}` is not a type");
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(word).map_err(unknown)?;
        let data_type = parser.parse_data_type().map_err(unknown)?;
        if parser.peek_token_ref().token != Token::EOF {
            return Err(format!("`{word}` is not a type"));
        }
        self.sql_type(data_type).ok_or_else(|| format!("`{word}` is not a type that tables can hold"))
    }

    /// `None` for one that tables cannot hold. What is nested is as it is published: SQL's own times count nanoseconds.
    fn sql_type(&self, data_type: ast::DataType) -> Option<DataType> {
        if let ast::DataType::Map(key, value) = data_type {
            let key = Field::new("key", published(&self.sql_type(*key)?)?, false);
            let value = Field::new("value", published(&self.sql_type(*value)?)?, true);
            let entries = Field::new("key_value", DataType::Struct(vec![key, value].into()), false);
            return Some(DataType::Map(Arc::new(entries), false));
        }
        let null = Expr::Value(ast::Value::Null.with_empty_span());
        let cast =
            Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(null), data_type, array: false, format: None };
        let expr = ast::ExprWithAlias { expr: cast, alias: None };
        let schema = DFSchema::empty();
        let planned = self.state().create_logical_expr_from_sql_expr(expr, &schema);
        let kind = planned.and_then(|expr| expr.get_type(&schema)).ok()?;
        if kind.is_nested() { published(&kind) } else { Some(kind) }
    }
}

/// The Arrow type of a word that is not a SQL type: `string`, `int`, `float`, `bool`, `date`, `timestamp`.
pub(crate) fn simple(word: &str) -> Option<DataType> {
    Some(match word {
        "string" => DataType::Utf8,
        "int" => DataType::Int64,
        "float" => DataType::Float64,
        "real" => DataType::Float32,
        "bool" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}

/// The type that a column is published with, or `None` if a table cannot hold it.
///
/// Integers become bigint, so that a column does not change its type when its values grow; timestamps become
/// microseconds, naive or in UTC; views and dictionaries become plain arrays.
pub(crate) fn published(kind: &DataType) -> Option<DataType> {
    Some(match kind {
        kind if kind.is_integer() => DataType::Int64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 | DataType::Boolean => kind.clone(),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            DataType::Decimal128(*p, *s)
        }
        DataType::Dictionary(_, value) => published(value)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(published_field(item)?),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(published_field).collect::<Option<Vec<_>>>()?.into())
        }
        DataType::Map(entries, sorted) => DataType::Map(published_field(entries)?, *sorted),
        _ => return None,
    })
}

fn published_field(field: &FieldRef) -> Option<FieldRef> {
    let kind = published(field.data_type())?;
    Some(Arc::new(Field::new(field.name(), kind, field.is_nullable())))
}

/// Whether a column of type `actual` keeps a promise of type `promised`: any integer is an `int`, any
/// timestamp a `timestamp`, any float a `float`; everything else must be equal once published.
pub(crate) fn keeps(actual: &DataType, promised: &DataType) -> bool {
    match promised {
        DataType::Timestamp(_, None) => matches!(actual, DataType::Timestamp(..)),
        DataType::Float64 => actual.is_floating(),
        promised => published(actual) == published(promised),
    }
}
