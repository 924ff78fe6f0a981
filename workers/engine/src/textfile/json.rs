//! Newline JSON: one object a line.

use std::io::{BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;

use super::{Batches, plain, texts};

pub(super) fn batches(
    text: Box<dyn Read + Send>,
    schema: &SchemaRef,
    columns: &[usize],
    rows_max: usize,
) -> Result<Batches, ArrowError> {
    decoded(BufReader::new(text), &Arc::new(schema.project(columns)?), rows_max)
}

/// Numbers and truths are texts to a column of texts. A number with a fraction is none to a column of whole numbers,
/// nor a time, both of which the library's reader would make of it.
fn decoded(text: impl BufRead + 'static, schema: &SchemaRef, rows_max: usize) -> Result<Batches, ArrowError> {
    let cuts = |kind: &DataType| kind.is_integer() || kind.is_decimal() || kind.is_temporal();
    let builder = ReaderBuilder::new(texts::schema(schema, cuts)).with_coerce_primitive(true);
    let reader = builder.with_batch_size(rows_max).build(text)?;
    let schema = schema.clone();
    Ok(Box::new(reader.map(move |batch| texts::converted(&batch?, &schema))))
}

/// The first object that does not fit, among `rows_max` after the first `rows`.
pub(super) fn misfit(text: Box<dyn Read + Send>, schema: &SchemaRef, rows: usize, rows_max: usize) -> Option<String> {
    let lines = BufReader::new(text).lines().map_while(Result::ok).enumerate();
    let objects = lines.filter(|(_, line)| !line.trim().is_empty()).enumerate();
    objects.skip(rows).take(rows_max).find_map(|(row, (line, object))| {
        let error = decoded(Cursor::new(object), schema, 1).ok()?.next()?.err()?;
        Some(format!(", row {} (line {}): {}", row + 1, line + 1, plain(&error)))
    })
}
