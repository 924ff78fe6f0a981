//! Text files as tables: CSV and newline JSON. Each file is read by its own compression, and a value that does not fit
//! its type is told with file, row and column.

mod csv;
mod infer;
mod json;
mod quotes;
mod texts;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use flow::plan::Source;
use flow::spec::Format;

pub(crate) use infer::infer;
use quotes::Quotes;

use crate::error::is_of_object_store;
use crate::place::Place;

/// Batches that wait for the one who reads them.
const AHEAD: usize = 2;

type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// How many rows were read of text files in a session. It is asked there, because their operator has no metrics.
#[derive(Debug, Default)]
pub(crate) struct RowsRead(AtomicU64);

impl RowsRead {
    /// Counts from nothing again.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Files of one source with one schema.
#[derive(Clone, Debug)]
pub(crate) struct TextFiles {
    source: Arc<Source>,
    files: Vec<Place>,
    schema: SchemaRef,
}

impl TextFiles {
    /// Files of CSV or JSON. A CSV file has all columns of `schema` in their order.
    pub(crate) fn new(source: &Source, files: Vec<Place>, schema: SchemaRef) -> Self {
        TextFiles { source: Arc::new(source.clone()), files, schema }
    }
}

#[async_trait]
impl TableProvider for TextFiles {
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
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let count = state.config().target_partitions().min(self.files.len()).max(1);
        let partition = |first: usize| {
            let files = self.files.iter().skip(first).step_by(count).cloned().collect();
            let files = TextFiles { files, ..self.clone() };
            Arc::new(Partition { files, columns: columns.clone(), schema: schema.clone() }) as Arc<dyn PartitionStream>
        };
        let partitions = (0..count).map(partition).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), partitions, None, [], false, limit)?))
    }
}

/// Some of the files, and the columns that are asked for.
#[derive(Debug)]
struct Partition {
    files: TextFiles,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), AHEAD);
        let (sender, files, columns) = (stream.tx(), self.files.clone(), self.columns.clone());
        let rows_max = context.session_config().batch_size();
        let read = context.session_config().get_extension::<RowsRead>().unwrap_or_default();
        stream.spawn_blocking(move || {
            for file in &files.files {
                let gone = |batch: RecordBatch| {
                    read.0.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    sender.blocking_send(Ok(batch)).is_err()
                };
                if files.read(file, &columns, rows_max, gone)? {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}

impl TextFiles {
    /// Hands each batch of a file to `stop`, which says when it is enough; answers whether it did.
    fn read(
        &self,
        file: &Place,
        columns: &[usize],
        rows_max: usize,
        mut stop: impl FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        // A row without columns has no length: read one, then drop it.
        let asked = if columns.is_empty() { &[0] } else { columns };
        let mut rows = 0;
        for batch in self.open(file, asked, rows_max)? {
            let batch = batch.map_err(|error| self.misfit(file, rows, rows_max, error))?;
            rows += batch.num_rows();
            let batch = if columns.is_empty() { batch.project(&[])? } else { batch };
            if stop(batch) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn open(&self, file: &Place, columns: &[usize], rows_max: usize) -> Result<Batches> {
        let text = whole_text(&self.source, file).map_err(|error| unreadable(file, &error))?;
        let batches = match self.source.format {
            Format::Json => json::batches(text, &self.schema, columns, rows_max),
            _ => csv::batches(text, &self.source, &self.schema, columns, rows_max),
        };
        Ok(batches?)
    }

    /// The error with its place, found by reading the batch after `rows` again.
    fn misfit(&self, file: &Place, rows: usize, rows_max: usize, error: ArrowError) -> DataFusionError {
        if let ArrowError::IoError(_, cause) = &error {
            return unreadable(file, cause);
        }
        let place = text(file).ok().and_then(|text| match self.source.format {
            Format::Json => json::misfit(text, &self.schema, rows, rows_max),
            _ => csv::misfit(text, &self.source, &self.schema, rows, rows_max),
        });
        let why = place.unwrap_or_else(|| format!(": {}", plain(&error)));
        DataFusionError::Execution(format!("`{file}`{why}"))
    }
}

/// The text of a source's file, which in CSV is whole only if its quotes are closed.
fn whole_text(source: &Source, file: &Place) -> io::Result<Box<dyn Read + Send>> {
    let text = text(file)?;
    Ok(match source.format {
        Format::Csv => Box::new(Quotes::new(text, file.clone(), source.delimiter)),
        _ => text,
    })
}

/// A file's text, decompressed.
fn text(file: &Place) -> io::Result<Box<dyn Read + Send>> {
    compression(file).convert_read(file.open()?).map_err(io::Error::other)
}

fn compression(file: &Place) -> FileCompressionType {
    match file.extension() {
        Some("gz") => FileCompressionType::GZIP,
        Some("bz2") => FileCompressionType::BZIP2,
        Some("zst") => FileCompressionType::ZSTD,
        Some("xz") => FileCompressionType::XZ,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

/// A file that the system or store does not give is the world's fault, one that cannot be decompressed its author's.
fn unreadable(file: &Place, error: &io::Error) -> DataFusionError {
    let message = format!("`{file}` cannot be read: {error}");
    let is_of_world = error.raw_os_error().is_some() || error.get_ref().is_some_and(|cause| is_of_object_store(cause));
    match is_of_world {
        true => DataFusionError::IoError(io::Error::new(error.kind(), message)),
        false => DataFusionError::Execution(message),
    }
}

/// What is told of an error at most: the library may quote a whole file.
const TOLD_CHARS_MAX: usize = 300;

/// An error of the library without its name for it.
fn plain(error: &ArrowError) -> String {
    let text = error.to_string();
    let known = ["Csv error: ", "Json error: ", "Parser error: ", "Cast error: ", "Invalid argument error: "];
    let plain = known.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    match plain.char_indices().nth(TOLD_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain.to_owned(),
    }
}
