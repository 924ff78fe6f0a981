//! States with their colours.

use clap::builder::styling::Style;
use flow::run::{RunState, TaskState};

use super::style;
use super::table::Cell;

pub fn of_run(state: RunState) -> Cell {
    let (word, style) = run(state);
    Cell::styled(word, style)
}

/// The word of a run's state and its colour.
pub fn run(state: RunState) -> (&'static str, Style) {
    match state {
        RunState::Queued => ("queued", style::DIM),
        RunState::Running => ("running", style::BUSY),
        RunState::Succeeded => ("succeeded", style::GOOD),
        RunState::Failed => ("failed", style::BAD),
        RunState::Cancelled => ("cancelled", style::WARN),
    }
}

/// The word of a task's state and its colour. A success without an attempt was `adopted`, one without work is `cached`.
pub fn task(state: TaskState, attempts: u32, cached: bool) -> (&'static str, Style) {
    match state {
        TaskState::Succeeded if attempts == 0 => ("adopted", style::GOOD),
        TaskState::Waiting => ("waiting", style::DIM),
        TaskState::Ready => ("ready", style::DIM),
        TaskState::Running => ("running", style::BUSY),
        TaskState::Retrying => ("retrying", style::WARN),
        TaskState::Succeeded if cached => ("cached", style::GOOD),
        TaskState::Succeeded => ("succeeded", style::GOOD),
        TaskState::Failed => ("failed", style::BAD),
        TaskState::Skipped => ("skipped", style::WARN),
        TaskState::Cancelled => ("cancelled", style::WARN),
    }
}
