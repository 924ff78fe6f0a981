//! Slots that runs share: never more are taken than there are, and none leaks.

use std::collections::{BTreeMap, BTreeSet};

use flow::plan::{Limits, Plan, Task};
use flow::pools;
use flow::run::{Event, RunState, Took};
use flow::wire::{Failure, Outcome, Pins};
use store::{Kind, NewRun, Store};

use crate::world::{Driver, World, new_run, started, succeeded};

crate::on_both!(
    a_pool_is_never_over_its_size,
    a_slot_is_given_back_however_the_attempt_ends,
    of_many_who_take_the_last_slot_one_gets_it,
    who_waits_goes_before_who_comes,
    a_higher_priority_goes_before_a_longer_wait,
    who_is_gone_holds_and_waits_for_nothing,
    runs_of_a_flow_begin_in_the_order_they_were_made,
    a_flow_has_only_so_many_tasks_at_a_time,
    what_is_not_as_it_should_be_is_found,
    durations_are_of_the_last_attempts,
);

/// Commands without needs, in a pool of two slots.
fn pooled(flow: &str, priority: i32) -> Plan {
    let task = |id: usize| Task {
        name: format!("t{id}"),
        kind: "command".into(),
        pool: Some("p".into()),
        priority,
        ..Task::default()
    };
    Plan { flow: flow.into(), tasks: (0..4).map(task).collect(), ..Plan::default() }
}

async fn open(world: &World) -> Store {
    world.open().await.with_pools([("p".to_owned(), 2)].into())
}

async fn run(store: &Store, id: &str, priority: i32) -> Driver {
    let mut driver = Driver::new(&pooled(id, priority), id);
    driver.create(store).await;
    driver
}

async fn room(store: &Store, driver: &Driver) -> i64 {
    store.rooms(&driver.run, &driver.run.wanted_pools()).await.unwrap()["p"]
}

async fn wait(store: &Store, driver: &Driver) {
    store.wait_for(driver.run.id(), &driver.run.wanted_pools(), &BTreeSet::new()).await.unwrap();
}

/// Starts a task if the store lets it. The driver is as before if it does not.
async fn start(store: &Store, driver: &mut Driver, task: &str) -> Result<(), Kind> {
    let before = driver.clone();
    let done = driver.fact(started(task, 1)).append(store).await;
    done.map(drop).map_err(|error| {
        *driver = before;
        error.kind
    })
}

async fn end(store: &Store, driver: &mut Driver, task: &str) {
    driver.fact(succeeded(task, 1, Outcome::default())).append(store).await.unwrap();
}

async fn a_pool_is_never_over_its_size(world: World) {
    let store = open(&world).await;
    let (mut a, mut b) = (run(&store, "a", 0).await, run(&store, "b", 0).await);
    assert_eq!(room(&store, &a).await, 2);
    start(&store, &mut a, "t0").await.unwrap();
    start(&store, &mut b, "t0").await.unwrap();
    assert_eq!((room(&store, &a).await, start(&store, &mut a, "t1").await), (0, Err(Kind::NoRoom)));
    let two = b.clone().fact(started("t1", 1)).fact(started("t2", 1)).append(&store).await;
    assert_eq!(two.unwrap_err().kind, Kind::NoRoom);
    // What ends makes room for what starts in the same batch.
    a.fact(succeeded("t0", 1, Outcome::default())).fact(started("t1", 1)).append(&store).await.unwrap();
    let holders: Vec<String> =
        store.holds("p").await.unwrap().into_iter().map(|hold| format!("{}/{}", hold.run_id, hold.task)).collect();
    assert_eq!((holders, room(&store, &b).await), (vec!["b/t0".to_owned(), "a/t1".to_owned()], 0));
    assert_eq!(store.fsck().await.unwrap(), []);
    assert_eq!(store.tail("a", 0).await.unwrap().len(), 5, "what was refused left nothing behind");
}

