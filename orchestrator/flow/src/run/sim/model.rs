//! What a run should be, said a second time: slowly, plainly, and without a look at the code under test.
//! Every question goes through all tasks.

use std::collections::BTreeSet;

use crate::Time;
use crate::plan::{Plan, Retry, TaskId};
use crate::run::{Event, RunState, TaskState};
use crate::spec::Backoff;

pub struct Model<'plan> {
    pub plan: &'plan Plan,
    pub cards: Vec<Card>,
    pub created: bool,
    pub started: bool,
    pub cancelled: bool,
    pub closed: Option<RunState>,
}

#[derive(Clone, Debug, Default)]
pub struct Card {
    pub life: Life,
    /// Attempts, lost ones included.
    pub tries: u32,
    pub lost: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Life {
    #[default]
    Idle,
    Running,
    /// Certainly not to be started before the first time, certainly to be from the second on.
    Resting(Time, Time),
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Good,
    Failed,
    Cancelled,
    /// Nothing to do, for it or for what it reads.
    Skipped,
    /// Something that it depends on failed.
    Blocked,
}

impl<'plan> Model<'plan> {
    pub fn new(plan: &'plan Plan) -> Self {
        let cards = vec![Card::default(); plan.tasks.len()];
        Model { plan, cards, created: false, started: false, cancelled: false, closed: None }
    }

    /// Takes the fact in. False, without a change, if it does not follow from what was.
    pub fn hear(&mut self, event: &Event, at: Time) -> bool {
        if self.closed.is_some() {
            return false;
        }
        let once = |flag: &mut bool| !std::mem::replace(flag, true);
        match event {
            Event::RunCreated => !self.started && once(&mut self.created),
            Event::RunStarted => once(&mut self.started),
            Event::CancelRequested { .. } => once(&mut self.cancelled),
            Event::RunClosed { state, .. } => self.closed.replace(*state).is_none(),
            _ => self.started && self.hear_of_task(event, at),
        }
    }

    fn hear_of_task(&mut self, event: &Event, at: Time) -> bool {
        let Some((name, attempt)) = event.task() else { return false };
        let Some(id) = self.plan.tasks.iter().position(|task| task.name == name) else { return false };
        let Some(card) = self.after(id, attempt, event, at) else { return false };
        self.cards[id] = card;
        while let Some((id, end)) = self.consequence() {
            self.cards[id].life = Life::Ended(end);
        }
        true
    }

    /// The task's card once the event has happened, if it can.
    fn after(&self, id: TaskId, attempt: u32, event: &Event, at: Time) -> Option<Card> {
        let card = &self.cards[id];
        let runs = card.life == Life::Running && attempt == card.tries;
        let untouched = card.life == Life::Idle && card.tries == 0;
        let noop = self.plan.tasks[id].kind == "noop";
        let end = |end| Some(Card { life: Life::Ended(end), ..card.clone() });
        match event {
            Event::TaskStarted { .. } if self.may_begin(id) && attempt == card.tries + 1 => {
                Some(Card { life: Life::Running, tries: attempt, ..card.clone() })
            }
            Event::TaskSucceeded { .. } if runs || attempt == 0 && untouched => end(End::Good),
            Event::TaskSucceeded { .. } if noop && attempt == card.tries + 1 && self.may_begin(id) => {
                Some(Card { life: Life::Ended(End::Good), tries: attempt, ..card.clone() })
            }
            Event::TaskSkipped { .. } if runs || attempt == 0 && untouched && self.may_begin(id) => end(End::Skipped),
            Event::TaskCancelled { .. } if runs && self.cancelled => end(End::Cancelled),
            Event::TaskFailed { failure, .. } if runs => {
                let failures = card.tries - card.lost;
                let spent = !failure.retry || failures >= self.plan.tasks[id].retry.attempts_max;
                let (earliest, latest) = rest(&self.plan.tasks[id].retry, failures);
                if spent {
                    end(End::Failed)
                } else {
                    Some(Card { life: Life::Resting(at + earliest, at + latest), ..card.clone() })
                }
            }
            Event::TaskLost { .. } if runs => {
                let life = if card.lost == 4 { Life::Ended(End::Failed) } else { Life::Resting(at, at) };
                Some(Card { life, lost: card.lost + 1, ..card.clone() })
            }
            _ => None,
        }
    }

