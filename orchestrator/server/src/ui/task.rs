//! A task of a run: how its attempts went, what they said, what it reads and makes, and why it is where it is.

use std::borrow::Cow;
use std::collections::VecDeque;

use axum::extract::{Path, Query, State};
use flow::plan::{Input, Task, TaskId};
use flow::run::{Event, Record, Standing, TaskState};
use flow::view::Reason;
use flow::{Time, human, view};
use maud::{Markup, html};
use serde::Deserialize;
use store::{NumberedLine, Store};

use super::fault::Page;
use super::frame::Frame;
use super::guard::Visitor;
use super::run::wrong::Sample;
use super::run::{Seen, acts, wrong};
use super::words::{Mark, at, dataset_link, name, run_link, took};
use super::{Shared, address};
use crate::look;

/// How many lines of its log are shown, the last ones.
const LINES: usize = 1_000;
/// How many are read at once, and at most.
const BATCH: u64 = 5_000;
const READ_MAX: u64 = 200_000;
/// How many earlier runs are looked at.
const EARLIER: u64 = 20;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    search: String,
}

/// What a task said.
struct Log {
    lines: VecDeque<NumberedLine>,
    last: u64,
    /// Whether there are earlier ones that are not shown though they were meant.
    has_more: bool,
}

pub(super) async fn page(
    State(service): Shared,
    visitor: Visitor,
    Path((run, task)): Path<(String, String)>,
    Query(Wanted { search }): Query<Wanted>,
) -> Page {
    let run_id = service.store.find(&run).await?;
    let seen = Seen::load(&service.store, &run_id).await?;
    let id = seen.run.plan().find(&task).map_err(look::Error::from)?;
    let now = service.clock.now();
    let log = read(&service.store, &run_id, &task, &search).await?;
    let earlier = service.store.task_events(&seen.head.flow, &task, EARLIER).await?;
    let standing = seen.run.task(id);
    let spec = &seen.run.plan().tasks[id];
    let outlook = look::outlook(&service.store, Some(&service.hall), &seen.run, now).await?;
    let why = view::why(&seen.run, &seen.records, Some(&task), &outlook).map_err(look::Error::from)?;
    // What the error says already is not said again.
    let is_news = |it: &&Reason| standing.error.as_deref().is_none_or(|error| !it.message.contains(error));
    let reasons: Vec<&Reason> = why.reasons.iter().filter(is_news).collect();
    let rejected = wrong::rejected(&service, &seen, id).await;
    let body = html! {
        h1 { (name(&task)) span role="status" data-part="state" { (Mark::of_task(&standing)) } }
        div data-part="facts" { (facts(spec, &seen, id, now)) }
        @if visitor.may_run() && seen.run.state().is_terminal() { div.actions { (acts::again(&seen, &visitor, Some(&task))) } }
        div data-part="wrong" {
            @if let Some(error) = &standing.error { (trouble(&standing, error, &rejected)) }
            @if !reasons.is_empty() { section { h2 { "Why" } ul.plain { @for reason in reasons { li { span { (name(&reason.message)) } } } } } }
        }
        section data-part="attempts" { h2 { "Attempts" } (attempts(&seen, &task, now)) }
        section { h2 { "Log" } (log_section(&seen, id, &search, &log)) }
        div.two {
            section data-part="inputs" { h2 { "Reads" } (inputs(&seen, id)) }
            section data-part="output" {
                h2 { "Makes" } (output(&seen, id))
                @if let Some(outcome) = standing.outcome { (wrong::checks(&outcome.checks, false, &[])) }
            }
        }
        (text(spec, standing.error.as_deref()))
        section data-part="earlier" { h2 { "In the last runs" } (history(&earlier, &run_id, now)) }
    };
    let live = seen.live(true);
    let title = format!("{task} · {} run", seen.head.flow);
    Ok(Frame { title: &title, part: "/runs", path: seen.path(), live, ..Frame::default() }.around(Some(&visitor), body))
}

