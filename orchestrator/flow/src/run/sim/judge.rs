//! The invariants: what is proposed, and how things stand, held against the model.

use super::model::{End, Life, Model};
use crate::Time;
use crate::run::{Command, Run, RunState, TaskState};

/// What was seen that should not be.
pub type Verdict = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}
pub(super) use ensure;

/// What the core was told when it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub now: Time,
    /// The latest time that it has ever been told.
    pub latest: Time,
    pub room: usize,
}

/// Whether the proposals are allowed, complete, and in order.
pub fn commands(model: &Model<'_>, commands: &[Command], asked: Asked) -> Verdict {
    let mut starts = vec![];
    let mut stops = vec![];
    for command in commands {
        match *command {
            Command::Start { task, attempt } => {
                start(model, task, attempt, asked.latest)?;
                starts.push(task);
            }
            Command::Pass { task } => {
                ensure!(model.may_begin(task) && model.plan.tasks[task].kind == "noop", "passes {task} too soon");
                ensure!(model.plan.tasks[task].skip.is_none(), "passes {task}, whose `when` is false");
            }
            Command::Skip { task, .. } => {
                ensure!(model.may_begin(task) && model.plan.tasks[task].skip.is_some(), "skips {task} for no reason");
            }
            Command::Stop { task, attempt } => stops.push((task, attempt)),
            Command::Close { state, ref error } => close(model, state, error.as_deref())?,
        }
    }
    let stopped = if model.cancelled && model.closed.is_none() { model.running() } else { vec![] };
    ensure!(stops == stopped, "stops {stops:?} where {stopped:?} should stop");
    ensure!(starts.len() <= asked.room, "starts {} where there is room for {}", starts.len(), asked.room);
    ordered(model, &starts, asked)?;
    let free = (0..model.cards.len()).filter(|&id| model.may_begin(id) && model.free(id)).count();
    let ended =
        commands.iter().filter(|command| matches!(command, Command::Pass { .. } | Command::Skip { .. })).count();
    ensure!(ended == free, "ends {ended} tasks without work where {free} could end");
    let over = (model.all_ended() && model.started) || model.stopping();
    let closes = matches!(commands, [Command::Close { .. }]);
    ensure!(closes == (over && model.running().is_empty() && model.closed.is_none()), "closing: {closes}");
    Ok(())
}

fn start(model: &Model<'_>, task: usize, attempt: u32, latest: Time) -> Verdict {
    let card = &model.cards[task];
    ensure!(model.may_begin(task), "starts {task}, which may not begin");
    ensure!(!model.free(task), "starts {task}, which needs no worker");
    ensure!(attempt == card.tries + 1, "starts attempt {attempt} of {task} after {}", card.tries);
    let spent = card.tries - card.lost;
    ensure!(spent < model.plan.tasks[task].retry.attempts_max, "starts {task} although {spent} tries are spent");
    if let Life::Resting(earliest, _) = card.life {
        ensure!(latest >= earliest, "starts {task} at {latest}, before {earliest}");
    }
    Ok(())
}

/// Nothing that could start is left out for something that should wait, or for an empty slot.
fn ordered(model: &Model<'_>, starts: &[usize], asked: Asked) -> Verdict {
    let priority = |id: &usize| model.plan.tasks[*id].priority;
    ensure!(starts.is_sorted_by_key(|id| -priority(id)), "starts {starts:?} out of order");
    let due = |id: &usize| match model.cards[*id].life {
        Life::Resting(_, certainly) => asked.now >= certainly,
        _ => true,
    };
    let left_out = (0..model.cards.len()).filter(|&id| model.may_begin(id) && !model.free(id));
    let left_out: Vec<usize> = left_out.filter(due).filter(|id| !starts.contains(id)).collect();
    ensure!(left_out.is_empty() || starts.len() >= asked.room, "leaves {left_out:?} waiting beside an empty slot");
    let least = starts.iter().map(priority).min();
    let passed_over = left_out.iter().map(priority).max();
    ensure!(starts.is_empty() || passed_over <= least, "starts {starts:?} before {left_out:?}");
    Ok(())
}

fn close(model: &Model<'_>, state: RunState, error: Option<&str>) -> Verdict {
    let failed = model.ended(End::Failed);
    let expected = match (model.cancelled, failed.is_empty()) {
        (true, _) => RunState::Cancelled,
        (false, true) => RunState::Succeeded,
        (false, false) => RunState::Failed,
    };
    ensure!(state == expected, "closes as {state:?} instead of {expected:?}");
    ensure!(error.is_some() == (state != RunState::Succeeded), "closes {state:?} with {error:?}");
    for id in failed.iter().filter(|_| state == RunState::Failed).take(3) {
        let name = format!("`t{id}`");
        ensure!(error.is_some_and(|error| error.contains(&name)), "{error:?} does not name {name}");
    }
    Ok(())
}

/// Whether every task stands as it should, with a reason where there should be one.
pub fn standing(model: &Model<'_>, run: &Run) -> Verdict {
    let running: Vec<_> = run.running().collect();
    ensure!(running == model.running(), "{running:?} hold slots, and {:?} run", model.running());
    for id in 0..model.cards.len() {
        let task = run.task(id);
        let (state, tries) = (model.state(id), model.cards[id].tries);
        ensure!((task.state, task.attempts) == (state, tries), "{id} is {task:?} instead of {state:?} after {tries}");
        let over = matches!(model.cards[id].life, Life::Ended(_)) || model.closed.is_some();
        ensure!(task.finished_at.is_some() == over, "{id} finished at {:?}", task.finished_at);
        ensure!(task.started_at.is_some() == (tries > 0), "{id} started at {:?}", task.started_at);
        let explains = matches!(state, TaskState::Failed | TaskState::Skipped | TaskState::Retrying);
        ensure!(task.error.is_some() == explains, "{id}, {state:?}, says {:?}", task.error);
        if let (Life::Ended(End::Blocked), Some(error)) = (model.cards[id].life, &task.error) {
            let blames = |of: &usize| *error == format!("`t{of}` failed");
            let culprits = model.ended(End::Failed);
            ensure!(culprits.iter().any(|of| blames(of) && model.depends(id, *of)), "{id} blames {error}");
        }
    }
    Ok(())
}

/// Whether everything has a named reason.
pub fn reasons(model: &Model<'_>, run: &Run) -> Verdict {
    for id in 0..model.cards.len() {
        let reasons = run.reasons(id);
        let named = reasons.iter().all(|reason| !reason.message.is_empty() && !reason.kind.is_empty());
        ensure!(!reasons.is_empty() && named, "{id} has no reason: {reasons:?}");
        if model.state(id) == TaskState::Waiting && model.started && !model.stopping() {
            ensure!(!reasons[0].blocking.is_empty(), "{id} waits for nothing: {reasons:?}");
            ensure!(reasons[1].kind != "waiting", "{id}: the far end waits itself: {reasons:?}");
        }
    }
    Ok(())
}

/// Whether the core asks to be woken in time.
pub fn wake(model: &Model<'_>, wake: Option<Time>, latest: Time) -> Verdict {
    let sleepers = model.cards.iter().filter_map(|card| match card.life {
        Life::Resting(earliest, certainly) if earliest > latest => Some(certainly),
        _ => None,
    });
    let needed = if model.stopping() || model.closed.is_some() { None } else { sleepers.min() };
    ensure!(needed.is_none_or(|needed| wake.is_some_and(|wake| wake <= needed)), "wakes at {wake:?}, not {needed:?}");
    Ok(())
}
