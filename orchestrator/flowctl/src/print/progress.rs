//! A run while it goes on: a live line on a terminal, plain lines elsewhere, events as JSON for programs.

use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::time::Duration;

use flow::Time;
use flow::plan::Plan;
use flow::run::{Event, Record, Run, TaskState};
use flow::view;
use indicatif::{ProgressBar, ProgressStyle};

use super::{human, run, style};
use crate::error::Error;

/// How many running tasks are named.
const NAMES_MAX: usize = 4;

/// Follows a run.
pub struct Progress {
    json: Option<BufWriter<Stdout>>,
    bar: Option<ProgressBar>,
    retry_of: Option<String>,
    durations_ms: HashMap<String, Time>,
    /// Why events can no longer be written.
    broken: Option<io::Error>,
    rows: u64,
    failed: u64,
}

impl Progress {
    pub fn new(json: bool, plan: &Plan, run_id: &str) -> Self {
        let live = io::stderr().is_terminal() && !(json && io::stdout().is_terminal());
        let progress = Progress {
            json: json.then(|| BufWriter::new(io::stdout())),
            bar: live.then(|| bar(plan)),
            retry_of: None,
            durations_ms: HashMap::new(),
            broken: None,
            rows: 0,
            failed: 0,
        };
        if !json {
            let (bold, dim) = (style::BOLD, style::DIM);
            progress.say(&format!("{bold}{}{bold:#} {dim}run {run_id}{dim:#}", plan.flow));
        }
        progress
    }

    /// Takes what has become durable.
    pub fn observe(&mut self, run: &Run, records: &[Record]) {
        if let Err(error) = self.write_events(records) {
            // A reader that went away must not end the run.
            self.json = None;
            self.broken = Some(error);
        }
        let lines: Vec<String> = records.iter().filter_map(|record| self.line(run, record)).collect();
        match &self.bar {
            Some(bar) => {
                lines.iter().for_each(|line| print_above(bar, line));
                bar.set_position((run.plan().tasks.len() - run.open()) as u64);
                bar.set_message(self.message(run));
            }
            None if self.quiet() || lines.is_empty() => {}
            None => self.say(&lines.join("\n")),
        }
    }

    fn quiet(&self) -> bool {
        self.json.is_some() || self.broken.is_some()
    }

    fn write_events(&mut self, records: &[Record]) -> io::Result<()> {
        let Some(out) = &mut self.json else { return Ok(()) };
        for record in records {
            serde_json::to_writer(&mut *out, &view::event(record))?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// What is worth a line: troubles always, ends of tasks where there is no live display. Noops go by silently.
    fn line(&mut self, run: &Run, record: &Record) -> Option<String> {
        let (good, warn, bad, dim) = (style::GOOD, style::WARN, style::BAD, style::DIM);
        let plain = self.bar.is_none();
        match &record.event {
            Event::TaskSucceeded { task, attempt, outcome } => {
                self.rows += outcome.rows_out.unwrap_or_default();
                let id = run.plan().task_id(task)?;
                let word = match (attempt, outcome.cached) {
                    (0, _) => "adopted",
                    (_, true) => "cached",
                    (_, false) => "done",
                };
                let shown = plain && !run.plan().tasks[id].is_noop();
                shown.then(|| format!("  {good}{word:9}{good:#} {task} {dim}{}{dim:#}", details(run, id)))
            }
            Event::TaskFailed { task, attempt, failure } => {
                let id = run.plan().task_id(task)?;
                let again = run.task(id).state != TaskState::Failed;
                self.failed += u64::from(!again);
                let (colour, word) = if again { (warn, "retrying") } else { (bad, "failed") };
                let attempt = if *attempt > 1 || again { format!(" (attempt {attempt})") } else { String::new() };
                Some(format!("  {colour}{word:9}{colour:#} {task}{attempt}: {}", failure.message))
            }
            Event::TaskLost { task, attempt, reason } => {
                Some(format!("  {warn}lost{warn:#}      {task} (attempt {attempt}): {reason}"))
            }
            Event::TaskSkipped { task, reason, .. } if plain => {
                Some(format!("  {warn}skipped{warn:#}   {task}: {reason}"))
            }
            Event::CancelRequested { by } => {
                let more = if by.starts_with("SIG") { "; once more to leave at once" } else { "" };
                Some(format!("  {warn}cancelled{warn:#} by {by}{more}"))
            }
            _ => None,
        }
    }

    fn message(&self, run: &Run) -> String {
        let mut names: Vec<&str> =
            run.running().take(NAMES_MAX).map(|(id, _)| run.plan().tasks[id].name.as_str()).collect();
        if run.running().len() > NAMES_MAX {
            names.push("…");
        }
        let rows = (self.rows > 0).then(|| human::plural(self.rows, "row"));
        let failed = (self.failed > 0).then(|| format!("{} failed", self.failed));
        let counts: Vec<String> = rows.into_iter().chain(failed).collect();
        format!("{}  {}", counts.join(", "), names.join(", "))
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => print_above(bar, text),
            None => super::note(text),
        }
    }

    /// Ends the live display. The summary is to tell which run was done again, and how long tasks take by now.
    pub fn finish(&mut self, retry_of: Option<String>, durations_ms: HashMap<String, Time>) {
        (self.retry_of, self.durations_ms) = (retry_of, durations_ms);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// The end of the run on standard output: as `show` has it.
    ///
    /// # Errors
    /// Standard output cannot be written. A reader that went away is none: the run has ended all the same.
    pub fn summary(&mut self, ended: &Run) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        let show = view::show(ended, self.retry_of.clone()).expecting(&self.durations_ms);
        let written = match self.json.as_mut() {
            Some(out) => serde_json::to_writer(&mut *out, &show)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n").and_then(|()| out.flush())),
            None => {
                let mut out = BufWriter::new(anstream::stdout().lock());
                run::write(&mut out, &show).and_then(|()| out.flush())
            }
        };
        match written.map_err(Error::from) {
            Err(Error::Pipe) | Ok(()) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// The live display writes to the terminal itself, so that nobody else takes colours out.
fn print_above(bar: &ProgressBar, text: &str) {
    match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => bar.println(anstream::adapter::strip_str(text).to_string()),
        _ => bar.println(text),
    }
}

fn bar(plan: &Plan) -> ProgressBar {
    let template = "{spinner:.cyan} {pos}/{len} tasks  {msg}  {elapsed:.dim}";
    let bar = ProgressBar::new(plan.tasks.len() as u64);
    // The template is ours and well-formed; without it the bar has its default look.
    if let Ok(look) = ProgressStyle::with_template(template) {
        bar.set_style(look);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn details(run: &Run, id: usize) -> String {
    let standing = run.task(id);
    let rows = standing.outcome.and_then(|outcome| outcome.rows_out).map(|rows| human::plural(rows, "row"));
    let took =
        standing.started_at.zip(standing.finished_at).map(|(start, end)| human::duration(end.saturating_sub(start)));
    rows.into_iter().chain(took).collect::<Vec<_>>().join(", ")
}
