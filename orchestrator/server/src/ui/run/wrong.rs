//! What went wrong in a run, and what that leaves as it was.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use flow::catalogue::Catalogue;
use flow::plan::TaskId;
use flow::run::{Run, TaskState};
use flow::wire::CheckResult;
use flow::{Time, human};
use maud::{Markup, html};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Seen, acts};
use crate::service::Service;
use crate::ui::address;
use crate::ui::guard::Visitor;
use crate::ui::task::inputs;
use crate::ui::words::{Mark, ago, dataset_link, name, value};

/// A row, by column.
pub(in crate::ui) type Sample = Map<String, Value>;

/// How many failed tasks are told in full.
const FAILED: usize = 5;
/// How many rows that were rejected are shown, and how long reading them may take.
const ROWS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(1);
/// The columns of rejected rows that are not the dataset's: which check they failed, in which run.
const CHECK: &str = "_check";
const RUN: &str = "_run_id";
/// How many affected datasets are listed.
const AFFECTED: usize = 30;

/// Why the run failed.
pub(super) fn section(seen: &Seen, visitor: &Visitor, catalogue: &Catalogue, rejected: &[Sample], now: Time) -> Markup {
    let run = &seen.run;
    let failed: Vec<TaskId> = failed(run).collect();
    html! {
        section.bad {
            h2 { "Why it failed" }
            @if visitor.may_run() { div.actions { (acts::again(seen, visitor, None)) } }
            @if failed.is_empty() { pre.error { (name(run.error().unwrap_or("no reason was recorded"))) } }
            @for (n, &id) in failed.iter().take(FAILED).enumerate() { (failure(seen, id, if n == 0 { rejected } else { &[] })) }
            @if failed.len() > FAILED {
                p { a.word href=(address::with(&address::run(run.id()), &[("state", "failed")])) { "All " (failed.len()) " failed tasks" } }
            }
            (affected(run, catalogue, now))
        }
    }
}

/// The tasks that failed.
pub(super) fn failed(run: &Run) -> impl Iterator<Item = TaskId> {
    (0..run.plan().tasks.len()).filter(|&id| run.task(id).state == TaskState::Failed)
}

fn rejected_of(dataset: &str) -> String {
    format!("{dataset}__rejected")
}

/// Rows that a failed check of the task kept from being published, as far as they can be read at once and are of this run.
pub(in crate::ui) async fn rejected(service: &Service, seen: &Seen, id: TaskId) -> Vec<Sample> {
    let Some(output) = &seen.run.plan().tasks[id].output else { return vec![] };
    if seen.run.task(id).failure.is_none_or(|failure| failure.checks.iter().all(|check| check.passed)) {
        return vec![];
    }
    let dataset = rejected_of(&output.dataset);
    let mut rows = timeout(PATIENCE, service.compile.sample(&dataset, ROWS))
        .await
        .unwrap_or_else(|_| Ok(vec![]))
        .unwrap_or_default();
    rows.retain(|row| row.get(RUN).and_then(Value::as_str) == Some(seen.run.id()));
    rows.iter_mut().for_each(|row| drop(row.remove(RUN)));
    rows
}

fn failure(seen: &Seen, id: TaskId, rejected: &[Sample]) -> Markup {
    let (task, standing) = (&seen.run.plan().tasks[id], seen.run.task(id));
    html! {
        h3 {
            a href=(address::task(seen.run.id(), &task.name)) { (name(&task.name)) } " "
            span.dim { "after " (human::plural(standing.attempts.into(), "attempt")) }
        }
        pre.error { (name(standing.error.as_deref().unwrap_or("no reason was recorded"))) }
        @if let Some(failure) = standing.failure { (checks(&failure.checks, true, rejected)) }
        @if !rejected.is_empty() && let Some(output) = &task.output {
            p.dim { "All that were kept: " code { "flowctl query 'select * from " (rejected_of(&output.dataset)) "'" } }
        }
        @if !task.inputs.is_empty() { p.dim { "It reads:" } (inputs(seen, id)) }
    }
}

/// Checks as rows; those that found something with rows that they found: those that were rejected, or else some.
pub(in crate::ui) fn checks(all: &[CheckResult], only_failed: bool, rejected: &[Sample]) -> Markup {
    let shown: Vec<&CheckResult> = all.iter().filter(|check| !only_failed || !check.passed).collect();
    html! {
        @if !shown.is_empty() {
            div.wide tabindex="0" { table.small {
                thead { tr { th scope="col" { "Check" } th scope="col" { "Result" } th.num scope="col" { "Failed rows" } th.num scope="col" { "Measured" } } }
                tbody {
                    @for check in &shown {
                        tr {
                            th scope="row" { (name(&check.name)) }
                            td { (Mark::of_check(check)) }
                            td.num { (human::count(check.failed_rows)) }
                            td.num { @if let Some(observed) = check.observed.filter(|it| *it != check.failed_rows as f64) { (observed) } }
                        }
                    }
                }
            } }
            @for check in shown.iter().filter(|check| !check.passed) { (samples(check, rejected)) }
        }
    }
}

