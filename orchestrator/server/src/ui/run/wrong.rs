//! What went wrong in a run, and what that leaves as it was.

use std::collections::{BTreeSet, VecDeque};

use flow::catalogue::Catalogue;
use flow::human;
use flow::plan::TaskId;
use flow::run::{Run, TaskState};
use flow::wire::CheckResult;
use maud::{Markup, html};

use super::{Seen, acts};
use crate::ui::address;
use crate::ui::guard::Visitor;
use crate::ui::words::{Mark, dataset_link, name, value};

/// How many failed tasks are told in full.
const FAILED: usize = 5;
/// How many affected datasets are listed.
const AFFECTED: usize = 30;

/// Why the run failed.
pub(super) fn section(seen: &Seen, visitor: &Visitor, catalogue: &Catalogue) -> Markup {
    let run = &seen.run;
    let failed: Vec<TaskId> =
        (0..run.plan().tasks.len()).filter(|&id| run.task(id).state == TaskState::Failed).collect();
    html! {
        section.bad {
            h2 { "Why it failed" }
            @if failed.is_empty() { pre.error { (name(run.error().unwrap_or("no reason was recorded"))) } }
            @for &id in failed.iter().take(FAILED) { (failure(seen, visitor, id)) }
            @if failed.len() > FAILED {
                p { a.word href=(address::with(&address::run(run.id()), &[("state", "failed")])) { "All " (failed.len()) " failed tasks" } }
            }
            (affected(run, catalogue))
        }
    }
}

fn failure(seen: &Seen, visitor: &Visitor, id: TaskId) -> Markup {
    let (task, standing) = (&seen.run.plan().tasks[id], seen.run.task(id));
    html! {
        h3 {
            a href=(address::task(seen.run.id(), &task.name)) { (name(&task.name)) } " "
            span.dim { "after " (human::plural(standing.attempts.into(), "attempt")) }
        }
        pre.error { (name(standing.error.as_deref().unwrap_or("no reason was recorded"))) }
        @if let Some(failure) = standing.failure { (checks(&failure.checks, true)) }
        @if visitor.may_run() { div.actions { (acts::again(seen, visitor, Some(&task.name))) } }
    }
}

/// Checks as rows; those that found something with the rows that they found.
pub(in crate::ui) fn checks(all: &[CheckResult], only_failed: bool) -> Markup {
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
                            td.num { @if let Some(observed) = check.observed { (observed) } }
                        }
                    }
                }
            } }
            @for check in shown.iter().filter(|check| !check.passed && !check.samples.is_empty()) { (samples(check)) }
        }
    }
}

fn samples(check: &CheckResult) -> Markup {
    let columns: BTreeSet<&String> = check.samples.iter().flat_map(|row| row.keys()).collect();
    // What the check looks at comes first.
    let mut columns: Vec<&String> = columns.into_iter().collect();
    columns.sort_by_key(|column| !check.columns.contains(column));
    html! {
        div.wide tabindex="0" { table.small {
            caption { "Some of the rows that break " (name(&check.name)) }
            thead { tr { @for column in &columns { th scope="col" { (name(column)) } } } }
            tbody {
                @for row in &check.samples {
                    tr { @for column in &columns { td { @if let Some(it) = row.get(*column) { (name(&value(it))) } } } }
                }
            }
        } }
    }
}

/// The datasets that the run did not renew, and who reads them.
fn affected(run: &Run, catalogue: &Catalogue) -> Markup {
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
            p { "Not renewed by this run; readers see the last good version:" }
            p { @for dataset in own.iter().take(AFFECTED) { (dataset_link(dataset)) " " } @if own.len() > AFFECTED { "and " (own.len() - AFFECTED) " more" } }
            @if beyond.is_empty() { p.dim { "No other flow reads them." } } @else {
                p { "Other flows that read them, near ones first:" }
                ul.plain {
                    @for (dataset, through) in beyond.iter().take(AFFECTED) {
                        li { (dataset_link(dataset)) span.dim { "reads " (name(through)) } }
                    }
                }
                @if beyond.len() > AFFECTED { p.dim { "And " (beyond.len() - AFFECTED) " more." } }
            }
        }
    }
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