fn facts(spec: &Task, seen: &Seen, id: TaskId, now: Time) -> Markup {
    let standing = seen.run.task(id);
    let labels: Vec<String> = spec.requires.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let after: Vec<&str> = spec.needs.iter().map(|need| seen.run.plan().tasks[need.task].name.as_str()).collect();
    html! {
        dl.facts {
            div { dt { "Kind" } dd { (spec.kind) } }
            @if standing.started_at.is_some() { div { dt { "Took" } dd { (took(standing.started_at, standing.finished_at, now)) } } }
            @if let Some(rows) = standing.outcome.and_then(|it| it.rows_out) { div { dt { "Rows" } dd { (human::count(rows)) } } }
            @if let Some(bytes) = standing.outcome.and_then(|it| it.bytes_out) { div { dt { "Size" } dd { (human::bytes(bytes)) } } }
            div { dt { "Attempts" } dd { (standing.attempts) " of " (spec.retry.attempts_max) } }
            @if let Some(timeout) = spec.timeout_ms { div { dt { "Time limit" } dd { (human::duration(timeout)) } } }
            @if !labels.is_empty() { div { dt { "Requires" } dd { (name(&labels.join(", "))) } } }
            @if !after.is_empty() { div { dt { "Comes after" } dd { @for task in after { a href=(address::task(seen.run.id(), task)) { (name(task)) } " " } } } }
        }
    }
}

/// Why it did not succeed.
fn trouble(standing: &Standing<'_>, error: &str, rejected: &[Sample]) -> Markup {
    if standing.state == TaskState::Skipped {
        return html! { section.warn { h2 { "Skipped" } p { (name(error)) } } };
    }
    let checks = standing.failure.map_or(&[][..], |failure| &failure.checks);
    html! { section.bad { h2 { "Error" } pre.error { (name(error)) } (wrong::checks(checks, true, rejected)) } }
}

/// The attempts, in order.
fn attempts(seen: &Seen, task: &str, now: Time) -> Markup {
    let its: Vec<&Record> =
        seen.records.iter().filter(|record| record.event.task().is_some_and(|(it, _)| it == task)).collect();
    let end = |attempt: u32| {
        its.iter().find(|it| {
            !matches!(it.event, Event::TaskStarted { .. })
                && it.event.task().is_some_and(|(_, number)| number == attempt)
        })
    };
    html! {
        @if its.is_empty() { p.dim { @if seen.run.state().is_terminal() { "None." } @else { "None yet." } } } @else {
            div.wide tabindex="0" role="region" aria-label="Attempts" { table {
                thead { tr { th.num scope="col" { "Attempt" } th scope="col" { "Worker" } th scope="col" { "Began" } th.num scope="col" { "Took" } th scope="col" { "Ended" } } }
                tbody {
                    @for record in &its {
                        @if let Event::TaskStarted { attempt, worker, .. } = &record.event {
                            @let ended = end(*attempt);
                            tr {
                                td.num { (attempt) } td { (name(worker)) } td { (at(record.at)) }
                                td.num { (took(Some(record.at), ended.map(|it| it.at), now)) }
                                td { @match ended { Some(ended) => (ending(&ended.event)), None => "is running" } }
                            }
                        } @else if let Event::TaskSucceeded { attempt: 0, .. } | Event::TaskSkipped { attempt: 0, .. } = &record.event {
                            tr { td.num { "–" } td {} td { (at(record.at)) } td {} td { (ending(&record.event)) } }
                        }
                    }
                }
            } }
        }
    }
}

/// How an attempt ended, in words.
pub(super) fn ending(event: &Event) -> Markup {
    html! {
        @match event {
            Event::TaskSucceeded { attempt: 0, .. } => "kept from the run that this one does again",
            Event::TaskSucceeded { outcome, .. } if outcome.cached => "cached",
            Event::TaskSucceeded { .. } => "succeeded",
            Event::TaskFailed { failure, .. } => { "failed: " (name(&failure.message)) }
            Event::TaskLost { reason, .. } => { "lost: " (name(reason)) }
            Event::TaskSkipped { reason, .. } => { "skipped: " (name(reason)) }
            Event::TaskCancelled { .. } => "cancelled",
            _ => "",
        }
    }
}

async fn read(store: &Store, run_id: &str, task: &str, search: &str) -> Result<Log, store::Error> {
    if !search.is_empty() {
        return find(store, run_id, task, &search.to_lowercase()).await;
    }
    let mut lines = VecDeque::from(store.last_logs(run_id, task, LINES as u64 + 1).await?);
    let has_more = lines.len() > LINES;
    if has_more {
        lines.pop_front();
    }
    Ok(Log { last: lines.back().map_or(0, |line| line.number), lines, has_more })
}

