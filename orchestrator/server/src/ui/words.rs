//! Small pieces that all pages share: states, names, times, sizes.

use flow::human;
use flow::run::{RunState, Standing, TaskState};
use flow::view::rfc3339;
use flow::wire::CheckResult;
use flow::{Time, spec::Severity};
use maud::{Markup, html};

use super::address;

/// How good or bad something is: a class of the stylesheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Tone {
    Bad,
    Busy,
    Warn,
    Idle,
    Good,
}

/// A state for people: a sign, a word, and a tone that says nothing that the word does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub sign: &'static str,
    pub word: &'static str,
    pub tone: Tone,
}

const fn mark(sign: &'static str, word: &'static str, tone: Tone) -> Mark {
    Mark { sign, word, tone }
}

impl Tone {
    pub fn class(self) -> &'static str {
        match self {
            Tone::Bad => "bad",
            Tone::Busy => "busy",
            Tone::Warn => "warn",
            Tone::Idle => "idle",
            Tone::Good => "good",
        }
    }
}

impl Mark {
    pub const PAUSED: Mark = mark("‖", "paused", Tone::Warn);
    pub const LATE: Mark = mark("!", "late", Tone::Bad);
    pub const NEWER: Mark = mark("!", "newer than this", Tone::Warn);
    pub const BEHIND: Mark = mark("!", "older than what it reads", Tone::Warn);

    pub fn of_run(state: RunState) -> Mark {
        match state {
            RunState::Queued => mark("○", "queued", Tone::Idle),
            RunState::Running => mark("●", "running", Tone::Busy),
            RunState::Succeeded => mark("✓", "succeeded", Tone::Good),
            RunState::Failed => mark("✕", "failed", Tone::Bad),
            RunState::Cancelled => mark("⊘", "cancelled", Tone::Warn),
        }
    }

    /// A success without an attempt is that of the run before, one without work is cached.
    pub fn of_task(standing: &Standing<'_>) -> Mark {
        match standing.state {
            TaskState::Succeeded if standing.attempts == 0 => mark("✓", "kept", Tone::Good),
            TaskState::Succeeded if standing.outcome.is_some_and(|it| it.cached) => mark("✓", "cached", Tone::Good),
            state => Mark::of_state(state),
        }
    }

    pub fn of_state(state: TaskState) -> Mark {
        match state {
            TaskState::Waiting => mark("○", "waiting", Tone::Idle),
            TaskState::Ready => mark("◌", "ready", Tone::Idle),
            TaskState::Running => mark("●", "running", Tone::Busy),
            TaskState::Retrying => mark("↻", "retrying", Tone::Warn),
            TaskState::Succeeded => mark("✓", "succeeded", Tone::Good),
            TaskState::Failed => mark("✕", "failed", Tone::Bad),
            TaskState::Skipped => mark("–", "skipped", Tone::Warn),
            TaskState::Cancelled => mark("⊘", "cancelled", Tone::Warn),
        }
    }

    pub fn of_warning() -> Mark {
        mark("!", "warning", Tone::Warn)
    }

    pub fn of_check(check: &CheckResult) -> Mark {
        match (check.passed, check.severity) {
            (true, _) => mark("✓", "passed", Tone::Good),
            (false, Severity::Warn) => mark("!", "warned", Tone::Warn),
            (false, Severity::Error) => mark("✕", "failed", Tone::Bad),
        }
    }
}

impl maud::Render for Mark {
    fn render(&self) -> Markup {
        html! { span.badge.(self.tone.class()) { i aria-hidden="true" { (self.sign) } (self.word) } }
    }
}

/// A name or text from outside: whichever way it runs, it disturbs nothing around it.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// As [`name`], where space is short.
pub(super) fn clipped(text: &str) -> Markup {
    html! { bdi.clip title=(text) { (text.lines().next().unwrap_or_default()) } }
}

/// As many characters of a text as fit, for pictures.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some(_) => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// How long ago, with the instant behind it.
pub(super) fn ago(at: Time, now: Time) -> Markup {
    let text = if at > now + 1_000 { format!("in {}", human::duration(at - now)) } else { human::ago(at, now) };
    html! { time datetime=(rfc3339(at)) title=(instant(at)) { (text) } }
}

/// An instant in full, in UTC.
pub(super) fn instant(at: Time) -> String {
    let text = rfc3339(at);
    format!("{} {} UTC", &text[..10], &text[11..19])
}

pub(super) fn at(at: Time) -> Markup {
    html! { time datetime=(rfc3339(at)) { (instant(at)) } }
}

/// How long something takes or has taken.
pub(super) fn took(started: Option<Time>, finished: Option<Time>, now: Time) -> String {
    started.map(|started| human::duration(finished.unwrap_or(now).saturating_sub(started))).unwrap_or_default()
}

/// The beginning of a run's id that is its own.
pub(super) fn short(run_id: &str) -> &str {
    run_id.get(..13).unwrap_or(run_id)
}

pub(super) fn run_link(run_id: &str) -> Markup {
    html! { a.mono href=(address::run(run_id)) title=(run_id) { (short(run_id)) } }
}

pub(super) fn flow_link(flow: &str) -> Markup {
    html! { a href=(address::flow(flow)) { (name(flow)) } }
}

pub(super) fn dataset_link(dataset: &str) -> Markup {
    html! { a href=(address::dataset(dataset)) { (name(dataset)) } }
}

/// A value as JSON has it, texts without their quotes.
pub(super) fn value(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `name=value`, one after the other.
pub(super) fn params(params: &serde_json::Map<String, serde_json::Value>) -> Markup {
    html! {
        @for (key, given) in params {
            span.mono { (name(key)) "=" (name(&value(given))) } " "
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_escaped_and_isolated() {
        let hostile = "<script>alert(1)</script>\u{202e}\"'";
        let made = name(hostile).into_string() + &clipped(hostile).into_string();
        assert!(!made.contains("<script") && made.matches("<bdi").count() == 2, "{made}");
        assert!(!clipped(hostile).into_string().contains("title=\"<"));
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("départements", 6), "dépar…");
        assert_eq!(cut("short", 5), "short");
    }

    #[test]
    fn instants_are_in_full() {
        assert_eq!(instant(1_356_998_400_000), "2013-01-01 00:00:00 UTC");
    }
}
