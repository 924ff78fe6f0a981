//! Parameters: their types, their values, and how text becomes one of the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    String,
    Int,
    Float,
    Bool,
    Date,
    Timestamp,
    Enum(Vec<String>),
}

/// The value of a parameter. In JSON a date is `"2013-01-31"` and a timestamp RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type", content = "value")]
pub enum Value {
    String(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Days since the Unix epoch.
    Date(i32),
    /// Microseconds since the Unix epoch, in UTC.
    Timestamp(i64),
}

/// The parameters of a run, by name.
pub type Params = BTreeMap<String, Value>;