async fn a_slot_is_given_back_however_the_attempt_ends(world: World) {
    let store = open(&world).await;
    let mut a = run(&store, "a", 0).await;
    let failed =
        |task: &str| Event::TaskFailed { task: task.into(), attempt: 1, failure: Box::new(Failure::user("no")) };
    let lost = |task: &str| Event::TaskLost { task: task.into(), attempt: 1, reason: "gone".into() };
    start(&store, &mut a, "t0").await.unwrap();
    a.fact(failed("t0")).append(&store).await.unwrap();
    start(&store, &mut a, "t1").await.unwrap();
    a.fact(lost("t1")).append(&store).await.unwrap();
    assert_eq!(room(&store, &a).await, 2);
    a.fact(started("t1", 2)).fact(started("t2", 1)).append(&store).await.unwrap();
    assert_eq!(room(&store, &a).await, 0);
    // Lost and started again at once: one attempt, one slot.
    a.fact(lost("t2")).fact(started("t2", 2)).append(&store).await.unwrap();
    assert_eq!(room(&store, &a).await, 0);
    a.fact(Event::CancelRequested { by: "ann".into() });
    a.fact(Event::RunClosed { state: RunState::Cancelled, error: None }).append(&store).await.unwrap();
    assert_eq!((store.holds("p").await.unwrap(), store.fsck().await.unwrap()), (vec![], vec![]));
}

async fn of_many_who_take_the_last_slot_one_gets_it(world: World) {
    let store = std::sync::Arc::new(open(&world).await);
    let mut first = run(&store, "first", 0).await;
    start(&store, &mut first, "t0").await.unwrap();
    let mut takes = tokio::task::JoinSet::new();
    for number in 0..8 {
        let mut driver = run(&store, &format!("r{number}"), 0).await;
        // Each with connections of its own, as a process has.
        let own = open(&world).await;
        takes.spawn(async move { start(&own, &mut driver, "t0").await });
    }
    let done = takes.join_all().await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
    assert!(done.iter().all(|done| matches!(done, Ok(()) | Err(Kind::NoRoom))), "{done:?}");
    assert_eq!(store.holds("p").await.unwrap().len(), 2);
}

async fn who_waits_goes_before_who_comes(world: World) {
    let store = open(&world).await;
    let (mut greedy, mut modest) = (run(&store, "greedy", 0).await, run(&store, "modest", 0).await);
    start(&store, &mut greedy, "t0").await.unwrap();
    start(&store, &mut greedy, "t1").await.unwrap();
    wait(&store, &modest).await;
    end(&store, &mut greedy, "t0").await;
    assert_eq!((room(&store, &greedy).await, room(&store, &modest).await), (0, 1));
    assert_eq!(start(&store, &mut greedy, "t2").await, Err(Kind::NoRoom), "it is the other's turn");
    wait(&store, &greedy).await;
    // However little time has passed.
    world.meddle("update waits set turn = turn - 1 where run_id = 'greedy'");
    start(&store, &mut modest, "t0").await.unwrap();
    end(&store, &mut greedy, "t1").await;
    assert_eq!(start(&store, &mut modest, "t1").await, Err(Kind::NoRoom), "and now it is not");
    start(&store, &mut greedy, "t2").await.unwrap();
}

async fn a_higher_priority_goes_before_a_longer_wait(world: World) {
    let store = open(&world).await;
    let (mut full, low, mut high) =
        (run(&store, "full", 0).await, run(&store, "low", 0).await, run(&store, "high", 3).await);
    start(&store, &mut full, "t0").await.unwrap();
    start(&store, &mut full, "t1").await.unwrap();
    wait(&store, &low).await;
    wait(&store, &high).await;
    end(&store, &mut full, "t0").await;
    assert_eq!((room(&store, &low).await, room(&store, &high).await), (0, 1));
    start(&store, &mut high, "t0").await.unwrap();
    // Every ten seconds count as one more.
    world.meddle("update waits set turn = turn - 31000 where run_id = 'low'");
    wait(&store, &high).await;
    end(&store, &mut full, "t1").await;
    assert_eq!((room(&store, &low).await, room(&store, &high).await), (1, 0));
}

async fn who_is_gone_holds_and_waits_for_nothing(world: World) {
    let store = open(&world).await;
    let (mut dead, mut alive) = (run(&store, "dead", 0).await, run(&store, "alive", 0).await);
    start(&store, &mut dead, "t0").await.unwrap();
    start(&store, &mut dead, "t1").await.unwrap();
    wait(&store, &dead).await;
    assert_eq!(room(&store, &alive).await, -1);
    world.meddle("update leases set expires_at = 1 where run_id = 'dead'");
    world.meddle("update waits set seen_at = 1 where run_id = 'dead'");
    assert_eq!(room(&store, &alive).await, 2);
    // A run that a service drives is taken over, and holds what it holds until then, if there is a service.
    world.meddle("update runs set origin = 'service' where run_id = 'dead'");
    assert_eq!(room(&store, &alive).await, 2);
    store.serve("serve/1", None, 60_000).await.unwrap();
    assert_eq!(room(&store, &alive).await, 0);
    store.leave("serve/1").await.unwrap();
    start(&store, &mut alive, "t0").await.unwrap();
}

