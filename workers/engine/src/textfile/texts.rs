//! Values that are read as texts first and converted then: what does not fit its type is an error, where the library's
//! readers would cut it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use crate::types;

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: datafusion::arrow::util::display::FormatOptions::new() };

/// The schema with texts for the types of which the library's reader would cut values.
pub(super) fn schema(schema: &SchemaRef, cuts: impl Fn(&DataType) -> bool) -> SchemaRef {
    let field = |field: &FieldRef| match cuts(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The batch with its texts converted to the types of `schema`.
pub(super) fn converted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| match column.data_type() {
        kind if kind == field.data_type() => Ok(column.clone()),
        _ => convert(column, field),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

fn convert(texts: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    cast_with_options(texts, field.data_type(), &STRICT).map_err(|error| {
        let alone =
            |text: &&str| cast_with_options(&StringArray::from(vec![*text]), field.data_type(), &STRICT).is_err();
        let Some(wrong) = texts.as_string::<i32>().iter().flatten().find(alone) else { return error };
        let kind = types::word(field.data_type());
        ArrowError::CastError(format!("column `{}`: `{wrong}` is not of type {kind}", field.name()))
    })
}
