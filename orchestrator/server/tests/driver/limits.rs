//! Limits and fairness: what a driver does when there is no room, and between several.

use std::sync::Arc;
use std::time::Duration;

use flow::plan::{Limits, Plan, Task};
use flow::run::{Event, Run, RunState};
use flow::wire::{Ending, Outcome};
use server::driver::LEASE_MS;
use server::hall::Slots;
use server::{Clock, Hall, NewRun, Seat, drive};
use store::Kind;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::journal::{Memory, Mood};
use super::{World, new, plan, world};

/// Commands side by side, in a pool.
fn pooled(count: usize) -> Plan {
    let pool = Some("p".to_owned());
    let task = |id| Task { name: format!("t{id}"), kind: "command".to_owned(), pool: pool.clone(), ..Task::default() };
    plan((0..count).map(task).collect())
}

fn room(slots: i64) -> Memory {
    let memory = Memory::default();
    memory.inner().pools.insert("p".to_owned(), slots);
    memory
}

async fn nothing_comes(world: &World) {
    assert!(timeout(Duration::from_secs(60), world.slots.claim()).await.is_err(), "there is no room in the pool");
}

#[tokio::test(start_paused = true)]
async fn no_more_start_than_the_pool_has_room_for() {
    let world = world(new(pooled(3)), room(2), 8);
    let (first, _second) = (world.claim().await, world.claim().await);
    nothing_comes(&world).await;
    assert_eq!(world.memory.inner().waiting, [("p".to_owned(), 0)].into(), "the store knows that the run waits");
    world.end(&first, Ending::Succeeded(Outcome::default())).await;
    let appends = world.memory.inner().appends;
    assert_eq!(world.claim().await.assignment.task, 2);
    assert_eq!(appends, world.memory.inner().appends, "the end and the start that it makes room for share an append");
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_hides_no_others() {
    let mut plan = pooled(3);
    plan.tasks[2].pool = None;
    let world = world(new(plan), room(0), 1);
    assert_eq!(world.claim().await.assignment.task, 2);
}

#[tokio::test(start_paused = true)]
async fn room_that_others_make_is_seen_within_a_second() {
    let world = world(new(pooled(1)), room(0), 1);
    nothing_comes(&world).await;
    let freed = Instant::now();
    world.memory.inner().pools.insert("p".to_owned(), 1);
    world.claim().await;
    assert!(freed.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_put_off_and_not_asked_again_at_once() {
    let memory = room(1);
    // The beginning of the run is durable before anything that needs a pool is proposed.
    let refusals = std::iter::repeat_n(Some(Mood::Fails(Kind::NoRoom)), 3);
    let mut moods = std::iter::once(None).chain(refusals);
    memory.inner().whim = Some(Box::new(move || moods.next().flatten()));
    let world = world(new(pooled(1)), memory, 1);
    let begun = Instant::now();
    let offer = world.claim().await;
    assert!((1..=3).contains(&begun.elapsed().as_secs()), "it took {:?}", begun.elapsed());
    world.end(&offer, Ending::Succeeded(Outcome::default())).await;
    assert_eq!(world.close().await.state(), RunState::Succeeded);
}

/// A run of a flow that allows one at a time, behind another.
fn behind() -> World {
    let mut plan = super::chain(1);
    plan.limits = Limits { runs: Some(1), tasks: None };
    let memory = Memory::default();
    memory.inner().held_back = 1;
    world(new(plan), memory, 1)
}

#[tokio::test(start_paused = true)]
async fn a_run_stays_queued_until_its_turn_has_come() {
    let world = behind();
    nothing_comes(&world).await;
    let events: Vec<Event> = world.memory.inner().records.iter().map(|record| record.event.clone()).collect();
    assert_eq!(events, [Event::RunCreated]);
    world.memory.inner().held_back = 0;
    world.claim().await;
    assert_eq!(world.memory.inner().records[1].event, Event::RunStarted);
}

#[tokio::test(start_paused = true)]
async fn a_queued_run_can_be_cancelled() {
    let world = behind();
    nothing_comes(&world).await;
    world.cancel.send_replace(Some("ann".to_owned()));
    let run = world.close().await;
    assert_eq!((run.state(), run.started_at()), (RunState::Cancelled, None));
}

/// A run in a hall with others.
fn beside(hall: &Hall, run_id: &str, plan: Plan) -> tokio::task::JoinHandle<Run> {
    let (desk, run_id) = (hall.drive(run_id), run_id.to_owned());
    tokio::spawn(async move {
        let (_sender, cancel) = watch::channel(None);
        let (journal, clock) = (&Memory::default(), &Clock::starting_at(1_000_000));
        let mut observer = |_: &Run, _: &[flow::run::Record]| {};
        let seat = Seat { journal, clock, desk, cancel, observer: &mut observer, holder: "test", lease_ms: LEASE_MS };
        let new = NewRun { run_id: run_id.clone(), ..new(plan) };
        drive(new, seat).await.expect("closes")
    })
}

/// Works off everything, a second each. Answers whose tasks came in which order.
async fn work_off(slots: Arc<Slots>, count: usize) -> Vec<String> {
    let mut order = vec![];
    while order.len() < count {
        let offer = slots.claim().await.expect("work");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (run_id, task) = (&offer.assignment.run_id, &offer.assignment.plan.tasks[offer.assignment.task].name);
        slots.report(run_id, task, 1, Ending::Succeeded(Outcome::default())).await;
        order.push(run_id.clone());
    }
    order
}

fn tasks(count: usize, priority: i32) -> Plan {
    let task = |id| Task { name: format!("t{id}"), kind: "command".to_owned(), priority, ..Task::default() };
    plan((0..count).map(task).collect())
}

#[tokio::test(start_paused = true)]
async fn a_run_of_many_tasks_shares_its_slots_with_one_that_comes_later() {
    let hall = Hall::default();
    let slots = Arc::new(hall.join("w", 2, None));
    let many = beside(&hall, "many", tasks(60, 0));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let few = beside(&hall, "few", tasks(5, 0));
    let works = [tokio::spawn(work_off(slots.clone(), 33)), tokio::spawn(work_off(slots, 32))];
    few.await.expect("no panic");
    assert!(!many.is_finished());
    let mut order = vec![];
    for work in works {
        order.extend(work.await.expect("no panic").into_iter().enumerate());
    }
    order.sort();
    let last = order.iter().filter(|(_, run)| run == "few").map(|(round, _)| *round).max().expect("five of them");
    assert!(last <= 8, "five tasks were through after {last} rounds of two");
    many.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first_and_the_lower_one_does_not_starve() {
    let hall = Hall::default();
    let slots = Arc::new(hall.join("w", 1, None));
    let low = beside(&hall, "low", tasks(4, 0));
    let high = beside(&hall, "high", tasks(150, 5));
    let order = work_off(slots, 154).await;
    let at: Vec<usize> = order.iter().enumerate().filter(|(_, run)| *run == "low").map(|(at, _)| at).collect();
    assert!(at[1..].windows(2).all(|two| (45..=55).contains(&(two[1] - two[0]))), "50 s outweigh 5: {at:?}");
    low.await.expect("no panic");
    high.await.expect("no panic");
}
