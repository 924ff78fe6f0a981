//! What a command finds in its environment, besides what flowctl itself was given.
//!
//! | variable | value |
//! |---|---|
//! | `FLOWCTL_RUN_ID`, `FLOWCTL_TASK`, `FLOWCTL_ATTEMPT` | which attempt this is; attempts count from 1 |
//! | `FLOWCTL_IDEMPOTENCY_KEY` | `<run id>.<task>`: the same for every attempt of the task in this run |
//! | `FLOWCTL_PARAM_NAME` | a parameter as text |
//! | `FLOWCTL_INPUT_NAME` | the folder of Parquet files that holds an input |
//! | `FLOWCTL_OUTPUT_DIR` | an empty folder for what the command makes |
//! | `FLOWCTL_LOGICAL_TIME` | the nominal instant of the run, RFC 3339 in UTC, if it has one |
//! | `FLOWCTL_INTERVAL_START` | the logical time before that by the flow's schedule, likewise |
//! | `FLOWCTL_BIN` | the program that runs it, whose `query` reads the inputs |
//! | `TRACEPARENT` | W3C trace context: the run is the trace, the attempt the parent span; its flag says whether the run is sampled |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use flow::plan::Plan;
use flow::trace::{self, Sampling};
use flow::value::Value;
use flow::view::rfc3339;
use flow::wire::Assignment;

/// A variable's name and value.
pub type Variable = (String, OsString);

/// The variables of an attempt.
pub fn variables(assignment: &Assignment, inputs: &BTreeMap<String, PathBuf>, output_dir: &Path) -> Vec<Variable> {
    let Assignment { run_id, plan, attempt, .. } = assignment;
    let task = &plan.tasks[assignment.task].name;
    let mut all = given(plan);
    all.extend([
        ("FLOWCTL_RUN_ID".to_owned(), run_id.into()),
        ("FLOWCTL_TASK".to_owned(), task.into()),
        ("FLOWCTL_ATTEMPT".to_owned(), attempt.to_string().into()),
        ("FLOWCTL_IDEMPOTENCY_KEY".to_owned(), format!("{run_id}.{task}").into()),
        ("FLOWCTL_OUTPUT_DIR".to_owned(), output_dir.into()),
        ("TRACEPARENT".to_owned(), trace_parent(run_id, task, *attempt).into()),
    ]);
    all.extend(std::env::current_exe().ok().map(|path| ("FLOWCTL_BIN".to_owned(), path.into())));
    all.extend(inputs.iter().map(|(name, path)| (upper("FLOWCTL_INPUT_", name), path.into())));
    all
}

/// The variables that are the same whenever the flow runs with the same parameters and logical time.
pub fn given(plan: &Plan) -> Vec<Variable> {
    let param = |(name, value): (&String, &Value)| (upper("FLOWCTL_PARAM_", name), value.to_string().into());
    let mut all: Vec<Variable> = plan.params.iter().map(param).collect();
    let times = [("FLOWCTL_LOGICAL_TIME", plan.logical_time), ("FLOWCTL_INTERVAL_START", plan.interval_start)];
    all.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), rfc3339(time?).into()))));
    all
}

/// Whether a variable that flowctl itself was given is none of the command's business: it says something about
/// another attempt (that of a flow whose command runs flowctl), or opens the server to whoever has it.
pub fn is_withheld(name: &str) -> bool {
    const EXACT: [&str; 10] = [
        "FLOWCTL_TOKEN",
        "FLOWCTL_RUN_ID",
        "FLOWCTL_TASK",
        "FLOWCTL_ATTEMPT",
        "FLOWCTL_IDEMPOTENCY_KEY",
        "FLOWCTL_OUTPUT_DIR",
        "FLOWCTL_LOGICAL_TIME",
        "FLOWCTL_INTERVAL_START",
        "TRACEPARENT",
        "TRACESTATE",
    ];
    EXACT.contains(&name) || name.starts_with("FLOWCTL_PARAM_") || name.starts_with("FLOWCTL_INPUT_")
}

fn upper(prefix: &str, name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    prefix.chars().chain(name.chars().map(plain)).collect()
}

/// Where the attempt is in its trace, for what the command itself traces.
fn trace_parent(run_id: &str, task: &str, attempt: u32) -> String {
    let said = |name| std::env::var(name).ok();
    let (sampler, argument) = (said("OTEL_TRACES_SAMPLER"), said("OTEL_TRACES_SAMPLER_ARG"));
    let sampled = Sampling::named(sampler.as_deref(), argument.as_deref()).takes(run_id);
    trace::parent(trace::trace_id(run_id), trace::attempt_span(run_id, task, attempt), sampled)
}