async fn runs_of_a_flow_begin_in_the_order_they_were_made(world: World) {
    let store = open(&world).await;
    let plan = Plan { limits: Limits { runs: Some(1), tasks: None }, ..pooled("f", 0) };
    let mut runs = vec![];
    for (number, id) in (0..).zip(["a", "b", "c"]) {
        let mut driver = Driver::new(&plan, id);
        driver.now = 1_000 + number;
        driver.fact(Event::RunCreated);
        let created_at = driver.run.created_at().unwrap();
        let pins = Pins::default();
        driver.create_as(&store, &NewRun { created_at, lease: Some(("me", 60_000)), ..new_run(&pins) }).await;
        runs.push(driver);
    }
    let [a, b, c] = &mut runs[..] else { panic!("three") };
    assert!(store.may_begin(&a.run).await.unwrap() && !store.may_begin(&b.run).await.unwrap());
    let early = c.clone().fact(Event::RunStarted).append(&store).await;
    assert_eq!(early.unwrap_err().kind, Kind::NoRoom);
    a.fact(Event::RunStarted).append(&store).await.unwrap();
    assert!(!store.may_begin(&b.run).await.unwrap());
    assert_eq!(store.queued_behind(&c.run).await.unwrap(), ["a", "b"]);
    assert_eq!(store.fsck().await.unwrap(), []);
    a.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
    assert!(store.may_begin(&b.run).await.unwrap() && !store.may_begin(&c.run).await.unwrap());
    // One that nobody drives any more is not waited for.
    world.meddle("update leases set expires_at = 1 where run_id = 'b'");
    assert!(store.may_begin(&c.run).await.unwrap());
}

async fn a_flow_has_only_so_many_tasks_at_a_time(world: World) {
    let store = open(&world).await;
    let mut plan = Plan { limits: Limits { runs: None, tasks: Some(1) }, ..pooled("f", 0) };
    plan.tasks.iter_mut().for_each(|task| task.pool = None);
    let (mut a, mut b) = (Driver::new(&plan, "a"), Driver::new(&plan, "b"));
    a.create(&store).await;
    b.create(&store).await;
    let wanted: BTreeMap<String, i32> = [(pools::of_tasks("f"), 0)].into();
    assert_eq!(a.run.wanted_pools(), wanted);
    start(&store, &mut a, "t0").await.unwrap();
    assert_eq!(start(&store, &mut b, "t0").await, Err(Kind::NoRoom));
    end(&store, &mut a, "t0").await;
    start(&store, &mut b, "t0").await.unwrap();
    assert_eq!(store.fsck().await.unwrap(), []);
}

async fn what_is_not_as_it_should_be_is_found(world: World) {
    let store = open(&world).await;
    let mut a = run(&store, "a", 0).await;
    start(&store, &mut a, "t0").await.unwrap();
    let kinds = async || store.fsck().await.unwrap().into_iter().map(|found| found.kind).collect::<Vec<_>>();
    world.meddle(
        "insert into holds (pool, run_id, task, size, since) values ('p', 'a', 't1', 2, 1), ('p', 'a', 't2', 2, 1)",
    );
    assert_eq!(kinds().await, ["crowded", "holds"]);
    world.meddle("delete from holds");
    assert_eq!(kinds().await, ["holds"]);
    world.meddle(
        "insert into holds (pool, run_id, task, size, since) values ('p', 'a', 't0', 2, 1), ('p', 'z', 't0', 2, 1)",
    );
    assert_eq!(kinds().await, ["closed-hold"]);
}

async fn durations_are_of_the_last_attempts(world: World) {
    let store = open(&world).await;
    for number in 0..25_u64 {
        let mut driver = Driver::new(&pooled("f", 0), &format!("r{number}"));
        driver.create(&store).await;
        start(&store, &mut driver, "t0").await.unwrap();
        driver.now += 100 * number;
        end(&store, &mut driver, "t0").await;
        let cached = Outcome { cached: true, ..Outcome::default() };
        driver.fact(started("t1", 1)).fact(succeeded("t1", 1, cached));
        driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
    }
    let took = store.took("f").await.unwrap();
    assert_eq!(took.len(), 1, "what was cached took nothing");
    let Took { median_ms, p95_ms, attempts } = took["t0"];
    assert_eq!((attempts, median_ms, p95_ms), (20, 1_410, 2_310), "of the last twenty");
    assert_eq!(store.durations("f").await.unwrap(), [("t0".to_owned(), 1_410)].into());
}
