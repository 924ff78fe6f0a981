//! `[limits]`: how much of a flow may go on at the same time.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// How much of a flow may go on at the same time, over all its runs and servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many runs may be under way. Further ones stay `queued`, in the order in which they were made. Default: any.
    #[schemars(with = "Option<u32>")]
    pub runs: Option<Spanned<i64>>,
    /// How many tasks of all its runs together may be running. Default: any.
    #[schemars(with = "Option<u32>")]
    pub tasks: Option<Spanned<i64>>,
}
