//! Checks as a flow file writes them.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// An assertion on a dataset: exactly one of `not_null`, `unique`, `between`, `accepted`, `references`, `rows`, `sql`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// No row has a NULL in any of these columns.
    #[schemars(with = "Option<Vec<String>>")]
    pub not_null: Option<Spanned<Vec<Spanned<String>>>>,
    /// No two rows agree in all of these columns. A NULL is no duplicate.
    #[schemars(with = "Option<Vec<String>>")]
    pub unique: Option<Spanned<Vec<Spanned<String>>>>,
    /// Values lie between two inclusive bounds. NULL passes.
    #[schemars(with = "Option<Between>")]
    pub between: Option<Spanned<Between>>,
    /// Values are among those listed. NULL passes.
    #[schemars(with = "Option<Accepted>")]
    pub accepted: Option<Spanned<Accepted>>,
    /// Values are found in a column of another dataset or source. NULL passes.
    #[schemars(with = "Option<References>")]
    pub references: Option<Spanned<References>>,
    /// The number of rows lies between two inclusive bounds.
    #[schemars(with = "Option<Rows>")]
    pub rows: Option<Spanned<Rows>>,
    /// A query that returns the rows that should not be there.
    #[schemars(with = "Option<String>")]
    pub sql: Option<Spanned<String>>,
    /// `error` (the default) blocks publishing, `warn` does not.
    #[serde(default)]
    pub severity: Severity,
    /// The name shown in reports. Default: made from the assertion.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// What the assertion sees: the `rows` about to be published (the default), or the `table` as it would be.
    #[serde(default)]
    pub on: On,
}

/// Two inclusive bounds for a column's values; one may be left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The column that is looked at.
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    /// The least value that passes.
    #[schemars(with = "Option<serde_json::Value>")]
    pub min: Option<Spanned<toml::Value>>,
    /// The greatest value that passes.
    #[schemars(with = "Option<serde_json::Value>")]
    pub max: Option<Spanned<toml::Value>>,
}

/// The values that a column may have.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The column that is looked at.
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    /// The values that pass.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub values: Spanned<Vec<Spanned<toml::Value>>>,
}

/// A column of another dataset that holds all values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct References {
    /// The column that is looked at.
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    /// `dataset.column`, or `flow.dataset.column`.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
}

/// Two inclusive bounds for the number of rows; one may be left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The least number that passes.
    #[schemars(with = "Option<u64>")]
    pub min: Option<Spanned<i64>>,
    /// The greatest number that passes.
    #[schemars(with = "Option<u64>")]
    pub max: Option<Spanned<i64>>,
}

/// What a check that fails does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It blocks publishing.
    #[default]
    Error,
    /// It is told and does not block.
    Warn,
}

/// What a check sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The rows about to be published.
    #[default]
    Rows,
    /// The table as it would be.
    Table,
}
