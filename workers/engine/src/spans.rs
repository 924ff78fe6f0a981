//! Where in the SQL text a mistake stands, and what to say about it.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::error::DataFusionError;
use flow::codes;

use crate::error::text;
use crate::typing::Problem;

/// What a query may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tables with their columns.
    pub tables: BTreeMap<String, Vec<String>>,
    pub functions: Vec<String>,
}

/// The mistake behind a planning error, with its place in the text.
pub(crate) fn diagnose(error: &DataFusionError, sql: &str, _known: &Known) -> Problem {
    Problem { code: codes::SQL_NOT_PLANNED, message: text(error), hint: None, span: whole(sql) }
}

/// The mistake of a text that is not exactly one query.
pub(crate) fn not_a_query(sql: &str) -> Problem {
    Problem {
        code: codes::NOT_A_QUERY,
        message: "a task's SQL is one query".into(),
        hint: Some("write one `select`; `output` says where its rows go".into()),
        span: whole(sql),
    }
}

/// The text without the space around it.
pub(crate) fn whole(sql: &str) -> Range<usize> {
    let start = sql.len() - sql.trim_start().len();
    start..sql.trim_end().len().max(start)
}
