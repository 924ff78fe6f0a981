//! Words for the types of columns. Whether a SQL type exists is for the engine to say; what cannot be one is told here.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::value::TYPE_WORDS;

/// SQL types of a single word. Longer ones have parentheses, brackets or spaces.
const SQL_WORDS: [&str; 46] = [
    "bigint",
    "binary",
    "blob",
    "boolean",
    "bpchar",
    "bytea",
    "bytes",
    "char",
    "character",
    "clob",
    "datetime",
    "dec",
    "decimal",
    "double",
    "float4",
    "float8",
    "float32",
    "float64",
    "int1",
    "int2",
    "int4",
    "int8",
    "int16",
    "int32",
    "int64",
    "integer",
    "interval",
    "json",
    "jsonb",
    "mediumint",
    "numeric",
    "nvarchar",
    "real",
    "signed",
    "smallint",
    "text",
    "time",
    "timestamptz",
    "timetz",
    "tinyint",
    "ubigint",
    "uinteger",
    "unsigned",
    "utf8",
    "uuid",
    "varchar",
];

/// Tells about types in a table of columns that cannot be types.
pub(super) fn check(columns: &BTreeMap<Spanned<String>, Spanned<String>>, found: &mut Vec<Diagnostic>) {
    for (column, kind) in columns {
        if column.get_ref().is_empty() {
            found.push(Diagnostic::error(codes::BAD_NAME, column.span(), "a column must have a name"));
        }
        let text = kind.get_ref().trim();
        if !plausible(text) {
            let hint = name::nearest(text, TYPE_WORDS.into_iter().chain(SQL_WORDS))
                .map(|near| format!("did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| {
                let words = name::list(TYPE_WORDS).unwrap_or_default();
                format!("expected one of {words}, or an SQL type such as `decimal(12,2)`")
            });
            let message = format!("`{}` is not a type", kind.get_ref());
            found.push(Diagnostic::error(codes::UNKNOWN_TYPE, kind.span(), message).hint(hint));
        }
    }
}

fn plausible(text: &str) -> bool {
    let word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word {
        return TYPE_WORDS.iter().chain(&SQL_WORDS).any(|known| known.eq_ignore_ascii_case(text));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || " _(),[]<>:\"".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed) && balanced(text)
}

fn balanced(text: &str) -> bool {
    let mut open = vec![];
    text.chars().all(|c| match c {
        '(' => {
            open.push(')');
            true
        }
        '[' => {
            open.push(']');
            true
        }
        '<' => {
            open.push('>');
            true
        }
        ')' | ']' | '>' => open.pop() == Some(c),
        _ => true,
    }) && open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_from_slips() {
        let types = [
            "string",
            "BIGINT",
            "decimal(12,2)",
            "bigint[]",
            "double precision",
            "timestamp with time zone",
            "array<int>",
        ];
        for text in types {
            assert!(plausible(text), "{text}");
        }
        for text in ["", "sting", "int;", "decimal(12", "decimal)12(", "'int'", "1", "[]", "drop table x; --"] {
            assert!(!plausible(text), "{text}");
        }
    }
}
