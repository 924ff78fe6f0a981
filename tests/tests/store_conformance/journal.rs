//! Runs and their events.

use flow::plan::Plan;
use flow::run::{Event, RunState};
use flow::value::{Params, Value};
use flow::wire::{Failure, Outcome, Pins};
use store::{Created, Kind, NewRun, Origin, Store};

use crate::world::{Driver, World, new_run, plan, published, started, succeeded, token};

crate::on_both!(
    what_is_appended_is_loaded,
    the_second_append_of_a_number_conflicts,
    of_many_writers_one_wins,
    tokens_only_grow,
    a_retry_in_one_batch_gets_a_token_of_its_own,
    a_scheduled_run_is_made_once,
    of_two_servers_one_makes_the_run_of_a_time,
    runs_of_other_times_share_a_plan,
    a_failure_is_cured_by_a_success_of_the_same,
    a_run_is_found_by_the_beginning_of_its_id,
    runs_are_listed_newest_first,
    a_cancel_lands_in_the_tail,
    a_closed_run_cannot_be_cancelled,
    a_lease_keeps_others_out_until_it_expires,
    a_run_without_a_driver_is_abandoned,
    an_unknown_outcome_is_settled_by_the_tail,
    logs_keep_their_order,
);

async fn what_is_appended_is_loaded(world: World) {
    let store = world.open().await;
    let mut plan = plan();
    plan.params.insert("month".into(), Value::String("2013-01 \u{1F680} \\ \" \0".into()));
    let mut driver = Driver::new(&plan, "r1");
    let mut recorded = driver.create(&store).await;
    driver.fact(started("a", 1));
    recorded.extend(driver.append(&store).await.unwrap());
    driver.fact(succeeded("a", 1, published("f.a", 3))).fact(started("b", 1));
    recorded.extend(driver.append(&store).await.unwrap());
    let failure = Box::new(Failure::user("line one\nline \0 two"));
    driver.fact(Event::TaskFailed { task: "b".into(), attempt: 1, failure });
    driver.fact(Event::RunClosed { state: RunState::Failed, error: Some("b failed".into()) });
    recorded.extend(driver.append(&store).await.unwrap());
    store.close().await;

    let store = world.open().await;
    let loaded = store.load("r1").await.unwrap();
    assert_eq!(loaded.records, recorded);
    assert_eq!(serde_json::to_value(&loaded.plan).unwrap(), serde_json::to_value(&plan).unwrap());
    assert_eq!((loaded.head.seq, loaded.head.state), (7, RunState::Failed));
    assert_eq!((loaded.head.started_at, loaded.head.finished_at), (Some(1_020), Some(1_070)));
    assert_eq!(loaded.head.error.as_deref(), Some("b failed"));
    assert_eq!(loaded.head.params["month"], "2013-01 \u{1F680} \\ \" \0");
    assert_eq!(store.tail("r1", 5).await.unwrap(), recorded[5..]);
    assert_eq!(store.load("r2").await.unwrap_err().kind, Kind::NotFound);
}

async fn the_second_append_of_a_number_conflicts(world: World) {
    let store = world.open().await;
    let mut first = Driver::new(&plan(), "r1");
    first.create(&store).await;
    let mut second = first.clone();
    first.fact(started("a", 1)).append(&store).await.unwrap();
    let error = second.fact(Event::CancelRequested { by: "x".into() }).append(&store).await.unwrap_err();
    assert_eq!(error.kind, Kind::Conflict, "{error}");
    first.seq = 9;
    let gap = first.fact(succeeded("a", 1, Outcome::default())).append(&store).await.unwrap_err();
    assert_eq!(gap.kind, Kind::Conflict, "{gap}");
    assert_eq!(store.tail("r1", 0).await.unwrap().len(), 3);
}

