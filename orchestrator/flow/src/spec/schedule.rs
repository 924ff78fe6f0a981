//! `[schedule]`: when a flow runs by itself.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// When a flow runs by itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five cron fields, or six with seconds first, or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
    #[schemars(with = "String")]
    pub cron: Spanned<String>,
    /// An IANA time zone. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// Which missed times are made up for.
    #[serde(default)]
    pub catchup: Catchup,
    /// What happens to fixed hours when clocks change.
    #[serde(default)]
    pub dst: Dst,
    /// The first logical time there may be: `2024-01-01` (in the schedule's zone) or `2024-01-01T06:00:00Z`.
    #[schemars(with = "Option<String>")]
    pub start: Option<Spanned<String>>,
    /// The last logical time there may be; a date means to the end of that day.
    #[schemars(with = "Option<String>")]
    pub end: Option<Spanned<String>>,
    /// Runs begin up to so much later than their logical time, so that many flows do not begin at once: `5m`.
    #[schemars(with = "Option<String>")]
    pub jitter: Option<Spanned<String>>,
    /// What happens to a time that comes up while a scheduled run of the flow still goes on.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What happens to a time that comes up while a scheduled run of the flow still goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It waits for the end of that run; of several that wait, `catchup` says which are made up for.
    #[default]
    Queue,
    /// It does not run.
    Skip,
}

/// Which missed times are made up for when the service comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Catchup {
    /// None of them. What came up within a minute before the service did still counts as in time.
    None,
    /// Only the last one.
    #[default]
    Latest,
    /// All of them, one after the other.
    All,
}

/// What happens to a schedule's fixed hours when clocks change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dst {
    /// A time that does not exist that day: run once, at the first instant after the gap, or not at all.
    #[serde(default)]
    pub skipped: Skipped,
    /// A time that exists twice that day: run at the first of the two, or at both.
    #[serde(default)]
    pub doubled: Doubled,
}

/// What happens to a time that does not exist on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// It runs at the first instant after the gap.
    #[default]
    RunAfter,
    /// It does not run that day.
    Skip,
}

/// What happens to a time that exists twice on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Doubled {
    /// It runs at the first of the two.
    #[default]
    Once,
    /// It runs at both.
    Twice,
}
