//! How the columns of a data file are encoded, decided by its first rows.
//!
//! A dictionary of values that hardly repeat is built in vain: the file's writer interns every value until the
//! dictionary is full, and then writes them plainly after all. Differences of neighbours are often as small as indexes
//! into a dictionary, and nothing has to be looked up for them. And of what is packed into bits already, Snappy takes
//! nothing away, but it takes its time, from each reader again.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, Encoding, Type};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
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

/// Rows of a page: what queries hand over at a time.
const PAGE_ROWS: usize = 8 * 1024;

/// Of longer rows the library says how many make a page.
const LONG_ROW_BYTES: usize = 1024;

/// Rows of the sample that are written to see what becomes of them.
const TRIAL_ROWS: usize = 8 * 1024;

/// Encodings for files that begin with these rows: of numbers and times that repeat, a dictionary or their differences
/// (`DELTA_BINARY_PACKED`), whichever the tried rows are smaller in; of others that repeat, a dictionary; of numbers and
/// times that do not, differences; all else plainly. And Snappy where that makes the tried rows smaller.
pub(crate) fn properties(sample: &[RecordBatch]) -> WriterProperties {
    let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(GROUP_ROWS));
    let bytes: usize = sample.iter().map(RecordBatch::get_array_memory_size).sum();
    let properties = if bytes > rows * LONG_ROW_BYTES {
        properties
    } else {
        properties.set_data_page_row_count_limit(PAGE_ROWS).set_write_batch_size(PAGE_ROWS)
    };
    let Some(first) = sample.first().filter(|_| rows >= SAMPLE_ROWS_MIN) else { return properties.build() };
    let (properties, repeating) = by_repetition(properties, sample, first, rows);
    let properties = properties.build();
    if rows < TRIAL_ROWS {
        return properties;
    }
    // What cannot be written will say so when it is written in earnest.
    by_trial(sample, properties.clone(), &repeating, rows).unwrap_or(properties)
}

/// A column of numbers or times that repeat.
struct Repeating {
    index: usize,
    path: ColumnPath,
    /// About how many of them differ.
    distinct: usize,
}

/// A dictionary where values repeat; and the columns of numbers and times for which it is not the only choice.
fn by_repetition(
    mut properties: WriterPropertiesBuilder,
    sample: &[RecordBatch],
    first: &RecordBatch,
    rows: usize,
) -> (WriterPropertiesBuilder, Vec<Repeating>) {
    let mut repeating = vec![];
    for (index, field) in first.schema_ref().fields().iter().enumerate() {
        if field.data_type().is_nested() {
            continue;
        }
        let distinct = distinct(sample.iter().map(|batch| batch.column(index)));
        let path = ColumnPath::from(vec![field.name().clone()]);
        match (is_number(field.data_type()), distinct <= rows / 2) {
            (true, true) => repeating.push(Repeating { index, path, distinct }),
            (true, false) => properties = as_differences(properties, path),
            (false, true) => {}
            (false, false) => properties = properties.set_column_dictionary_enabled(path, false),
        }
    }
    (properties, repeating)
}

fn as_differences(properties: WriterPropertiesBuilder, path: ColumnPath) -> WriterPropertiesBuilder {
    properties
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
}