async fn of_many_writers_one_wins(world: World) {
    let store = world.open().await;
    let mut first = Driver::new(&plan(), "r1");
    first.create(&store).await;
    for round in 0..10_u64 {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let (setting, run, seq) = (world.setting.clone(), first.run.clone(), first.seq + round);
            writers.spawn(async move {
                let store = Store::open(&setting).await.unwrap();
                let at = 5_000;
                let event = Event::CancelRequested { by: format!("writer {writer}") };
                let record = flow::run::Record { run_id: "r1".into(), seq: seq + 1, at, event };
                match store.append(&run, vec![record]).await {
                    Ok(_) => 1,
                    Err(error) if error.kind == Kind::Conflict => 0,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        assert_eq!(writers.join_all().await.into_iter().sum::<u32>(), 1, "round {round}");
    }
    let numbers: Vec<u64> = store.tail("r1", 0).await.unwrap().iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<u64>>());
}

async fn tokens_only_grow(world: World) {
    let store = world.open().await;
    let mut last = 0;
    for number in 0..5 {
        let mut driver = Driver::new(&plan(), &format!("r{number}"));
        driver.create(&store).await;
        let recorded = driver.fact(started("a", 1)).append(&store).await.unwrap();
        assert!(token(&recorded[0]) > last, "{recorded:?} after {last}");
        last = token(&recorded[0]);
        assert_eq!(store.tail(&format!("r{number}"), 2).await.unwrap(), recorded);
    }
    let year_2020_ms = 1_577_836_800_000;
    assert!(last > year_2020_ms, "a lost store must not fall behind the lake: {last}");
}

async fn a_retry_in_one_batch_gets_a_token_of_its_own(world: World) {
    let store = world.open().await;
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&store).await;
    let lost = Event::TaskLost { task: "a".into(), attempt: 1, reason: "gone".into() };
    let recorded = driver.fact(started("a", 1)).fact(lost).fact(started("a", 2)).append(&store).await.unwrap();
    assert!(token(&recorded[2]) > token(&recorded[0]) && token(&recorded[0]) > 0, "{recorded:?}");
}

async fn a_scheduled_run_is_made_once(world: World) {
    let store = world.open().await;
    let pins = Pins::default();
    let scheduled = NewRun { origin: Origin::Schedule, ..new_run(&pins) };
    let mut plan = plan();
    plan.logical_time = Some(86_400_000);
    let mut first = Driver::new(&plan, "r1");
    first.fact(Event::RunCreated).create_as(&store, &scheduled).await;
    let mut again = Driver::new(&plan, "r2");
    let batch = again.fact(Event::RunCreated).batch();
    let answer = store.create(&scheduled, &again.run, batch.clone()).await.unwrap();
    assert_eq!(answer, Created::Existing { run_id: "r1".into() });
    assert_eq!(store.runs(None, None, 10).await.unwrap().len(), 1);
    let by_hand = store.create(&new_run(&pins), &again.run, batch).await.unwrap();
    assert!(matches!(by_hand, Created::New(_)), "only scheduled runs are unique by logical time");
}

async fn of_two_servers_one_makes_the_run_of_a_time(world: World) {
    let store = world.open().await;
    let (pins, mut plan) = (Pins::default(), plan());
    store.begin_schedule(&plan.flow, 10).await.unwrap();
    let mut make = async |id: &str, time: u64| {
        plan.logical_time = Some(time);
        let mut driver = Driver::new(&plan, id);
        let batch = driver.fact(Event::RunCreated).batch();
        let new = NewRun { origin: Origin::Schedule, turn: Some((10, time)), ..new_run(&pins) };
        store.create(&new, &driver.run, batch).await
    };
    assert!(matches!(make("r1", 20).await, Ok(Created::New(_))));
    assert_eq!(make("r2", 30).await.unwrap_err().kind, Kind::Conflict, "it has not seen the first one's decision");
    assert_eq!(store.schedule(&plan.flow).await.unwrap().map(|it| it.handled), Some(20));
    assert_eq!(store.runs(None, None, 10).await.unwrap().len(), 1);
}

async fn runs_of_other_times_share_a_plan(world: World) {
    let store = world.open().await;
    let mut made = vec![];
    for (id, day) in [("r1", 1_u64), ("r2", 2)] {
        let mut plan = plan();
        plan.params.insert("day".into(), Value::Int(day as i64));
        (plan.logical_time, plan.interval_start) = (Some(day * 86_400_000), Some((day - 1) * 86_400_000));
        plan.tasks[0].fingerprint = Some(format!("of day {day}"));
        let mut driver = Driver::new(&plan, id);
        driver.create(&store).await;
        driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
        made.push(plan);
    }
    assert!(store.remove_run("r1").await.unwrap());
    assert_eq!(store.remove_plans().await.unwrap(), 0, "the other run has the same plan");
    let loaded = store.load("r2").await.unwrap();
    assert_eq!(serde_json::to_value(&loaded.plan).unwrap(), serde_json::to_value(&made[1]).unwrap());
    assert!(store.remove_run("r2").await.unwrap());
    assert_eq!(store.remove_plans().await.unwrap(), 1);
}

async fn a_failure_is_cured_by_a_success_of_the_same(world: World) {
    let (store, pins) = (world.open().await, Pins::default());
    let of = |n: i64, part: Option<&str>| Plan {
        params: Params::from([("n".to_owned(), Value::Int(n))]),
        selection: part.map(str::to_owned),
        ..plan()
    };
    let make = async |at: u64, plan: &Plan, fails: bool| {
        let mut driver = Driver::new(plan, &format!("r{at}"));
        let batch = driver.fact(Event::RunCreated).batch();
        let new = NewRun { created_at: at, lease: Some(("me", 60_000)), ..new_run(&pins) };
        store.create(&new, &driver.run, batch).await.unwrap();
        match fails {
            true => {
                let closed = Event::RunClosed { state: RunState::Failed, error: Some("no".to_owned()) };
                driver.fact(Event::RunStarted).fact(closed).append(&store).await.unwrap();
            }
            false => driver.succeed(&store).await,
        }
        let troubled = store.troubled_runs(0, 10).await.unwrap();
        troubled.into_iter().map(|head| head.run_id).collect::<Vec<_>>()
    };
    assert_eq!(make(1, &of(1, None), true).await, ["r1"]);
    assert_eq!(make(2, &of(1, Some("a")), true).await, ["r2", "r1"]);
    assert_eq!(make(3, &of(2, None), false).await, ["r2", "r1"], "other parameters");
    assert_eq!(make(4, &of(1, Some("a")), false).await, ["r1"], "a part stands for no whole");
    assert_eq!(make(5, &of(1, None), false).await, Vec::<String>::new());
}

async fn a_run_is_found_by_the_beginning_of_its_id(world: World) {
    let store = world.open().await;
    assert_eq!(store.find("latest").await.unwrap_err().kind, Kind::NotFound);
    for id in ["019a-11", "019a-12", "019b-11"] {
        Driver::new(&plan(), id).create(&store).await;
    }
    assert_eq!(store.find("019b").await.unwrap(), "019b-11");
    assert_eq!(store.find("019a-11").await.unwrap(), "019a-11");
    assert_eq!(store.find("latest").await.unwrap(), "019b-11");
    assert_eq!(store.find("019a").await.unwrap_err().kind, Kind::Refused);
    for nothing in ["%", "019c", "'"] {
        assert_eq!(store.find(nothing).await.unwrap_err().kind, Kind::NotFound, "{nothing}");
    }
}

async fn runs_are_listed_newest_first(world: World) {
    let store = world.open().await;
    for (id, created_at) in [("r1", 5), ("r2", 9), ("r3", 7)] {
        let mut driver = Driver::new(&plan(), id);
        driver.fact(Event::RunCreated);
        driver.create_as(&store, &NewRun { created_at, ..new_run(&Pins::default()) }).await;
        if id == "r3" {
            driver.fact(Event::RunStarted).append(&store).await.unwrap();
        }
    }
    let ids = |heads: Vec<store::Head>| heads.into_iter().map(|head| head.run_id).collect::<Vec<_>>();
    assert_eq!(ids(store.runs(None, None, 10).await.unwrap()), ["r2", "r3", "r1"]);
    assert_eq!(ids(store.runs(Some("f"), None, 2).await.unwrap()), ["r2", "r3"]);
    let last = store.runs(None, None, 2).await.unwrap().pop().unwrap();
    assert_eq!(ids(store.runs_before((last.created_at, "r3"), None, None, 10).await.unwrap()), ["r1"]);
    assert_eq!(ids(store.runs(None, Some(RunState::Running), 10).await.unwrap()), ["r3"]);
    assert_eq!(ids(store.runs(Some("g"), None, 10).await.unwrap()), [""; 0]);
}

async fn a_cancel_lands_in_the_tail(world: World) {
    let (here, there) = (world.open().await, world.open().await);
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&here).await;
    let cancel = there.request_cancel("r1", "ann", 2_000).await.unwrap();
    assert_eq!(here.tail("r1", driver.seq).await.unwrap(), std::slice::from_ref(&cancel));
    assert_eq!(cancel.event, Event::CancelRequested { by: "ann".into() });
    let error = driver.fact(started("a", 1)).append(&here).await.unwrap_err();
    assert_eq!(error.kind, Kind::Conflict, "the driver must read the tail first");
}

