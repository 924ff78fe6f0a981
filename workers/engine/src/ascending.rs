//! Keys that ascend: that none of them comes twice is seen in passing, without keeping them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::DFSchema;

/// What batches of keys, in any order of the batches, have shown so far.
pub(crate) struct Ascending {
    /// The columns of the key.
    columns: Vec<usize>,
    converter: RowConverter,
    /// The first and the last key of each batch.
    ranges: Mutex<Vec<(OwnedRow, OwnedRow)>>,
    broken: AtomicBool,
}

impl Ascending {
    /// For the key of these columns. `None` if two values of a column may be equal that are ordered, as 0.0 and -0.0 are.
    pub(crate) fn new(schema: &DFSchema, names: &[String]) -> Result<Option<Ascending>, ArrowError> {
        let schema: &SchemaRef = schema.inner();
        let Ok(columns) = names.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>() else {
            return Ok(None);
        };
        let kinds: Vec<&DataType> = columns.iter().map(|column| schema.field(*column).data_type()).collect();
        if kinds.is_empty() || kinds.iter().any(|kind| kind.is_floating() || kind.is_nested()) {
            return Ok(None);
        }
        let converter = RowConverter::new(kinds.into_iter().cloned().map(SortField::new).collect())?;
        Ok(Some(Ascending { columns, converter, ranges: Mutex::default(), broken: AtomicBool::new(false) }))
    }

    /// Looks at one more batch, unless it is known already that keys do not ascend.
    pub(crate) fn add(&self, batch: &RecordBatch) -> Result<(), ArrowError> {
        if batch.num_rows() == 0 || self.broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.range(batch)? {
            Some(range) => self.ranges.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(range),
            None => self.broken.store(true, Ordering::Relaxed),
        }
        Ok(())
    }

    /// The first and the last key of a batch in which each is greater than the one before.
    fn range(&self, batch: &RecordBatch) -> Result<Option<(OwnedRow, OwnedRow)>, ArrowError> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|column| batch.column(*column).clone()).collect();
        if keys.iter().any(|key| key.null_count() > 0) {
            return Ok(None);
        }
        let rows: Rows = self.converter.convert_columns(&keys)?;
        let ascend = (1..rows.num_rows()).all(|n| rows.row(n - 1) < rows.row(n));
        Ok(ascend.then(|| (rows.row(0).owned(), rows.row(rows.num_rows() - 1).owned())))
    }

    /// Whether no key came twice. `false`: it may have, or not.
    pub(crate) fn proves_unique(&self) -> bool {
        let mut ranges = self.ranges.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ranges.sort_unstable();
        let apart = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        apart && !self.broken.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{Field, Schema};

    use super::*;

    type Batch<'a> = &'a [(Option<i64>, &'a str)];

    fn proves_unique(batches: &[Batch<'_>]) -> bool {
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let known = DFSchema::try_from(schema.clone()).unwrap();
        let ascending = Ascending::new(&known, &["n".into(), "t".into()]).unwrap().unwrap();
        for rows in batches {
            let numbers: Int64Array = rows.iter().map(|(number, _)| *number).collect();
            let texts: StringArray = rows.iter().map(|(_, text)| Some(*text)).collect();
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(numbers), Arc::new(texts)]).unwrap();
            ascending.add(&batch).unwrap();
        }
        ascending.proves_unique()
    }

    #[test]
    fn keys_that_ascend_in_batches_apart_are_unique() {
        let (low, high): (Batch<'_>, Batch<'_>) =
            (&[(Some(-1), "b"), (Some(2), "a"), (Some(2), "b")], &[(Some(2), "c"), (Some(10), "")]);
        assert!(proves_unique(&[]));
        assert!(proves_unique(&[low, &[], high]));
        assert!(proves_unique(&[high, low]), "whatever the order of the batches");
    }

    #[test]
    fn nothing_is_proved_of_others() {
        let one: Batch<'_> = &[(Some(1), "a"), (Some(5), "a")];
        for (other, why) in [
            (&[(Some(5), "a"), (Some(6), "a")][..], "a key comes again in the next batch"),
            (&[(Some(0), "a"), (Some(3), "a"), (Some(9), "a")], "batches overlap"),
            (&[(Some(7), "a"), (Some(7), "a")], "a key comes twice in a batch"),
            (&[(Some(9), "a"), (Some(8), "a")], "keys descend"),
            (&[(None, "a"), (Some(8), "a")], "a key is NULL"),
        ] {
            assert!(!proves_unique(&[one, other]), "{why}");
        }
    }
}
