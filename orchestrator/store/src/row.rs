//! What goes into a statement and what comes out of it.

use std::borrow::Cow;

use flow::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// An argument of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Arg<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Arg::Text(Some(without_nul(text)))
    }
}

impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Arg::Text(Some(if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }))
    }
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Arg::Text(text.map(without_nul))
    }
}

impl From<i64> for Arg<'_> {
    fn from(number: i64) -> Self {
        Arg::Int(Some(number))
    }
}

impl From<u64> for Arg<'_> {
    fn from(number: u64) -> Self {
        Arg::from(Some(number))
    }
}

impl From<u32> for Arg<'_> {
    fn from(number: u32) -> Self {
        Arg::Int(Some(number.into()))
    }
}

impl From<Option<u64>> for Arg<'_> {
    fn from(number: Option<u64>) -> Self {
        Arg::Int(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Arg<'_> {
    fn from(flag: bool) -> Self {
        Arg::Int(Some(flag.into()))
    }
}

/// PostgreSQL takes no NUL in a text; what one database cannot keep, neither does the other.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// A row of an answer, its columns taken from left to right.
pub(crate) struct Row<'a> {
    place: &'a str,
    cells: std::vec::IntoIter<Cell>,
}

impl<'a> Row<'a> {
    pub fn new(place: &'a str, cells: Vec<Cell>) -> Self {
        Row { place, cells: cells.into_iter() }
    }

    pub fn text(&mut self) -> Result<String, Error> {
        self.text_or_null()?.ok_or_else(|| self.wrong("a null where a text belongs"))
    }

    pub fn text_or_null(&mut self) -> Result<Option<String>, Error> {
        match self.cells.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            other => Err(self.wrong(format!("{other:?} where a text belongs"))),
        }
    }

    pub fn number(&mut self) -> Result<u64, Error> {
        self.number_or_null()?.ok_or_else(|| self.wrong("a null where a number belongs"))
    }

    pub fn number_or_null(&mut self) -> Result<Option<Time>, Error> {
        match self.cells.next() {
            Some(Cell::Int(number)) if number >= 0 => Ok(Some(number.unsigned_abs())),
            Some(Cell::Null) => Ok(None),
            other => Err(self.wrong(format!("{other:?} where a number belongs"))),
        }
    }

    pub fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.number()? != 0)
    }

    /// A text that holds JSON.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let text = self.text()?;
        serde_json::from_str(&text).map_err(|error| self.wrong(error))
    }

    /// A text that holds JSON, or null.
    pub fn json_or_default<T: DeserializeOwned + Default>(&mut self) -> Result<T, Error> {
        let Some(text) = self.text_or_null()? else { return Ok(T::default()) };
        serde_json::from_str(&text).map_err(|error| self.wrong(error))
    }

    /// A text that is one of an enum's words.
    pub fn word<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let text = self.text()?;
        serde_json::from_value(text.into()).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(self.place, what)
    }
}

/// The word that an enum without fields is written as.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("not a plain enum: {other:?}"),
    }
}
