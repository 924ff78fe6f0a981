//! The tasks of a run in the order in which they began, each with its place in time.

use std::collections::BTreeMap;

use flow::plan::TaskId;
use flow::run::{Run, TaskState};
use flow::spec::Severity;
use flow::{Time, human};
use maud::{Markup, html};
use serde::Deserialize;

use super::Seen;
use crate::ui::address;
use crate::ui::gantt::{Lanes, critical};
use crate::ui::words::{Mark, dataset_link, name, took};

/// How many tasks a page has.
const PAGE: usize = 100;
/// In the filter, instead of a state.
const CRITICAL: &str = "critical";

const STATES: [TaskState; 8] = [
    TaskState::Failed,
    TaskState::Running,
    TaskState::Retrying,
    TaskState::Ready,
    TaskState::Waiting,
    TaskState::Skipped,
    TaskState::Cancelled,
    TaskState::Succeeded,
];

/// Which tasks.
#[derive(Deserialize)]
pub(in crate::ui) struct Shown {
    #[serde(default)]
    state: String,
    #[serde(default)]
    from: usize,
}

pub(super) fn section(seen: &Seen, shown: &Shown, now: Time) -> Markup {
    let run = &seen.run;
    let path = critical(run);
    let all: Vec<(TaskId, TaskState)> = (0..run.plan().tasks.len()).map(|id| (id, run.task(id).state)).collect();
    let wanted = |(id, state): &(TaskId, TaskState)| match shown.state.as_str() {
        "" => true,
        CRITICAL => path.contains(id),
        word => Mark::of_state(*state).word == word,
    };
    let mut ids: Vec<TaskId> = all.iter().filter(|it| wanted(it)).map(|(id, _)| *id).collect();
    ids.sort_by_key(|&id| (run.task(id).started_at.unwrap_or(Time::MAX), id));
    let lanes = Lanes::of(run, now);
    html! {
        h2 { "Tasks" }
        (filter(run, &all, path.len(), shown))
        @if ids.is_empty() { p.dim { "No such tasks." } } @else {
            div.wide tabindex="0" role="region" aria-label="Tasks" { table.gantt {
                thead { tr {
                    th scope="col" { "Task" } th scope="col" { "State" } th scope="col" { "When" }
                    th.num scope="col" { "Took" } th.num scope="col" { "Rows" } th scope="col" { "Checks" } th scope="col" { "Dataset" }
                } }
                tbody { @for &id in ids.iter().skip(shown.from).take(PAGE) { (row(run, id, &lanes, path.contains(&id), now)) } }
            } }
            @if !path.is_empty() { p.legend { "◆ on the critical path: the chain of tasks that the end of the run waited for." } }
        }
        (pages(run, shown, ids.len()))
    }
}

fn here(run: &Run, state: &str, from: usize) -> String {
    let from = if from == 0 { String::new() } else { from.to_string() };
    address::with(&address::run(run.id()), &[("state", state), ("from", &from)])
}

fn filter(run: &Run, all: &[(TaskId, TaskState)], critical: usize, shown: &Shown) -> Markup {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, state) in all {
        *counts.entry(Mark::of_state(*state).word).or_default() += 1;
    }
    let current = |word: &str| (word == shown.state).then_some("true");
    html! {
        ul.chips aria-label="Which tasks" {
            li { a href=(here(run, "", 0)) aria-current=[current("")] { "all " (all.len()) } }
            @for word in STATES.map(|state| Mark::of_state(state).word) {
                @if let Some(count) = counts.get(word) {
                    li { a href=(here(run, word, 0)) aria-current=[current(word)] { (word) " " (count) } }
                }
            }
            @if critical > 0 { li { a href=(here(run, CRITICAL, 0)) aria-current=[current(CRITICAL)] { "critical path " (critical) } } }
        }
    }
}

fn row(run: &Run, id: TaskId, lanes: &Lanes, is_critical: bool, now: Time) -> Markup {
    let (task, standing) = (&run.plan().tasks[id], run.task(id));
    let mark = Mark::of_task(&standing);
    let checks = standing.outcome.map(|it| &it.checks).or(standing.failure.map(|it| &it.checks));
    let rows = standing.outcome.and_then(|it| it.rows_out);
    let version = standing.outcome.and_then(|it| it.version);
    html! {
        tr {
            th scope="row" {
                a href=(address::task(run.id(), &task.name)) { (name(&task.name)) }
                @if is_critical { " " span title="on the critical path" { "◆" } }
            }
            td { (mark) @if standing.attempts > 1 { " " span.dim { "×" (standing.attempts) } } }
            td.lane { (lanes.lane(&standing, mark, is_critical)) }
            td.num { (took(standing.started_at, standing.finished_at, now)) }
            td.num { @if let Some(rows) = rows { (human::count(rows)) } }
            td.nowrap {
                @if let Some(checks) = checks.filter(|checks| !checks.is_empty()) {
                    @match checks.iter().filter(|check| !check.passed).max_by_key(|check| check.severity == Severity::Error) {
                        Some(worst) => { (Mark::of_check(worst)) " " span.dim { (checks.iter().filter(|it| !it.passed).count()) " of " (checks.len()) } }
                        None => span.dim { (checks.len()) " passed" },
                    }
                }
            }
            td { @if let Some(output) = &task.output { (dataset_link(&output.dataset)) @if let Some(version) = version { span.dim { " v" (version) } } } }
        }
    }
}

fn pages(run: &Run, shown: &Shown, count: usize) -> Markup {
    html! {
        @if count > PAGE {
            nav.actions aria-label="Pages of tasks" {
                span.dim { (shown.from + 1) " to " (count.min(shown.from + PAGE)) " of " (human::count(count as u64)) }
                @if shown.from > 0 { a.button href=(here(run, &shown.state, shown.from.saturating_sub(PAGE))) { "Before" } }
                @if shown.from + PAGE < count { a.button href=(here(run, &shown.state, shown.from + PAGE)) { "After" } }
            }
        }
    }
}
