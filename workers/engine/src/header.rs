//! Protocol and metadata: what a table's log says of its columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, MetadataExt, StructType, new_metadata};
use flow::spec::Mode;
use flow::wire::Failure;

use crate::error::delta;
use crate::publish::Publish;
use crate::stage::Staged;

/// The columns as the log has them. Any may be NULL: whether a query can return none is its author's business, and the
/// next version of the query may.
pub(crate) fn one_column_set(schema: &Schema) -> Result<StructType, Failure> {
    let schema = Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>());
    (&schema).try_into_kernel().map_err(|error: datafusion::arrow::error::ArrowError| Failure::user(error.to_string()))
}

fn nullable(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::List(item) => DataType::List(nullable(item)),
        DataType::LargeList(item) => DataType::LargeList(nullable(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nullable).collect()),
        kind => kind.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(kind).with_nullable(true))
}

/// Protocol and metadata of a table's first version.
pub(crate) fn new_header(staged: &Staged, partition_by: &[String]) -> Result<Vec<Action>, Failure> {
    let schema = one_column_set(&staged.schema)?;
    let configuration = [("delta.enableExpiredLogCleanup", "false")];
    let metadata = new_metadata(&schema, partition_by, configuration);
    let metadata = metadata.map_err(|error| Failure::internal(error.to_string()))?;
    Ok(vec![protocol(&schema)?, Action::Metadata(metadata)])
}

/// Protocol and metadata, if the output's columns are not those of the table.
pub(crate) fn changed_header(
    opened: &DeltaTable,
    staged: &Staged,
    publish: &Publish<'_>,
) -> Result<Vec<Action>, Failure> {
    let state = opened.snapshot().map_err(|error| delta("failed to describe the table", &error))?;
    let mut wanted = one_column_set(&staged.schema)?;
    let partitions = state.metadata().partition_columns().to_vec();
    let overwrite = publish.output.mode == Mode::Overwrite;
    if !overwrite {
        if partitions != publish.output.partition_by {
            let message = format!(
                "the table is partitioned by {partitions:?}, the task by {:?}; overwrite it once, or delete it",
                publish.output.partition_by
            );
            return Err(Failure::user(message));
        }
        wanted = united(&state.schema(), &wanted)?;
    }
    header_for(opened, wanted, &publish.output.partition_by)
}

/// Protocol and metadata for these columns, unless the table has them already.
pub(crate) fn header_for(
    opened: &DeltaTable,
    wanted: StructType,
    partition_by: &[String],
) -> Result<Vec<Action>, Failure> {
    let fault = |error: deltalake::kernel::Error| Failure::internal(error.to_string());
    let state = opened.snapshot().map_err(|error| delta("failed to describe the table", &error))?;
    if wanted == *state.schema() && state.metadata().partition_columns() == partition_by {
        return Ok(vec![]);
    }
    let fresh = new_metadata(&wanted, partition_by, state.metadata().configuration()).map_err(fault)?;
    let metadata = fresh.with_table_id(state.metadata().id().to_string()).map_err(fault)?;
    let mut header = vec![Action::Metadata(metadata)];
    if has_naive_timestamp(&wanted) && !has_naive_timestamp(&state.schema()) {
        header.insert(0, protocol(&wanted)?);
    }
    Ok(header)
}

/// The lowest protocol that can hold the columns: naive timestamps are a table feature.
fn protocol(schema: &StructType) -> Result<Action, Failure> {
    let value = if has_naive_timestamp(schema) {
        let features = serde_json::json!(["timestampNtz"]);
        serde_json::json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features })
    } else {
        serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
    };
    let protocol = serde_json::from_value(value).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(Action::Protocol(protocol))
}

fn has_naive_timestamp(schema: &StructType) -> bool {
    deltalake::kernel::contains_timestampntz(schema.fields())
}

/// The table's columns and those that the output adds. Types must not change.
fn united(table: &StructType, output: &StructType) -> Result<StructType, Failure> {
    let mut fields: Vec<_> = table.fields().cloned().collect();
    for field in output.fields() {
        match table.field(field.name()) {
            None => fields.push(field.clone()),
            Some(found) if found.data_type() == field.data_type() => {}
            Some(found) => {
                let message = format!(
                    "column `{}` is {} in the table and {} in the output; cast it, or overwrite the table once",
                    field.name(),
                    found.data_type(),
                    field.data_type()
                );
                return Err(Failure::user(message));
            }
        }
    }
    StructType::try_new(fields).map_err(|error| Failure::internal(error.to_string()))
}
