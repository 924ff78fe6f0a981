use std::io::{BufWriter, Write};
use std::sync::Arc;

use flow::Time;
use flow::plan::TaskId;
use flow::run::{Event, Record, Run, TaskState};
use flow::view::rfc3339;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::{self, human, state, style, time};

/// Say why a task waits, failed, was skipped, tried again or took its time.
///
/// The answer comes from the run's journal. Without a task it is about the whole run: what failed, what is in
/// the way, and where the time went.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl why latest\n  flowctl why latest daily")]
pub struct Args {
    /// A run's id, the beginning of one, or `latest`.
    run: String,
    task: Option<String>,
}

#[derive(Serialize)]
struct Reason {
    kind: &'static str,
    message: String,
    since: Option<String>,
    blocking: Vec<String>,
    /// The task that the reason is about.
    task: Option<String>,
}

/// How many of the slowest tasks are named.
const SLOWEST: usize = 3;

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let (run, records) = cx.block_on(async {
        let store = cx.store_with_runs().await?;
        let run_id = store.find(&args.run).await?;
        let loaded = store.load(&run_id).await?;
        Ok((Run::replay(Arc::new(loaded.plan), run_id, &loaded.records), loaded.records))
    })?;
    let task = args.task.as_deref().map(|name| found(&run, name)).transpose()?;
    let reasons = match task {
        Some(id) => of_task(&run, id, &records),
        None => of_run(&run),
    };
    if cx.json() {
        let state = task.map_or_else(|| json!(run.state()), |id| json!(run.task(id).state));
        print::json(&json!({ "run_id": run.id(), "task": args.task, "state": state, "reasons": reasons }))?;
    } else {
        let word = match task.map(|id| run.task(id)) {
            Some(it) => state::task(it.state, it.attempts, it.outcome.is_some_and(|outcome| outcome.cached)),
            None => state::run(run.state()),
        };
        text(args.task.as_deref().unwrap_or(run.id()), word, &reasons)?;
    }
    Ok(Exit::Done)
}

fn found(run: &Run, name: &str) -> Result<TaskId, Error> {
    run.plan().task_id(name).ok_or_else(|| super::unknown_task(run.plan(), name))
}

/// What the core says about the task, then the tries before the last.
fn of_task(run: &Run, id: TaskId, records: &[Record]) -> Vec<Reason> {
    let name = &run.plan().tasks[id].name;
    let own = run.reasons(id).into_iter().map(|reason| shown(reason, name));
    let tries = records.iter().filter_map(|record| tried(record, name));
    own.chain(tries).chain(duration(run, id)).collect()
}

fn shown(reason: flow::run::Reason, task: &str) -> Reason {
    Reason {
        kind: reason.kind,
        message: reason.message,
        since: reason.since.map(rfc3339),
        blocking: reason.blocking,
        task: Some(task.to_owned()),
    }
}

fn tried(record: &Record, name: &str) -> Option<Reason> {
    let (kind, message) = match &record.event {
        Event::TaskFailed { task, attempt, failure } if task == name => {
            ("attempt", format!("attempt {attempt} failed: {}", failure.message))
        }
        Event::TaskLost { task, attempt, reason } if task == name => {
            ("attempt", format!("attempt {attempt} was lost: {reason}"))
        }
        _ => return None,
    };
    Some(Reason { kind, message, since: Some(rfc3339(record.at)), blocking: vec![], task: Some(name.to_owned()) })
}

fn duration(run: &Run, id: TaskId) -> Option<Reason> {
    let took = took(run, id)?;
    let name = &run.plan().tasks[id].name;
    let share = match run.started_at().zip(run.finished_at()) {
        Some((start, end)) if end > start => format!(", {} % of the run", took * 100 / (end - start)),
        _ => String::new(),
    };
    let message = format!("it took {}{share}", human::duration(took));
    Some(Reason { kind: "duration", message, since: None, blocking: vec![], task: Some(name.clone()) })
}

/// From the first attempt's start to the last one's end.
fn took(run: &Run, id: TaskId) -> Option<Time> {
    let standing = run.task(id);
    Some(standing.finished_at?.saturating_sub(standing.started_at?))
}

/// What did not go well or is not done, and the slowest tasks.
fn of_run(run: &Run) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = vec![];
    let ids = 0..run.plan().tasks.len();
    let open = ids.clone().filter(|&id| run.task(id).state != TaskState::Succeeded);
    for id in open {
        let name = &run.plan().tasks[id].name;
        reasons.extend(run.reasons(id).into_iter().take(1).map(|reason| shown(reason, name)));
    }
    // A run that failed because a task did has said so by then.
    if let Some(error) = run.error().filter(|_| reasons.iter().all(|reason| reason.kind != "failed")) {
        let since = run.finished_at().map(rfc3339);
        reasons.push(Reason { kind: "run", message: error.to_owned(), since, blocking: vec![], task: None });
    }
    reasons.sort_by_key(|reason| urgency(reason.kind));
    let mut slow: Vec<(Time, TaskId)> = ids.filter_map(|id| Some((took(run, id)?, id))).collect();
    slow.sort_unstable_by(|a, b| b.cmp(a));
    reasons.extend(slow.into_iter().take(SLOWEST).filter_map(|(_, id)| duration(run, id)));
    reasons
}

/// Causes before consequences.
fn urgency(kind: &str) -> usize {
    const ORDER: [&str; 8] = ["run", "failed", "retry", "running", "slot", "queued", "waiting", "cancelled"];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

fn text(name: &str, (word, colour): (&str, clap::builder::styling::Style), reasons: &[Reason]) -> Result<(), Error> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(out, "{bold}{name}{bold:#}: {colour}{word}{colour:#}")?;
    for reason in reasons {
        let about = reason.task.as_deref().filter(|task| *task != name);
        let about = about.map(|task| format!("{bold}{task}{bold:#}: ")).unwrap_or_default();
        let since = reason.since.as_deref().and_then(time::parse).map(time::local);
        let since = since.map(|since| format!("  {dim}{since}{dim:#}")).unwrap_or_default();
        // The instant belongs to the first line of a message of several.
        let (first, rest) = reason.message.split_once('\n').unwrap_or((&reason.message, ""));
        writeln!(out, "  {about}{first}{since}")?;
        rest.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
    }
    Ok(out.flush()?)
}
