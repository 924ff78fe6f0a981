//! How the columns of a data file are encoded, decided by its first rows.
//!
//! A dictionary of values that hardly repeat is built in vain: the file's writer interns every value until the
//! dictionary is full, and then writes them plainly after all.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::parquet::basic::{Compression, Encoding};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::schema::types::ColumnPath;

/// Rows looked at: as many 8-byte values as fill a dictionary.
pub(crate) const SAMPLE_ROWS: usize = 128 * 1024;

/// Fewer rows are written as the library would: nothing is won.
const SAMPLE_ROWS_MIN: usize = 1024;

/// The bits in which distinct values are counted, a power of two.
const BITS: usize = 8 * SAMPLE_ROWS;

/// Encodings for files that begin with these rows, Snappy-compressed. Whole numbers and times that seldom repeat are
/// stored as differences (`DELTA_BINARY_PACKED`), other values that seldom repeat plainly, all else by dictionary.
pub(crate) fn properties(sample: &[RecordBatch]) -> WriterProperties {
    let mut properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
    let Some(first) = sample.first().filter(|_| rows >= SAMPLE_ROWS_MIN) else { return properties.build() };
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
    properties.build()
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
