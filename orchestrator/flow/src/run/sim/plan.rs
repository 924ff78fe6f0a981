//! Random plans.

use super::dice::Dice;
use crate::plan::{Need, Plan, Retry, Task};
use crate::spec::Backoff;

/// What a world's plan may hold. Each is switched off in some worlds, so that the others get deep.
#[derive(Clone, Debug)]
pub struct Features {
    pub data_edges: bool,
    pub after_edges: bool,
    pub noops: bool,
    pub when: bool,
    pub retries: bool,
    pub priorities: bool,
    pub stop_on_failure: bool,
}

impl Features {
    pub fn draw(dice: &mut Dice) -> Self {
        Features {
            data_edges: !dice.one_in(4),
            after_edges: !dice.one_in(3),
            noops: dice.one_in(2),
            when: dice.one_in(2),
            retries: dice.one_in(2),
            priorities: dice.one_in(2),
            stop_on_failure: dice.one_in(4),
        }
    }
}

pub fn draw(dice: &mut Dice, features: &Features) -> Plan {
    let mut plan = Plan { stop_on_failure: features.stop_on_failure, ..Plan::default() };
    let density = 1 + dice.below(4);
    for id in 0..1 + dice.below(9) {
        let task = draw_task(dice, features, id, density);
        plan.tasks.push(task);
    }
    plan
}

fn draw_task(dice: &mut Dice, features: &Features, id: usize, density: usize) -> Task {
    let mut task = Task { name: format!("t{id}"), kind: "command".to_owned(), ..Task::default() };
    for need in 0..id {
        if features.data_edges && dice.one_in(density + 1) {
            task.needs.push(Need { task: need, data: true });
        }
        if features.after_edges && dice.one_in(density + 2) {
            task.needs.push(Need { task: need, data: false });
        }
    }
    if features.noops && dice.one_in(4) {
        task.kind = "noop".to_owned();
    }
    if features.when && dice.one_in(4) {
        task.skip = Some("`when` is false".to_owned());
    }
    if features.priorities {
        task.priority = dice.below(3) as i32 - 1;
    }
    if features.retries {
        task.retry = draw_retry(dice);
    }
    task
}

fn draw_retry(dice: &mut Dice) -> Retry {
    Retry {
        attempts_max: 1 + dice.below(4) as u32,
        backoff: [Backoff::Constant, Backoff::Linear, Backoff::Exponential][dice.below(3)],
        delay_ms: dice.below(3_000) as u64,
        delay_max_ms: 1_000 + dice.below(5_000) as u64,
        jitter: dice.one_in(2),
    }
}
