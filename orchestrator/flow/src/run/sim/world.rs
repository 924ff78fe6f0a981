//! A world around a run: slots, workers that fail and vanish, a clock that jumps, a process that dies.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dice::Dice;
use super::judge::{self, Asked, Verdict, ensure};
use super::model::Model;
use super::plan::{self, Features};
use super::{Bug, Digest};
use crate::Time;
use crate::plan::Plan;
use crate::run::{Command, Event, Record, Run, RunState};
use crate::wire::{Ending, Failure, Outcome};

/// How many steps a run may take to close once nothing goes wrong any more.
const CALM_STEPS_MAX: usize = 120;

/// What may go wrong. Each is switched off in some worlds, so that the others get deep.
#[derive(Clone, Debug)]
struct Faults {
    failures: bool,
    hopeless: bool,
    skips: bool,
    losses: bool,
    late_reports: bool,
    repeats: bool,
    nonsense: bool,
    cancels: bool,
    abandoned: bool,
    restarts: bool,
    crashes: bool,
    lost_commands: bool,
    clock_jumps: bool,
    adopts: bool,
}

impl Faults {
    fn draw(dice: &mut Dice) -> Self {
        Faults {
            failures: dice.one_in(2),
            hopeless: dice.one_in(3),
            skips: dice.one_in(3),
            losses: dice.one_in(2),
            late_reports: dice.one_in(2),
            repeats: dice.one_in(2),
            nonsense: dice.one_in(3),
            cancels: dice.one_in(3),
            abandoned: dice.one_in(8),
            restarts: dice.one_in(2),
            crashes: dice.one_in(3),
            lost_commands: dice.one_in(3),
            clock_jumps: dice.one_in(3),
            adopts: dice.one_in(5),
        }
    }
}

struct World<'plan> {
    dice: Dice,
    faults: Faults,
    bug: Option<Bug>,
    plan: &'plan Arc<Plan>,
    model: Model<'plan>,
    run: Run,
    journal: Vec<Record>,
    now: Time,
    /// The latest time that the core was told since it was last made.
    latest: Time,
    slots: usize,
    /// Attempts that workers have in hand.
    held: BTreeSet<(String, u32)>,
    /// Attempts whose worker was given up, and may still be heard of.
    ghosts: Vec<(String, u32)>,
}

/// Lives through the world of this seed.
///
/// # Errors
///
/// The first broken invariant.
pub fn live(seed: u64, bug: Option<Bug>) -> Verdict {
    let mut dice = Dice::new(seed);
    let features = Features::draw(&mut dice);
    let plan = Arc::new(plan::draw(&mut dice, &features));
    let faults = Faults::draw(&mut dice);
    let slots = 1 + dice.below(5);
    let mut world = World {
        dice,
        faults,
        bug,
        plan: &plan,
        model: Model::new(&plan),
        run: fresh(&plan, bug),
        journal: vec![],
        now: 1_000_000,
        latest: 0,
        slots,
        held: BTreeSet::new(),
        ghosts: vec![],
    };
    world.open()?;
    for _ in 0..world.dice.below(80) {
        if world.model.closed.is_none() {
            world.step(false)?;
        }
    }
    for _ in 0..CALM_STEPS_MAX {
        if world.model.closed.is_some() {
            return world.aftermath();
        }
        world.step(true)?;
    }
    Err("the run never closes".to_owned())
}

fn fresh(plan: &Arc<Plan>, bug: Option<Bug>) -> Run {
    let mut run = Run::new(plan.clone(), "run");
    run.bug = bug;
    run
}

