//! The types of text files, from what is written in them.

use std::io::{BufReader, Cursor, Read};

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::json::reader::infer_json_schema;
use flow::plan::Source;
use flow::spec::Format;
use serde::de::IgnoredAny;

use super::{csv, plain, whole_text};
use crate::place::Place;

/// Types are inferred from at most this much of the files' text.
const BYTES_MAX: u64 = 64 << 20;

/// The columns of a source's files. Says what is wrong with which file.
pub(crate) fn infer(source: &Source, files: &[Place]) -> Result<Schema, String> {
    let mut left = BYTES_MAX;
    let mut heads = vec![];
    for file in files {
        let head = head(source, file, left).map_err(|error| format!("`{file}` cannot be read: {error}"))?;
        let Head { text, is_cut } = head;
        left = left.saturating_sub(text.len() as u64);
        heads.push((file, text));
        if is_cut || left == 0 {
            break;
        }
    }
    match source.format {
        Format::Json => infer_json(heads),
        _ => infer_csv(source, heads),
    }
}

/// The beginning of a file's text.
struct Head {
    text: Vec<u8>,
    /// Whether the file goes on.
    is_cut: bool,
}

/// Whole lines of at most `bytes_max`. A line end inside a quoted value ends no line.
fn head(source: &Source, file: &Place, bytes_max: u64) -> std::io::Result<Head> {
    let mut head = vec![];
    let mut text = whole_text(source, file)?;
    text.by_ref().take(bytes_max).read_to_end(&mut head)?;
    let is_cut = text.read(&mut [0])? > 0;
    if is_cut {
        let is_csv = source.format == Format::Csv;
        let (mut end, mut quoted) = (0, false);
        for (at, byte) in head.iter().enumerate() {
            match byte {
                b'"' => quoted = is_csv && !quoted,
                b'\n' if !quoted => end = at + 1,
                _ => {}
            }
        }
        head.truncate(end);
    }
    Ok(Head { text: head, is_cut })
}

fn infer_csv(source: &Source, heads: Vec<(&Place, Vec<u8>)>) -> Result<Schema, String> {
    let format = csv::format(source).map_err(|error| plain(&error))?;
    let mut merged: Option<(&Place, Vec<Field>)> = None;
    for (file, head) in heads {
        let schema = format.infer_schema(head.as_slice(), None);
        let (schema, _) = schema.map_err(|error| format!("`{file}` cannot be read: {}", plain(&error)))?;
        let Some((first, fields)) = &mut merged else {
            merged = Some((file, schema.fields().iter().map(|field| field.as_ref().clone()).collect()));
            continue;
        };
        let names = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let (here, there) = (
            names(&mut schema.fields().iter().map(|field| field.name())),
            names(&mut fields.iter().map(|field| field.name())),
        );
        if here != there {
            return Err(format!("the columns of `{file}` are {here}, but those of `{first}` are {there}"));
        }
        for (field, found) in fields.iter_mut().zip(schema.fields()) {
            *field = Field::new(field.name(), both(field.data_type(), found.data_type()), true);
        }
    }
    Ok(Schema::new(merged.map(|(_, fields)| fields).unwrap_or_default()))
}

/// The type that holds what either holds.
fn both(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (DataType::Null, known) | (known, DataType::Null) => known.clone(),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => DataType::Float64,
        (DataType::Date32 | DataType::Timestamp(_, None), DataType::Date32 | DataType::Timestamp(_, None)) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        _ => DataType::Utf8,
    }
}

/// All files as one, so that an object anywhere may bring a column.
fn infer_json(heads: Vec<(&Place, Vec<u8>)>) -> Result<Schema, String> {
    for (file, head) in &heads {
        if head.trim_ascii_start().starts_with(b"[") {
            let hint = "`jq -c '.[]'` makes one of each";
            return Err(format!(
                "`{file}` cannot be read: it is one JSON array, but one object a line is expected; {hint}"
            ));
        }
        // The inference below tells no place.
        let mut values = serde_json::Deserializer::from_slice(head).into_iter::<IgnoredAny>();
        if let Some(error) = values.find_map(Result::err) {
            return Err(format!("`{file}` cannot be read: {error}"));
        }
        let schema = infer_json_schema(BufReader::new(head.as_slice()), None);
        schema.map_err(|error| format!("`{file}` cannot be read: {}", plain(&error)))?;
    }
    let all = heads.into_iter().flat_map(|(_, mut head)| {
        head.push(b'\n');
        head
    });
    let all: Vec<u8> = all.collect();
    let (schema, _) = infer_json_schema(BufReader::new(Cursor::new(all)), None).map_err(|error| plain(&error))?;
    Ok(schema)
}
