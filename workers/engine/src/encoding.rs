//! How the columns of a data file are encoded, decided by its first rows.
//!
//! A dictionary of values that hardly repeat is built in vain: the file's writer interns every value until the
//! dictionary is full, and then writes them plainly after all. And of what is packed into bits already, Snappy takes
//! nothing away, but it takes its time, from each reader again.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, Encoding};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::schema::types::ColumnPath;

/// Rows looked at: as many 8-byte values as fill a dictionary.
pub(crate) const SAMPLE_ROWS: usize = 128 * 1024;

/// Fewer rows are written as the library would: nothing is won.
const SAMPLE_ROWS_MIN: usize = 1024;

/// The bits in which distinct values are counted, a power of two.
const BITS: usize = 8 * SAMPLE_ROWS;

/// Rows of a row group: few enough that what is written of one stays near the processor, and is soon used again.
const GROUP_ROWS: usize = 128 * 1024;

/// Rows of the sample that are written to see what Snappy makes of them.
const TRIAL_ROWS: usize = 16 * 1024;

/// Encodings for files that begin with these rows. Whole numbers and times that seldom repeat are stored as differences
/// (`DELTA_BINARY_PACKED`), other values that seldom repeat plainly, all else by dictionary; and compressed by Snappy
/// where that makes them smaller.
pub(crate) fn properties(sample: &[RecordBatch]) -> WriterProperties {
    let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(GROUP_ROWS));
    let Some(first) = sample.first().filter(|_| rows >= SAMPLE_ROWS_MIN) else { return properties.build() };
    let properties = encoded(properties, sample, first, rows).build();
    if rows < TRIAL_ROWS {
        return properties;
    }
    // What cannot be written will say so when it is written in earnest.
    let incompressible = incompressible(sample, properties.clone()).unwrap_or_default();
    let plain =
        |properties: WriterPropertiesBuilder, path| properties.set_column_compression(path, Compression::UNCOMPRESSED);
    incompressible.into_iter().fold(properties.into_builder(), plain).build()
}

fn encoded(
    mut properties: WriterPropertiesBuilder,
    sample: &[RecordBatch],
    first: &RecordBatch,
    rows: usize,
) -> WriterPropertiesBuilder {
    for (index, field) in first.schema_ref().fields().iter().enumerate() {
        if field.data_type().is_nested() {
            continue;
        }
        let distinct = distinct(sample.iter().map(|batch| batch.column(index)));
        let path = ColumnPath::from(vec![field.name().clone()]);
        // Differences of clustered numbers are as small as indexes into a dictionary; of other values nothing is.
        if is_whole(field.data_type()) && distinct > rows / 8 {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if distinct > rows / 2 {
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    properties
}

/// The columns of which compression saves less than a twentieth.
fn incompressible(sample: &[RecordBatch], properties: WriterProperties) -> Result<Vec<ColumnPath>, ParquetError> {
    let Some(first) = sample.first() else { return Ok(vec![]) };
    let mut writer = ArrowWriter::try_new(std::io::sink(), first.schema(), Some(properties))?;
    let mut left = TRIAL_ROWS;
    for batch in sample {
        let rows = left.min(batch.num_rows());
        writer.write(&batch.slice(0, rows))?;
        left -= rows;
    }
    let written = writer.close()?;
    let columns = written.row_groups().iter().flat_map(|group| group.columns());
    let in_vain = columns.filter(|column| column.compressed_size() * 20 > column.uncompressed_size() * 19);
    Ok(in_vain.map(|column| column.column_path().clone()).collect())
}

fn is_whole(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Date32 | DataType::Timestamp(..))
}

/// About how many values differ, by linear counting (Whang, Vander-Zanden and Taylor 1990); 0 if they cannot be hashed.
fn distinct<'a>(arrays: impl Iterator<Item = &'a ArrayRef>) -> usize {
    let mut seen = vec![0_u64; BITS / 64];
    let mut hashes = vec![];
    for array in arrays {
        hashes.clear();
        hashes.resize(array.len(), 0);
        if create_hashes([array], &RandomState::with_seed(0), &mut hashes).is_err() {
            return 0;
        }
        for hash in &hashes {
            let bit = *hash as usize % BITS;
            seen[bit / 64] |= 1 << (bit % 64);
        }
    }
    let empty = seen.iter().map(|word| word.count_zeros()).sum::<u32>().max(1);
    (BITS as f64 * (BITS as f64 / f64::from(empty)).ln()).round() as usize
}