    /// A task whose end follows from how others ended.
    fn consequence(&self) -> Option<(TaskId, End)> {
        (0..self.cards.len()).filter(|&id| self.cards[id].life == Life::Idle).find_map(|id| {
            let needs = || self.plan.tasks[id].needs.iter().map(|need| (need.data, self.cards[need.task].life));
            let bad = |life| matches!(life, Life::Ended(End::Failed | End::Blocked));
            let fine = |life| matches!(life, Life::Ended(End::Good | End::Skipped));
            if needs().any(|(_, life)| bad(life)) {
                return Some((id, End::Blocked));
            }
            let starved = needs().any(|(data, life)| data && life == Life::Ended(End::Skipped));
            (starved && needs().all(|(_, life)| fine(life))).then_some((id, End::Skipped))
        })
    }

    /// Whether an attempt of the task may begin, were it the time.
    pub fn may_begin(&self, id: TaskId) -> bool {
        let rests = matches!(self.cards[id].life, Life::Idle | Life::Resting(..));
        let fed = self.plan.tasks[id].needs.iter().all(|need| match self.cards[need.task].life {
            Life::Ended(End::Good) => true,
            Life::Ended(End::Skipped) => !need.data,
            _ => false,
        });
        rests && fed && self.started && !self.stopping() && self.closed.is_none()
    }

    /// Whether the task ends without a worker once it may begin.
    pub fn free(&self, id: TaskId) -> bool {
        self.plan.tasks[id].kind == "noop" || self.plan.tasks[id].skip.is_some()
    }

    pub fn stopping(&self) -> bool {
        self.cancelled || self.plan.stop_on_failure && !self.ended(End::Failed).is_empty()
    }

    pub fn running(&self) -> Vec<(TaskId, u32)> {
        let running = self.cards.iter().enumerate().filter(|(_, card)| card.life == Life::Running);
        running.map(|(id, card)| (id, card.tries)).collect()
    }

    pub fn ended(&self, end: End) -> BTreeSet<TaskId> {
        (0..self.cards.len()).filter(|&id| self.cards[id].life == Life::Ended(end)).collect()
    }

    pub fn all_ended(&self) -> bool {
        self.cards.iter().all(|card| matches!(card.life, Life::Ended(_)))
    }

    /// Whether `of` must end before `id` may start.
    pub fn depends(&self, id: TaskId, of: TaskId) -> bool {
        self.plan.tasks[id].needs.iter().any(|need| need.task == of || self.depends(need.task, of))
    }

    /// What people should be told.
    pub fn state(&self, id: TaskId) -> TaskState {
        let Card { life, tries, .. } = self.cards[id];
        match (life, self.closed) {
            (Life::Ended(End::Good), _) => TaskState::Succeeded,
            (Life::Ended(End::Failed), _) => TaskState::Failed,
            (Life::Ended(End::Cancelled), _) => TaskState::Cancelled,
            (Life::Ended(End::Skipped | End::Blocked), _) => TaskState::Skipped,
            (_, Some(RunState::Cancelled)) => TaskState::Cancelled,
            (_, Some(_)) if tries > 0 => TaskState::Failed,
            (_, Some(_)) => TaskState::Skipped,
            (Life::Running, None) => TaskState::Running,
            (Life::Resting(..), None) => TaskState::Retrying,
            (Life::Idle, None) if self.started && self.needs_ended(id) => TaskState::Ready,
            (Life::Idle, None) => TaskState::Waiting,
        }
    }

    fn needs_ended(&self, id: TaskId) -> bool {
        let ended = |task: TaskId| matches!(self.cards[task].life, Life::Ended(End::Good | End::Skipped));
        self.plan.tasks[id].needs.iter().all(|need| ended(need.task))
    }
}

/// The shortest and the longest a task may rest after so many failures.
fn rest(retry: &Retry, failures: u32) -> (Time, Time) {
    let mut longest = retry.delay_ms;
    for _ in 1..failures {
        match retry.backoff {
            Backoff::Constant => {}
            Backoff::Linear => longest += retry.delay_ms,
            Backoff::Exponential => longest *= 2,
        }
    }
    longest = longest.min(retry.delay_max_ms);
    (if retry.jitter { longest - longest / 2 } else { longest }, longest)
}
