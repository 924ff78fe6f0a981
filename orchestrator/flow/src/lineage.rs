//! Which columns a column comes from, in the words of OpenLineage's column lineage facet
//! (<https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json>).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an input column takes part in an output column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "LineageType")]
pub enum Kind {
    /// Its values become values of the output.
    Direct,
    /// Its values decide which rows there are, how they are grouped or ordered, or which branch is taken.
    Indirect,
}

/// How exactly it takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "LineageSubtype")]
pub enum Subtype {
    Identity,
    Transformation,
    Aggregation,
    Join,
    GroupBy,
    Filter,
    Sort,
    Window,
    Conditional,
}

impl Subtype {
    pub fn kind(self) -> Kind {
        match self {
            Subtype::Identity | Subtype::Transformation | Subtype::Aggregation => Kind::Direct,
            _ => Kind::Indirect,
        }
    }

    /// How a column takes part in another, in a word.
    pub fn word(self) -> &'static str {
        match self {
            Subtype::Identity => "as it is",
            Subtype::Transformation => "transformed",
            Subtype::Aggregation => "aggregated",
            Subtype::Join => "joins",
            Subtype::GroupBy => "groups",
            Subtype::Filter => "filters",
            Subtype::Sort => "sorts",
            Subtype::Window => "windows",
            Subtype::Conditional => "decides",
        }
    }
}

/// A column that an output column is made of, one hop up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LineageInput")]
pub struct Input {
    /// A source's name, or `flow.task` for a task's output.
    pub dataset: String,
    pub column: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub subtype: Subtype,
}

/// A column of a dataset with everything it is made of, one hop up, sorted and without repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LineageColumn")]
pub struct Column {
    pub name: String,
    /// In the words of the flow file: `string`, `int`, `float`, `bool`, `date`, `timestamp`, or a SQL type.
    #[serde(rename = "type")]
    pub kind: String,
    pub inputs: Vec<Input>,
}