/// The last lines that hold what is wanted, whatever its case.
async fn find(store: &Store, run_id: &str, task: &str, wanted: &str) -> Result<Log, store::Error> {
    let mut log = Log { lines: VecDeque::new(), last: 0, has_more: false };
    let mut read = 0;
    loop {
        let lines = store.logs(run_id, Some(task), log.last, BATCH).await?;
        let full = lines.len() as u64 == BATCH;
        read += BATCH;
        for line in lines {
            log.last = line.number;
            if !line.line.text.to_lowercase().contains(wanted) {
                continue;
            }
            if log.lines.len() == LINES {
                log.lines.pop_front();
                log.has_more = true;
            }
            log.lines.push_back(line);
        }
        if !full || read >= READ_MAX {
            return Ok(log);
        }
    }
}

fn log_section(seen: &Seen, id: TaskId, search: &str, log: &Log) -> Markup {
    let task = &seen.run.plan().tasks[id];
    let is_over = seen.run.state().is_terminal();
    if is_over && log.lines.is_empty() && search.is_empty() {
        return html! { p.dim { @if task.kind == "sql" { "A query writes no log." } @else { "It has said nothing." } } };
    }
    html! {
        form.row method="get" role="search" {
            div { label for="search" { "Lines that contain" } input #search name="search" value=(search) maxlength="200" size="30"; }
            button type="submit" { "Search" }
            @if !is_over { label.inline { input #follow type="checkbox" checked; "Follow" } }
        }
        @if log.has_more { p.dim { "Earlier lines are not shown; " code { "flowctl logs" } " has them all." } }
        ol.log tabindex="0" aria-label="Log lines" data-task=(task.name) data-last=(log.last) data-search=(search) {
            @for NumberedLine { line, .. } in &log.lines {
                li {
                    time { (&view::rfc3339(line.at)[11..23]) }
                    span.from { "#" (line.attempt) " " (line.stream) }
                    bdi.(line.stream) { (found(&line.text, search)) }
                }
            }
        }
        @if log.lines.is_empty() { p.dim { @if search.is_empty() { "It has said nothing." } @else { "No line contains that." } } }
    }
}

/// A line with what was searched for marked in it.
fn found(text: &str, search: &str) -> Markup {
    let lower = text.to_lowercase();
    let wanted = search.to_lowercase();
    // Lower-casing may move letters; the line is then left as it is.
    let same = !wanted.is_empty() && lower.len() == text.len() && wanted.len() == search.len();
    let hits = lower.match_indices(&wanted).map(|(at, hit)| at..at + hit.len()).filter(|_| same);
    let mut pieces = vec![];
    let mut from = 0;
    for hit in hits.filter(|hit| text.is_char_boundary(hit.start) && text.is_char_boundary(hit.end)) {
        pieces.push((&text[from..hit.start], &text[hit.clone()]));
        from = hit.end;
    }
    html! { @for (before, hit) in pieces { (before) mark { (hit) } } (&text[from..]) }
}

/// What it reads, with the files and versions that this run reads.
pub(super) fn inputs(seen: &Seen, id: TaskId) -> Markup {
    let plan = seen.run.plan();
    let (task, versions) = (&plan.tasks[id], seen.run.versions(id));
    html! {
        @if task.inputs.is_empty() { p.dim { "Nothing." } }
        ul.plain {
            @for (written, input) in &task.inputs {
                li {
                    @match input {
                        Input::Source(source) => {
                            span { "source " (dataset_link(source)) }
                            @if let Some(files) = seen.pins.sources.get(source) { span.dim { (human::plural(files.len() as u64, "file")) @if let [file] = files.as_slice() { ": " (name(&file.path)) } } }
                        }
                        Input::Task(made_by) => {
                            @let made = &plan.tasks[*made_by];
                            a href=(address::task(seen.run.id(), &made.name)) { (name(written)) }
                            @if let Some(output) = &made.output { span.dim { (dataset_link(&output.dataset)) @if let Some(version) = versions.get(&output.dataset) { " v" (version) } } }
                        }
                        Input::External(dataset) => {
                            (dataset_link(dataset))
                            @if let Some(version) = seen.pins.datasets.get(dataset) { span.dim { "v" (version) } }
                        }
                    }
                }
            }
        }
    }
}

fn output(seen: &Seen, id: TaskId) -> Markup {
    let standing = seen.run.task(id);
    let outcome = standing.outcome;
    html! {
        @match &seen.run.plan().tasks[id].output {
            Some(output) => p {
                (dataset_link(&output.dataset))
                @if output.view { span.dim { " a view" } }
                @if let Some(version) = outcome.and_then(|it| it.version) { " v" (version) }
                " · " a.word href=(address::lineage(&output.dataset, None)) { "lineage" }
            },
            None => p.dim { "No dataset." },
        }
        @if let Some(outcome) = outcome {
            @for (artifact, path) in &outcome.artifacts { p { "Artifact " (name(artifact)) ": " code { (name(path)) } } }
            @for warning in &outcome.warnings { p { (Mark::of_warning()) " " (name(warning)) } }
        }
    }
}

/// The query or the command as written, with the lines that the error names.
fn text(spec: &Task, error: Option<&str>) -> Markup {
    let sql = spec.with.get("sql").and_then(|it| it.as_str());
    let argv = spec.with.get("argv").and_then(|it| it.as_array());
    let named = error.and_then(line_of);
    html! {
        @if let Some(sql) = sql {
            section { h2 { "Query" } pre.source { @for (at, line) in sql.trim_matches('\n').lines().enumerate() { span.at[named == Some(at + 1)] { (line) } } } }
        }
        @if let Some(argv) = argv {
            section { h2 { "Command" } pre { @for word in argv { (shell(word.as_str().unwrap_or_default())) " " } } }
        }
    }
}

/// A word as a shell takes it for one.
fn shell(word: &str) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_alphanumeric() || "-_=+./:,@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// The line that an error names: `at line 3, column 7`, or `Line: 3, Column: 7`.
fn line_of(error: &str) -> Option<usize> {
    let lower = error.to_lowercase();
    let rest = lower.split("line").nth(1)?.trim_start_matches([':', ' ']);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// How the task ended in the last runs, newest first.
fn history(records: &[Record], shown: &str, now: Time) -> Markup {
    let ended: Vec<&Record> = records.iter().filter(|it| !matches!(it.event, Event::TaskStarted { .. })).collect();
    let began = |end: &Record| {
        let same = |it: &&Record| it.run_id == end.run_id && it.event.task() == end.event.task();
        records.iter().filter(same).find(|it| matches!(it.event, Event::TaskStarted { .. })).map(|it| it.at)
    };
    html! {
        @if ended.is_empty() { p.dim { "Nothing yet." } } @else {
            div.wide tabindex="0" role="region" aria-label="In the last runs" { table {
                thead { tr { th scope="col" { "Run" } th scope="col" { "When" } th.num scope="col" { "Took" } th.num scope="col" { "Rows" } th scope="col" { "Ended" } } }
                tbody { @for record in ended.iter().rev() {
                    tr {
                        td { (run_link(&record.run_id)) @if record.run_id == shown { span.dim { " this one" } } } td { (super::words::ago(record.at, now)) }
                        td.num { (took(began(record), Some(record.at), now)) }
                        td.num { @if let Event::TaskSucceeded { outcome, .. } = &record.event { @if let Some(rows) = outcome.rows_out { (human::count(rows)) } } }
                        td { (ending(&record.event)) }
                    }
                } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_searched_for_is_marked() {
        assert_eq!(found("An Error < error", "error").into_string(), "An <mark>Error</mark> &lt; <mark>error</mark>");
        assert_eq!(found("İi", "i").into_string(), "İi", "letters that change their length are left alone");
    }

    #[test]
    fn commands_can_be_copied() {
        assert_eq!(["bash", "-c", "echo it's; ls", ""].map(shell), ["bash", "-c", r"'echo it'\''s; ls'", "''"]);
    }

    #[test]
    fn errors_name_their_line() {
        assert_eq!(line_of("cannot divide, at line 3, column 7"), Some(3));
        assert_eq!(line_of("Expected x, found y at Line: 12, Column: 4"), Some(12));
        assert_eq!(line_of("exit code 3"), None);
    }
}
