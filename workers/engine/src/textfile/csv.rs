//! CSV, by position: the header of every file names the same columns in the same order.

use std::io::{BufReader, Read};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use flow::plan::Source;
use regex::Regex;

use super::{Batches, plain, texts};
use crate::types;

/// How a source's files are written.
pub(super) fn format(source: &Source) -> Result<Format, ArrowError> {
    let format = Format::default().with_header(source.header).with_delimiter(source.delimiter);
    let nulls: Vec<String> = source.null.iter().map(|text| regex::escape(text)).collect();
    let nulls = Regex::new(&format!("^(|{})$", nulls.join("|")));
    Ok(format.with_null_regex(nulls.map_err(|error| ArrowError::CsvError(error.to_string()))?))
}

pub(super) fn batches(
    text: Box<dyn Read + Send>,
    source: &Source,
    schema: &SchemaRef,
    columns: &[usize],
    rows_max: usize,
) -> Result<Batches, ArrowError> {
    let reader = ReaderBuilder::new(texts::schema(schema, DataType::is_decimal))
        .with_format(format(source)?.with_header_validation(source.header))
        .with_batch_size(rows_max)
        .with_projection(columns.to_vec())
        .build(text)?;
    let schema = Arc::new(schema.project(columns)?);
    Ok(Box::new(reader.map(move |batch| texts::converted(&batch?, &schema))))
}

/// Where the first value stands that does not fit its column, among `rows_max` rows after the first `rows`.
pub(super) fn misfit(
    text: Box<dyn Read + Send>,
    source: &Source,
    schema: &SchemaRef,
    rows: usize,
    rows_max: usize,
) -> Option<String> {
    let texts: Vec<_> = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let mut reader = ReaderBuilder::new(Arc::new(Schema::new(texts)))
        .with_format(format(source).ok()?)
        .with_batch_size(rows_max)
        .with_bounds(rows, rows.saturating_add(rows_max))
        .build(BufReader::new(text))
        .ok()?;
    let batch = reader.next()?.ok()?;
    let found = schema.fields().iter().enumerate().filter_map(|(n, field)| {
        let (row, why) = first_misfit(&batch, n, field)?;
        Some((row, n, why))
    });
    let (row, n, why) = found.min()?;
    let field = schema.field(n);
    let value = batch.column(n).as_string::<i32>().value(row);
    let row = rows + row + 1;
    let line = if source.header { format!(" (line {})", row + 1) } else { String::new() };
    let kind = types::word(field.data_type());
    let why = if why.contains(value) { String::new() } else { format!(": {why}") };
    let hint = "override its type with `columns`, or list the text in `null`";
    Some(format!(", row {row}{line}, column `{}`: `{value}` is not of type {kind}{why} ({hint})", field.name()))
}

/// The first row whose text the reader does not take for a value of `field`.
fn first_misfit(batch: &RecordBatch, column: usize, field: &Field) -> Option<(usize, String)> {
    let texts = batch.column(column).as_string::<i32>();
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    texts.iter().enumerate().find_map(|(row, text)| {
        let quoted = format!("\"{}\"\n", text?.replace('"', "\"\""));
        let mut reader = ReaderBuilder::new(schema.clone()).build(quoted.as_bytes()).ok()?;
        let error = reader.next()?.err()?;
        Some((row, plain(&error)))
    })
}