async fn a_closed_run_cannot_be_cancelled(world: World) {
    let store = world.open().await;
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&store).await;
    driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
    let error = store.request_cancel("r1", "ann", 2_000).await.unwrap_err();
    assert_eq!((error.kind, error.to_string().as_str()), (Kind::Refused, "cancel run r1: it is failed"));
    assert_eq!(store.request_cancel("r9", "ann", 2_000).await.unwrap_err().kind, Kind::NotFound);
    assert!(store.acquire("r1", "anybody", 10).await.unwrap(), "a closed run has no lease");
}

async fn a_lease_keeps_others_out_until_it_expires(world: World) {
    let store = world.open().await;
    assert!(store.acquire("r1", "me", 60_000).await.unwrap());
    assert!(store.acquire("r1", "me", 60_000).await.unwrap());
    assert!(!store.acquire("r1", "you", 60_000).await.unwrap());
    assert!(!store.renew("r1", "you", 60_000).await.unwrap());
    store.release("r1", "you").await.unwrap();
    assert!(store.renew("r1", "me", 0).await.unwrap());
    assert!(store.acquire("r1", "you", 60_000).await.unwrap(), "an expired lease is anybody's");
    assert!(!store.renew("r1", "me", 60_000).await.unwrap());
    store.release("r1", "you").await.unwrap();
    assert!(store.acquire("r1", "me", 60_000).await.unwrap());
}

