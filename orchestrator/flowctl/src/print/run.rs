//! A run for people: its head, a line per task, and what went wrong, with examples.

use std::io::{self, Write};

use flow::run::TaskState;
use flow::spec::Severity;
use flow::view::{Show, Task};
use flow::wire::CheckResult;
use serde_json::{Map, Value};

use super::table::{Cell, Table};
use super::{human, state, style, time};

/// Above this many tasks, those that went as they should are counted, not listed.
const LISTED_MAX: usize = 200;
/// How many characters of an example row are shown.
const SAMPLE_WIDTH: usize = 100;

/// Writes the summary that ends `run` and is `show`.
pub fn write(out: &mut impl Write, show: &Show) -> io::Result<()> {
    tasks(out, &show.tasks)?;
    for task in &show.tasks {
        troubles(out, task)?;
    }
    artifacts(out, &show.tasks)?;
    let head = &show.head;
    let (word, colour) = state::run(head.state);
    let took = time::took(instant(&head.started_at), instant(&head.finished_at));
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    let counts = counts(&show.tasks);
    writeln!(out, "\n{colour}{word}{colour:#}{took}: {counts}")?;
    match &head.error {
        Some(error) => writeln!(out, "{error}"),
        None => Ok(()),
    }
}

fn tasks(out: &mut impl Write, tasks: &[Task]) -> io::Result<()> {
    let mut table = Table::new(["TASK", "STATE", ">ROWS", ">SIZE", ">TIME", "CHECKS", ""]);
    let went_well = |task: &Task| task.state == TaskState::Succeeded && task.checks.iter().all(|check| check.passed);
    let few = tasks.len() <= LISTED_MAX;
    for task in tasks.iter().filter(|task| few || !went_well(task)).take(LISTED_MAX) {
        let (word, colour) = state::task(task.state, task.attempts, task.cached);
        let took =
            task.finished_at.as_ref().and_then(|_| time::took(instant(&task.started_at), instant(&task.finished_at)));
        table.row([
            task.name.as_str().into(),
            Cell::styled(word, colour),
            task.rows_out.map(human::count).unwrap_or_default().into(),
            task.bytes_out.map(human::bytes).unwrap_or_default().into(),
            took.unwrap_or_default().into(),
            checks(&task.checks),
            note(task),
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.write(out, "  ") }
}

fn checks(all: &[CheckResult]) -> Cell {
    let failed = all.iter().filter(|check| !check.passed && check.severity == Severity::Error).count();
    let warned = all.iter().filter(|check| !check.passed && check.severity == Severity::Warn).count();
    let passed = all.len() - failed - warned;
    let part = |count: usize, word: &str| (count > 0).then(|| format!("{count} {word}"));
    let parts = [part(failed, "failed"), part(warned, "warned"), part(passed, "passed")];
    let colour = match (failed, warned) {
        (0, 0) => style::DIM,
        (0, _) => style::WARN,
        _ => style::BAD,
    };
    Cell::styled(parts.into_iter().flatten().collect::<Vec<_>>().join(", "), colour)
}

fn note(task: &Task) -> Cell {
    let tries = if task.attempts > 1 { format!("{} attempts  ", task.attempts) } else { String::new() };
    let skipped = task.error.as_deref().filter(|_| task.state == TaskState::Skipped).unwrap_or_default();
    let is_open =
        matches!(task.state, TaskState::Waiting | TaskState::Ready | TaskState::Running | TaskState::Retrying);
    let usual = task.expected_ms.filter(|_| is_open);
    let usual = usual.map(|ms| format!("usually {}", human::duration(ms))).unwrap_or_default();
    Cell::styled(format!("{tries}{skipped}{usual}"), style::DIM)
}

/// Why the task failed or is tried again, and its checks that did not pass.
fn troubles(out: &mut impl Write, task: &Task) -> io::Result<()> {
    let (bad, bold) = (style::BAD, style::BOLD);
    if let Some(error) = task.error.as_ref().filter(|_| task.state != TaskState::Skipped) {
        writeln!(out, "\n{bad}{}{bad:#}: {error}", task.name)?;
    }
    for warning in &task.warnings {
        let warn = style::WARN;
        writeln!(out, "\n{warn}warning{warn:#}: {bold}{}{bold:#}: {warning}", task.name)?;
    }
    for check in task.checks.iter().filter(|check| !check.passed) {
        let (colour, word) = match check.severity {
            Severity::Error => (style::BAD, "check failed"),
            Severity::Warn => (style::WARN, "warning"),
        };
        // A check of the number of rows finds fault with none of them.
        let rows = check.observed.filter(|_| check.kind == "rows").map_or(check.failed_rows, |rows| rows as u64);
        let count = human::plural(rows, "row");
        writeln!(out, "\n{colour}{word}{colour:#}: {bold}{}{bold:#}: {} ({count})", task.name, check.name)?;
        samples(out, check)?;
    }
    Ok(())
}

/// The files that tasks left, by what they are called.
fn artifacts(out: &mut impl Write, tasks: &[Task]) -> io::Result<()> {
    let mut table = Table::new(["TASK", "ARTIFACT", "FILE"]);
    for task in tasks {
        let row = |(name, path): (&String, &String)| [task.name.as_str().into(), name.into(), path.into()];
        task.artifacts.iter().for_each(|artifact| table.row(row(artifact)));
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table.write(out, "  ")
}

fn samples(out: &mut impl Write, check: &CheckResult) -> io::Result<()> {
    let Some(first) = check.samples.first() else { return Ok(()) };
    let is_checked = |name: &str| check.columns.iter().any(|column| column == name);
    let (checked, rest): (Vec<&str>, Vec<&str>) = first.keys().map(String::as_str).partition(|name| is_checked(name));
    let names = fitting(&check.samples, checked.into_iter().chain(rest).collect());
    let hidden = first.len() - names.len();
    let more = format!("+{hidden} more");
    let mut table = Table::new(names.iter().copied().chain((hidden > 0).then_some(more.as_str())));
    for row in &check.samples {
        let dots = (hidden > 0).then(|| Cell::styled("…", style::DIM));
        table.row(names.iter().map(|name| Cell::from(value(row.get(*name)))).chain(dots));
    }
    table.write(out, "    ")
}

/// As many columns as a terminal shows on one line; one at least.
fn fitting<'a>(rows: &[Map<String, Value>], mut names: Vec<&'a str>) -> Vec<&'a str> {
    let width = |name: &&str| {
        let values = rows.iter().map(|row| value(row.get(*name)).chars().count());
        values.chain([name.len()]).max().unwrap_or(0) + 2
    };
    let mut total = 0;
    let fit = names.iter().take_while(|name| {
        total += width(name);
        total <= SAMPLE_WIDTH
    });
    let fit = fit.count().max(1);
    names.truncate(fit);
    names
}

fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "NULL".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `12 tasks, 3 cached, 1 failed, 2 skipped`.
fn counts(tasks: &[Task]) -> String {
    let mut text = human::plural(tasks.len() as u64, "task");
    let mut add = |word: &str, is: &dyn Fn(&Task) -> bool| {
        let count = tasks.iter().filter(|task| is(task)).count();
        if count > 0 {
            text.push_str(&format!(", {} {word}", human::count(count as u64)));
        }
    };
    add("cached", &|task| task.cached);
    add("failed", &|task| task.state == TaskState::Failed);
    add("skipped", &|task| task.state == TaskState::Skipped);
    add("cancelled", &|task| task.state == TaskState::Cancelled);
    add("running", &|task| matches!(task.state, TaskState::Running | TaskState::Retrying));
    add("waiting", &|task| matches!(task.state, TaskState::Waiting | TaskState::Ready));
    text
}

fn instant(text: &Option<String>) -> Option<flow::Time> {
    text.as_deref().and_then(time::parse)
}
