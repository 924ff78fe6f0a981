//! CSV files as a table.
//!
//! DataFusion's own reader knows nothing of texts that stand for NULL while it reads (it does while it infers), and
//! its errors name no file. This one reads whole files, one after the other in each partition, with Arrow's parser.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use flow::plan::Source;
use regex::Regex;

use crate::source::{compression, null_pattern};

/// The files of a source, read with the types that the plan gives its columns.
#[derive(Debug)]
pub(crate) struct CsvTable {
    files: Vec<PathBuf>,
    schema: SchemaRef,
    delimiter: u8,
    header: bool,
    null: Option<Regex>,
}

impl CsvTable {
    pub(crate) fn new(source: &Source, files: Vec<PathBuf>, schema: SchemaRef) -> Result<CsvTable> {
        let null = null_pattern(source).map(|pattern| Regex::new(&pattern)).transpose();
        let null = null.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(CsvTable { files, schema, delimiter: source.delimiter, header: source.header, null })
    }
}

#[async_trait]
impl TableProvider for CsvTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all).clone();
        let projected = Arc::new(self.schema.project(&columns)?);
        let workers = state.config().target_partitions().clamp(1, self.files.len().max(1));
        let part = |first: usize| -> Arc<dyn PartitionStream> {
            let files = self.files.iter().skip(first).step_by(workers).cloned().collect();
            Arc::new(Part {
                files,
                stored: self.schema.clone(),
                projected: projected.clone(),
                columns: columns.clone(),
                delimiter: self.delimiter,
                header: self.header,
                null: self.null.clone(),
            })
        };
        let parts = (0..workers).map(part).collect();
        Ok(Arc::new(StreamingTableExec::try_new(projected.clone(), parts, None, [], false, limit)?))
    }
}

/// Files that are read one after the other.
#[derive(Clone)]
struct Part {
    files: Vec<PathBuf>,
    /// The columns of the files.
    stored: SchemaRef,
    /// Those that are read.
    projected: SchemaRef,
    columns: Vec<usize>,
    delimiter: u8,
    header: bool,
    null: Option<Regex>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "csv {:?}", self.files)
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.projected
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.projected.clone(), 2);
        let (sender, part, rows) = (builder.tx(), self.clone(), context.session_config().batch_size());
        builder.spawn_blocking(move || {
            for file in &part.files {
                for batch in part.batches(file, rows)? {
                    let batch = batch.map_err(|error| part.explain(file, &error));
                    // A reader that has gone wants no more.
                    if sender.blocking_send(batch).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

impl Part {
    fn batches(&self, file: &Path, rows: usize) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>> {
        let open = File::open(file).map_err(|error| {
            DataFusionError::External(format!("failed to open `{}`: {error}", file.display()).into())
        })?;
        let reader = compression(file).convert_read(BufReader::new(open))?;
        let mut builder = ReaderBuilder::new(self.stored.clone())
            .with_delimiter(self.delimiter)
            .with_header(self.header)
            .with_batch_size(rows)
            .with_projection(self.columns.clone());
        if let Some(null) = &self.null {
            builder = builder.with_null_regex(null.clone());
        }
        Ok(builder.build(reader)?)
    }

    /// The parser's error with the file's name, and the column's instead of its number.
    fn explain(&self, file: &Path, error: &ArrowError) -> DataFusionError {
        let text = match error {
            ArrowError::ParseError(text) | ArrowError::CsvError(text) => text.clone(),
            other => other.to_string(),
        };
        let text = contradiction(&text, &self.stored).unwrap_or(text);
        DataFusionError::Execution(format!("`{}`: {text}", file.display()))
    }
}

/// Arrow says: Error while parsing value 'x' as type 'Int64' for column 3 at line 12. Row data: '[…]'.
fn contradiction(text: &str, schema: &Schema) -> Option<String> {
    let rest = text.strip_prefix("Error while parsing value '")?;
    let (value, rest) = rest.split_once("' as type '")?;
    let (_, rest) = rest.split_once("' for column ")?;
    let (column, rest) = rest.split_once(" at line ")?;
    let line: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let field = schema.fields().get(column.parse::<usize>().ok()?)?;
    let kind = crate::types::word(field.data_type());
    Some(format!(
        "row {line}, column `{}`: `{value}` is not {kind} (override its type with `columns`, or list the text in `null`)",
        field.name()
    ))
}
