//! A stream of bytes that reads back in one way only: every item has a length or a fixed size.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;

#[derive(Default)]
pub struct Bytes(blake3::Hasher);

impl Bytes {
    pub fn hex(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }

    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub fn size(&mut self, size: usize) {
        self.number(size as u64);
    }

    pub fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    pub fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.0.update(bytes);
    }

    /// Names and types. Metadata and nullability say how a value is stored, not which it is.
    pub fn fields(&mut self, fields: &Fields) {
        self.size(fields.len());
        fields.iter().for_each(|field| self.field(field));
    }

    pub fn field(&mut self, field: &Field) {
        self.text(field.name());
        self.kind(field.data_type());
    }

    pub fn kind(&mut self, kind: &DataType) {
        let mut nested = |name: &str, fields: &[&FieldRef]| {
            self.text(name);
            self.size(fields.len());
            fields.iter().for_each(|field| self.field(field));
        };
        match kind {
            DataType::List(item) => nested("list", &[item]),
            DataType::ListView(item) => nested("list view", &[item]),
            DataType::LargeList(item) => nested("large list", &[item]),
            DataType::LargeListView(item) => nested("large list view", &[item]),
            DataType::FixedSizeList(item, size) => nested(&format!("list of {size}"), &[item]),
            DataType::Map(entries, sorted) => nested(&format!("map {sorted}"), &[entries]),
            DataType::Struct(fields) => nested("struct", &fields.iter().collect::<Vec<_>>()),
            simple => self.text(&format!("{simple:?}")),
        }
    }

    /// A literal by type and exact value (`0.0` is not `-0.0`); `None` for types that rows cannot hold.
    pub fn literal(&mut self, value: &ScalarValue) -> Option<()> {
        self.kind(&value.data_type());
        self.flag(value.is_null());
        if !value.is_null() {
            let converter = RowConverter::new(vec![SortField::new(value.data_type())]).ok()?;
            let rows = converter.convert_columns(&[value.to_array().ok()?]).ok()?;
            self.blob(rows.row(0).as_ref());
        }
        Some(())
    }
}