impl World<'_> {
    fn open(&mut self) -> Verdict {
        self.record(Event::RunCreated)?;
        if self.faults.cancels && self.dice.one_in(20) {
            self.step(false)?;
            self.record(Event::CancelRequested { by: "early".to_owned() })?;
            self.step(false)?;
        }
        self.record(Event::RunStarted)?;
        for id in 0..self.plan.tasks.len() {
            if self.faults.adopts && self.dice.one_in(3) {
                let task = self.plan.tasks[id].name.clone();
                self.record(Event::TaskSucceeded { task, attempt: 0, outcome: Box::new(self.outcome()) })?;
            }
        }
        Ok(())
    }

    /// The core is asked, its answer judged and acted upon, and the world goes on.
    fn step(&mut self, calm: bool) -> Verdict {
        let room = self.slots.saturating_sub(self.run.running().len());
        let commands = self.run.next(self.now, room);
        self.latest = self.latest.max(self.now);
        let asked = Asked { now: self.now, latest: self.latest, room };
        judge::commands(&self.model, &commands, asked)?;
        let wake = self.run.wake(self.now);
        judge::wake(&self.model, wake, self.latest)?;
        let idle = commands.is_empty() && self.held.is_empty() && self.model.started && self.model.closed.is_none();
        ensure!(!idle || wake.is_some(), "nothing runs, nothing is proposed, and there is nothing to wait for");
        self.act(commands, calm)?;
        self.workers(calm)?;
        if calm {
            self.now = wake.filter(|_| idle).unwrap_or(self.now).max(self.now);
            Ok(())
        } else {
            self.trouble()
        }
    }

    fn act(&mut self, commands: Vec<Command>, calm: bool) -> Verdict {
        for command in commands {
            if !calm && self.faults.lost_commands && self.dice.one_in(3) {
                continue;
            }
            if let Some(event) = self.run.recorded(&command, "worker") {
                self.record(event)?;
            }
        }
        Ok(())
    }

    fn workers(&mut self, calm: bool) -> Verdict {
        for (task, attempt) in self.held.clone() {
            if calm && !self.model.cancelled {
                self.report(&task, attempt, Ending::Succeeded(self.outcome()))?;
            } else if calm {
                self.report(&task, attempt, Ending::Cancelled)?;
            } else if self.dice.one_in(3) {
                self.end(task, attempt)?;
            }
        }
        Ok(())
    }

    /// An attempt ends in one way or another.
    fn end(&mut self, task: String, attempt: u32) -> Verdict {
        let retryable = |retry| Failure { retry, ..Failure::external("no answer") };
        match self.dice.below(6) {
            0 if self.faults.failures => self.report(&task, attempt, Ending::Failed(retryable(true))),
            1 if self.faults.hopeless => self.report(&task, attempt, Ending::Failed(retryable(false))),
            2 if self.faults.skips => self.report(&task, attempt, Ending::Skipped("exit code 99".to_owned())),
            3 if self.faults.losses || self.model.cancelled => self.report(&task, attempt, Ending::Cancelled),
            4 | 5 if self.faults.losses => {
                self.ghosts.push((task.clone(), attempt));
                self.record(Event::TaskLost { task, attempt, reason: "no heartbeat".to_owned() })
            }
            _ => self.report(&task, attempt, Ending::Succeeded(self.outcome())),
        }
    }

    fn report(&mut self, task: &str, attempt: u32, ending: Ending) -> Verdict {
        let event = self.run.reported(task, attempt, ending);
        self.record(event)
    }

    fn outcome(&self) -> Outcome {
        Outcome { rows_out: self.now.is_multiple_of(2).then_some(self.now), ..Outcome::default() }
    }

    fn trouble(&mut self) -> Verdict {
        self.now += self.dice.below(500) as Time;
        if self.faults.clock_jumps && self.dice.one_in(10) {
            self.now = (self.now + self.dice.below(20_000) as Time).saturating_sub(10_000);
        }
        if self.faults.late_reports && self.dice.one_in(3) && !self.ghosts.is_empty() {
            let ghost = self.dice.below(self.ghosts.len());
            let (task, attempt) = self.ghosts[ghost].clone();
            self.end(task, attempt)?;
        }
        if self.faults.repeats && self.dice.one_in(3) {
            let repeated = self.dice.below(self.journal.len());
            self.record(self.journal[repeated].event.clone())?;
        }
        if self.faults.nonsense && self.dice.one_in(4) {
            let task = format!("t{}", self.dice.below(self.plan.tasks.len() + 1));
            let attempt = self.dice.below(4) as u32;
            self.end(task, attempt)?;
        }
        if self.faults.cancels && self.dice.one_in(20) {
            self.record(Event::CancelRequested { by: "somebody".to_owned() })?;
        }
        if self.faults.abandoned && self.dice.one_in(40) {
            let error = Some("the process that ran it ended".to_owned());
            self.record(Event::RunClosed { state: RunState::Failed, error })?;
        }
        if self.faults.restarts && self.dice.one_in(6) {
            self.restart()?;
        }
        if self.dice.one_in(8) {
            judge::reasons(&self.model, &self.run)?;
        }
        Ok(())
    }

    /// Records a fact, or sees that it changes nothing.
    fn record(&mut self, event: Event) -> Verdict {
        let seq = self.journal.len() as u64 + 1;
        let record = Record { run_id: "run".to_owned(), seq, at: self.now, event };
        if self.faults.crashes && self.dice.one_in(20) {
            // The process dies after it has decided and before that is durable.
            let before = Digest::of(&self.run);
            let _lost = self.run.apply(&record);
            self.replay();
            ensure!(Digest::of(&self.run) == before, "after a crash: {:?} was {before:?}", Digest::of(&self.run));
        }
        let follows = self.model.hear(&record.event, record.at);
        let before = (!follows).then(|| Digest::of(&self.run));
        let applied = self.run.apply(&record).is_ok();
        ensure!(applied == follows, "{:?} is applied: {applied}, follows: {follows}", record.event);
        if let Some(before) = before {
            ensure!(Digest::of(&self.run) == before, "{:?} is stale and changes {before:?}", record.event);
            return Ok(());
        }
        self.hand(&record.event);
        self.journal.push(record);
        judge::standing(&self.model, &self.run)
    }

    /// Workers take up what has started and put down what has ended.
    fn hand(&mut self, event: &Event) {
        let Some((task, attempt)) = event.task() else { return };
        let attempt = (task.to_owned(), attempt);
        match event {
            Event::TaskStarted { .. } => self.held.insert(attempt),
            _ => self.held.remove(&attempt),
        };
    }

    fn replay(&mut self) {
        self.run = fresh(self.plan, self.bug);
        self.run.read(&self.journal);
        self.latest = 0;
    }

    fn restart(&mut self) -> Verdict {
        let live = Digest::of(&self.run);
        self.replay();
        ensure!(Digest::of(&self.run) == live, "replay gives {:?} instead of {live:?}", Digest::of(&self.run));
        Ok(())
    }

    /// A closed run stays as it is.
    fn aftermath(&mut self) -> Verdict {
        ensure!(self.run.next(self.now, 9).is_empty(), "a closed run proposes something");
        ensure!(self.run.wake(self.now).is_none(), "a closed run wants to be woken");
        ensure!(Some(self.run.state()) == self.model.closed, "it is {:?}", self.run.state());
        for event in self.journal.iter().map(|record| record.event.clone()).collect::<Vec<_>>() {
            self.record(event)?;
        }
        judge::standing(&self.model, &self.run)?;
        judge::reasons(&self.model, &self.run)?;
        self.restart()
    }
}
