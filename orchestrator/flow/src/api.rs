//! What clients of a server ask and are told, beside the views: requests, pages of lists, problems. JSON over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::view;

/// The most items that one page of a list holds.
pub const LIMIT_MAX: u32 = 1_000;

/// `GET /health`: the server is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// What the server calls itself, unique among all.
    pub name: String,
    /// The version of flowctl.
    pub version: String,
}

/// A page of runs, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    pub runs: Vec<view::Head>,
    /// The `cursor` of the next page; null: there is none.
    pub next: Option<String>,
}

/// A page of a run's journal, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    pub run_id: String,
    pub events: Vec<view::Event>,
    /// The `cursor` of the next page; null: there is none yet.
    pub next: Option<String>,
}

/// A page of what the tasks of a run said, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    pub run_id: String,
    pub lines: Vec<view::Line>,
    /// The `cursor` of the next page; null: there is none yet.
    pub next: Option<String>,
    /// Whether the run is over, so that nothing will follow the last page.
    pub over: bool,
}

/// A page of datasets, by name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Datasets {
    pub datasets: Vec<view::Dataset>,
    /// The `cursor` of the next page; null: there is none.
    pub next: Option<String>,
}

/// The flows that a server knows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Flows {
    pub flows: Vec<Flow>,
}

/// A flow that is in force.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    pub flow: String,
    /// Its file, on the server.
    pub file: String,
    /// Whether its schedule is held.
    pub paused: bool,
    /// Its schedule in words; null: it has none.
    pub schedule: Option<String>,
    /// The next time of its schedule: RFC 3339 in UTC.
    pub next: Option<String>,
}

/// The coming times of a flow's schedule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Coming {
    pub flow: String,
    /// The schedule in words.
    pub schedule: String,
    /// Whether nothing runs by itself until the flow is resumed.
    #[serde(default)]
    pub paused: bool,
    /// Fewer than asked for if the schedule ends.
    pub times: Vec<Upcoming>,
}

/// A time of a schedule: the JSON of `flowctl next`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Upcoming {
    /// What the run stands for: RFC 3339 in UTC.
    pub logical_time: String,
    /// When it begins, which `jitter` may put later.
    pub scheduled_for: String,
    /// The logical time as clocks in the schedule's zone show it.
    pub wall: String,
}

/// `POST /v1/runs`: a run to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// The flow's name.
    pub flow: String,
    /// Values by name: JSON values of the parameter's type, or texts as on the command line.
    #[serde(default, deserialize_with = "once_each")]
    pub params: Map<String, Value>,
    /// RFC 3339, or a date, which is midnight in UTC.
    pub logical_time: Option<String>,
    /// Only these tasks: `name`, `+name` with what it needs, `name+` with what needs it; commas between.
    pub select: Option<String>,
    /// Whether unchanged tasks run all the same.
    #[serde(default)]
    pub force: bool,
    /// When another run for the same logical time and parameters stands for it; null: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
}

/// When a run stands for another one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Once {
    /// While it is under way.
    UnderWay,
    /// Then, and when it has succeeded.
    Done,
}

/// `POST /v1/flows/FLOW/times`: a range of a flow's schedule to be made up for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first time that counts: RFC 3339, or a date, which is midnight in UTC.
    pub from: String,
    /// The last one; a date means to the end of that day. Never later than now.
    pub to: String,
    /// The parameters of the runs, as in a new run.
    #[serde(default, deserialize_with = "once_each")]
    pub params: Map<String, Value>,
    /// Whether times count for which a run has succeeded.
    #[serde(default)]
    pub again: bool,
}

/// The times of a range: the JSON of `flowctl backfill --dry-run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Those that have no run that succeeded, oldest first: RFC 3339 in UTC.
    pub logical_times: Vec<String>,
    /// How many have one.
    pub left_out: usize,
}

/// `POST /v1/runs/{run}/retry`: a run that is over, to be done again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// Tasks to do again with everything that comes after them, whatever they were before.
    #[serde(default)]
    pub from: Vec<String>,
}

/// The run that was made, or meant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Meant {
    pub run_id: String,
}

/// Why a request has no other answer, as RFC 9457 tells it: `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind of problem it is. `urn:flowctl:not-compiled`: the flow has a mistake.
    /// `urn:flowctl:unreadable`: a source of the flow is there and makes no sense.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    pub const BLANK: &str = "about:blank";
    pub const NOT_COMPILED: &str = "urn:flowctl:not-compiled";
    pub const UNREADABLE: &str = "urn:flowctl:unreadable";
}

/// An object whose keys do not repeat.
fn once_each<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    struct Once;
    impl<'de> serde::de::Visitor<'de> for Once {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
            let mut map = Map::new();
            while let Some((key, value)) = pairs.next_entry::<String, Value>()? {
                if map.insert(key.clone(), value).is_some() {
                    return Err(serde::de::Error::custom(format!("duplicate key `{key}`")));
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Once)
}
