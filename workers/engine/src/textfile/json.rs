//! Newline JSON: one object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;

use super::{Batches, plain};

pub(super) fn batches(
    text: Box<dyn Read + Send>,
    schema: &SchemaRef,
    columns: &[usize],
    rows_max: usize,
) -> Result<Batches, ArrowError> {
    let schema = Arc::new(schema.project(columns)?);
    let reader = ReaderBuilder::new(schema).with_batch_size(rows_max).build(BufReader::new(text))?;
    Ok(Box::new(reader))
}

/// The first object that does not fit, among `rows_max` after the first `rows`.
pub(super) fn misfit(text: Box<dyn Read + Send>, schema: &SchemaRef, rows: usize, rows_max: usize) -> Option<String> {
    let lines = BufReader::new(text).lines().map_while(Result::ok).enumerate();
    let objects = lines.filter(|(_, line)| !line.trim().is_empty()).enumerate();
    objects.skip(rows).take(rows_max).find_map(|(row, (line, object))| {
        let mut reader = ReaderBuilder::new(schema.clone()).build(object.as_bytes()).ok()?;
        let error = reader.next()?.err()?;
        Some(format!(", row {} (line {}): {}", row + 1, line + 1, plain(&error)))
    })
}