async fn a_run_without_a_driver_is_abandoned(world: World) {
    let store = world.open().await;
    let pins = Pins::default();
    let ways = [
        ("expired", Origin::Run, Some(("me", 0))),
        ("never", Origin::Run, None),
        ("alive", Origin::Run, Some(("me", 60_000))),
        ("service", Origin::Service, Some(("me", 0))),
        ("closed", Origin::Run, Some(("me", 0))),
    ];
    for (id, origin, lease) in ways {
        let mut driver = Driver::new(&plan(), id);
        driver.fact(Event::RunCreated).create_as(&store, &NewRun { origin, lease, ..new_run(&pins) }).await;
        if id == "closed" {
            driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
        }
    }
    let ids: Vec<String> = store.abandoned().await.unwrap().into_iter().map(|head| head.run_id).collect();
    assert_eq!(ids, ["expired", "never"]);
}

async fn an_unknown_outcome_is_settled_by_the_tail(world: World) {
    let store = world.open().await;
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&store).await;
    let handed_in = driver.fact(started("a", 1)).batch();
    assert_eq!(store.settle(&handed_in).await.unwrap(), None);
    let recorded = store.append(&driver.run, handed_in.clone()).await.unwrap();
    assert_eq!(store.settle(&handed_in).await.unwrap(), Some(recorded));
    let mut other = handed_in;
    other[0].at += 1;
    assert_eq!(store.settle(&other).await.unwrap(), None);
}

async fn logs_keep_their_order(world: World) {
    let store = world.open().await;
    let line =
        |task: &str, text: String| store::Line { task: task.into(), attempt: 1, at: 5, stream: "stdout".into(), text };
    let lines: Vec<store::Line> =
        (0..1_234).map(|n| line(if n % 2 == 0 { "a" } else { "b" }, format!("line {n}"))).collect();
    store.log("r1", &lines[..1_000]).await.unwrap();
    store.log("r1", &lines[1_000..]).await.unwrap();
    store.log("r2", &[line("a", "other \0 run".into())]).await.unwrap();
    let read: Vec<_> = store.logs("r1", None, 0, 5_000).await.unwrap().into_iter().map(|line| line.line).collect();
    assert_eq!(read, lines);
    let some = store.logs("r1", Some("b"), 1_000, 2).await.unwrap();
    assert_eq!(
        some.iter().map(|line| (line.number, line.line.text.as_str())).collect::<Vec<_>>(),
        [(1_002, "line 1001"), (1_004, "line 1003")]
    );
    let last = store.last_logs("r1", "b", 2).await.unwrap();
    assert_eq!(last.iter().map(|line| line.number).collect::<Vec<_>>(), [1_232, 1_234]);
    assert!(store.last_logs("r1", "c", 2).await.unwrap().is_empty());
    assert_eq!(store.logs("r2", None, 0, 9).await.unwrap()[0].line.text, "other \u{fffd} run");
}