/// The properties as corrected by what becomes of the tried rows: differences are written and read in less time than
/// indexes into a dictionary, and may take a tenth more.
fn by_trial(
    sample: &[RecordBatch],
    properties: WriterProperties,
    repeating: &[Repeating],
    rows: usize,
) -> Result<WriterProperties, ParquetError> {
    let batches = tried(sample, rows);
    let columns: Vec<usize> = repeating.iter().map(|column| column.index).collect();
    let numbers = batches.iter().map(|batch| batch.project(&columns)).collect::<Result<Vec<_>, _>>()?;
    let paths = repeating.iter().map(|column| column.path.clone());
    let differences = written(&numbers, paths.fold(properties.clone().into_builder(), as_differences).build())?;
    let mut builder = properties.clone().into_builder();
    for chunk in written(&batches, properties)? {
        let differences = repeating.iter().zip(&differences).find(|(column, _)| column.path == *chunk.column_path());
        let differences = differences
            .filter(|(column, other)| stored(other) * 10 <= by_dictionary(&chunk, column.distinct, rows) * 11);
        let path = chunk.column_path().clone();
        if differences.is_some() {
            builder = as_differences(builder, path.clone());
        }
        if !is_compressed(differences.map_or(&chunk, |(_, other)| other)) {
            builder = builder.set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    Ok(builder.build())
}

/// Rows from all over the sample.
fn tried(sample: &[RecordBatch], rows: usize) -> Vec<RecordBatch> {
    let some =
        |batch: &RecordBatch| batch.slice(0, (batch.num_rows() * TRIAL_ROWS).div_ceil(rows).min(batch.num_rows()));
    sample.iter().map(some).filter(|batch| batch.num_rows() > 0).collect()
}

/// What becomes of the columns of these rows.
fn written(batches: &[RecordBatch], properties: WriterProperties) -> Result<Vec<ColumnChunkMetaData>, ParquetError> {
    let Some(first) = batches.first().filter(|batch| batch.num_columns() > 0) else { return Ok(vec![]) };
    let mut writer = ArrowWriter::try_new(std::io::sink(), first.schema(), Some(properties))?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    let file = writer.close()?;
    Ok(file.row_groups().iter().flat_map(|group| group.columns()).cloned().collect())
}

/// Whether compression saves a twentieth, or takes no time: of one value there may be others later.
fn is_compressed(chunk: &ColumnChunkMetaData) -> bool {
    let saves = chunk.compressed_size() * 20 <= chunk.uncompressed_size() * 19;
    saves || chunk.uncompressed_size() * 8 < chunk.num_values()
}

fn stored(chunk: &ColumnChunkMetaData) -> i64 {
    if is_compressed(chunk) { chunk.compressed_size() } else { chunk.uncompressed_size() }
}

/// The bytes that the tried rows take of a row group by dictionary, in which so many of `rows` differ.
fn by_dictionary(chunk: &ColumnChunkMetaData, distinct: usize, rows: usize) -> i64 {
    let tried = chunk.dictionary_page_offset().map_or(0, |at| chunk.data_page_offset() - at);
    let width = if chunk.column_type() == Type::INT32 { 4 } else { 8 };
    let whole = i64::try_from(distinct * width * TRIAL_ROWS / rows).unwrap_or(i64::MAX);
    stored(chunk) - tried + whole
}

/// Whether values are stored as `INT32` or `INT64`.
fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Date32 | DataType::Timestamp(..) => true,
        DataType::Decimal128(precision, _) => *precision <= 18,
        kind => kind.is_integer(),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Date32Array, Decimal128Array, Int64Array, StringArray};

    use super::*;

    const ROWS: i64 = 64 * 1024;

    /// Numbers without order: the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
    fn scattered(row: i64) -> i64 {
        let mut bits = row.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)).cast_signed()
    }

    fn below(row: i64, limit: i64) -> i64 {
        scattered(row).rem_euclid(limit)
    }

    fn sample() -> RecordBatch {
        let money = |row| i128::from(100 * (1 + below(row, 50)));
        let texts = |text: fn(i64) -> String| Arc::new(StringArray::from_iter_values((0..ROWS).map(text))) as ArrayRef;
        let numbers =
            |number: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(number))) as ArrayRef;
        let days = Date32Array::from_iter_values((0..ROWS).map(|row| 8000 + below(row, 2500) as i32));
        let quantity = Decimal128Array::from_iter_values((0..ROWS).map(money)).with_precision_and_scale(15, 2).unwrap();
        RecordBatch::try_from_iter([
            ("key", numbers(|row| 1000 + row)),
            ("part", numbers(|row| below(row, 10_000))),
            ("any", numbers(scattered)),
            ("code", numbers(|row| scattered(below(row, 12_000)))),
            ("month", numbers(|row| row / 6000)),
            ("day", Arc::new(days) as ArrayRef),
            ("quantity", Arc::new(quantity) as ArrayRef),
            ("flag", texts(|row| ["A", "N", "R"][below(row, 3) as usize].into())),
            ("note", texts(|row| format!("{:x}", scattered(row)))),
        ])
        .unwrap()
    }

    fn column(chunks: &[ColumnChunkMetaData], name: &str) -> ColumnChunkMetaData {
        chunks.iter().find(|chunk| chunk.column_path().string() == name).unwrap().clone()
    }

    #[test]
    fn each_column_is_encoded_as_its_values_repeat() {
        let sample = [sample()];
        let chunks = written(&sample, properties(&sample)).unwrap();
        let has = |name: &str, encoding| column(&chunks, name).encodings().any(|it| it == encoding);
        for name in ["key", "part", "any", "day"] {
            assert!(has(name, Encoding::DELTA_BINARY_PACKED), "{name}");
        }
        for name in ["quantity", "code", "flag"] {
            assert!(has(name, Encoding::RLE_DICTIONARY), "{name}");
        }
        assert!(has("note", Encoding::PLAIN) && !has("note", Encoding::RLE_DICTIONARY));
        assert_eq!(column(&chunks, "any").compression(), Compression::UNCOMPRESSED);
        assert_eq!(column(&chunks, "note").compression(), Compression::SNAPPY);
    }

    #[test]
    fn a_start_unlike_the_rest_does_not_decide_for_it() {
        let rows = || 0..ROWS;
        let late = |row: i64| row > ROWS / 4;
        let note = StringArray::from_iter(rows().map(|row| late(row).then(|| format!("{row} and {row} and {row}"))));
        let code = Int64Array::from_iter_values(
            rows().map(|row| if late(row) { scattered(below(row, 9)) } else { row / 999 }),
        );
        let columns = [("note", Arc::new(note) as ArrayRef), ("code", Arc::new(code) as ArrayRef)];
        let whole = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
        let batches: Vec<RecordBatch> = (0..8).map(|at| whole.slice(at * 8192, 8192)).collect();
        let chunks = written(&batches, properties(&batches)).unwrap();
        assert_eq!(column(&chunks, "note").compression(), Compression::SNAPPY);
        assert!(column(&chunks, "code").encodings().any(|it| it == Encoding::RLE_DICTIONARY));
    }

    #[test]
    fn no_column_is_much_larger_than_it_would_be_by_dictionary_or_by_differences() {
        let sample = [sample()];
        let with = |properties: WriterPropertiesBuilder| {
            let properties =
                properties.set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(GROUP_ROWS));
            written(&sample, properties.build()).unwrap()
        };
        let chosen = written(&sample, properties(&sample)).unwrap();
        let dictionary = with(WriterProperties::builder());
        let numbers = ["key", "part", "any", "code", "month", "day", "quantity"].map(ColumnPath::from);
        let differences = with(numbers.into_iter().fold(WriterProperties::builder(), as_differences));
        for (chosen, others) in chosen.iter().zip(dictionary.iter().zip(&differences)) {
            let least = others.0.compressed_size().min(others.1.compressed_size());
            let (path, bytes) = (chosen.column_path(), chosen.compressed_size());
            assert!(bytes <= least * 6 / 5 + 1024, "{path}: {bytes} of {least}");
        }
    }
}