fn samples(check: &CheckResult, rejected: &[Sample]) -> Markup {
    let is_its = |row: &&Sample| row.get(CHECK).and_then(Value::as_str) == Some(check.name.as_str());
    let mut rows: Vec<&Sample> = rejected.iter().filter(is_its).collect();
    if rows.len() < check.samples.len() {
        rows = check.samples.iter().collect();
    }
    if rows.is_empty() {
        return html! {};
    }
    let columns: BTreeSet<&String> = rows.iter().flat_map(|row| row.keys()).filter(|it| *it != CHECK).collect();
    // What the check looks at comes first.
    let mut columns: Vec<&String> = columns.into_iter().collect();
    columns.sort_by_key(|column| !check.columns.contains(column));
    html! {
        div.wide tabindex="0" { table.small {
            caption { (rows.len()) " of " (human::plural(check.failed_rows, "row")) " that fail “" (name(&check.name)) "”" }
            thead { tr { @for column in &columns { th scope="col" { (name(column)) } } } }
            tbody {
                @for row in rows {
                    tr { @for column in &columns { td { @if let Some(it) = row.get(*column) { (name(&value(it))) } } } }
                }
            }
        } }
    }
}

/// The datasets that the run did not update, and who reads them.
fn affected(run: &Run, catalogue: &Catalogue, now: Time) -> Markup {
    let plan = run.plan();
    let stale = |id: &TaskId| matches!(run.task(*id).state, TaskState::Failed | TaskState::Skipped);
    let own: Vec<&str> = (0..plan.tasks.len())
        .filter(stale)
        .filter_map(|id| plan.tasks[id].output.as_ref().map(|output| output.dataset.as_str()))
        .collect();
    let beyond = readers(catalogue, &own, &plan.flow);
    html! {
        @if !own.is_empty() {
            h3 { "Affected data" }
            p { "Not updated by this run; readers see the last good version:" }
            ul.plain { @for dataset in own.iter().take(AFFECTED) { li { (dataset_link(dataset)) (age(catalogue, dataset, now)) } } }
            @if own.len() > AFFECTED { p.dim { "And " (own.len() - AFFECTED) " more." } }
            @if beyond.is_empty() { p.dim { "No other flow reads them." } } @else {
                p { "Other flows that read them, directly or through others:" }
                ul.plain {
                    @for (dataset, through) in beyond.iter().take(AFFECTED) {
                        li {
                            (dataset_link(dataset)) (age(catalogue, dataset, now)) span.dim { "reads " (name(through)) }
                            @if is_behind(catalogue, dataset, through) { (Mark::BEHIND) }
                        }
                    }
                }
                @if beyond.len() > AFFECTED { p.dim { "And " (beyond.len() - AFFECTED) " more." } }
            }
        }
    }
}

/// Which version there is, since when.
fn age(catalogue: &Catalogue, dataset: &str, now: Time) -> Markup {
    let version = catalogue.datasets.get(dataset).and_then(|it| Some((it.version?, it.at)));
    html! {
        @match version {
            Some((version, at)) => span.dim { "v" (version) ", " (ago(at, now)) },
            None => span.dim { "never published" },
        }
    }
}

fn is_behind(catalogue: &Catalogue, dataset: &str, input: &str) -> bool {
    let known = catalogue.datasets.get(dataset).zip(catalogue.datasets.get(input));
    known.is_some_and(|(dataset, input)| dataset.is_behind(input))
}

/// Datasets of other flows that are made of `from`, near or far, each with what it reads.
fn readers<'c>(catalogue: &'c Catalogue, from: &[&'c str], flow: &str) -> Vec<(&'c str, &'c str)> {
    let (mut seen, mut queue): (BTreeSet<&str>, VecDeque<&str>) =
        (from.iter().copied().collect(), from.iter().copied().collect());
    let mut found = vec![];
    while let Some(dataset) = queue.pop_front() {
        for reader in catalogue.readers(dataset).map(|it| it.dataset.as_str()) {
            if seen.insert(reader) {
                queue.push_back(reader);
                if reader.split_once('.').is_none_or(|(of, _)| of != flow) {
                    found.push((reader, dataset));
                }
            }
        }
    }
    found
}
