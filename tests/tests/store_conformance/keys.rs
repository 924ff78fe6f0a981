//! Requests that are repeated, and runs that stand for others.

use flow::api::Once;
use flow::plan::Plan;
use flow::run::Event;
use flow::wire::Pins;
use store::{Created, Key, Kind, NewRun, Store};

use crate::world::{Driver, World, new_run, plan};

crate::on_both!(
    of_two_who_ask_for_a_time_one_makes_the_run,
    a_key_names_one_request,
    a_run_of_a_part_stands_for_no_whole_one,
);

async fn of_two_who_ask_for_a_time_one_makes_the_run(world: World) {
    let (store, other) = (world.open().await, world.open().await);
    let (pins, mut plan) = (Pins::default(), plan());
    plan.logical_time = Some(86_400_000);
    let ask = async |store: &Store, id: &str, once| {
        let mut driver = Driver::new(&plan, id);
        let batch = driver.fact(Event::RunCreated).batch();
        let lease = Some(("me", 60_000));
        (store.create(&NewRun { once: Some(once), lease, ..new_run(&pins) }, &driver.run, batch).await.unwrap(), driver)
    };
    let (one, two) = tokio::join!(ask(&store, "r1", Once::UnderWay), ask(&other, "r2", Once::Done));
    let (mut first, existing, id) = match (one, two) {
        ((Created::New(_), driver), (existing, _)) => (driver, existing, "r1"),
        ((existing, _), (_, driver)) => (driver, existing, "r2"),
    };
    assert_eq!(existing, Created::Existing { run_id: id.into() });
    assert_eq!(store.runs(None, None, 10).await.unwrap().len(), 1);
    first.succeed(&store).await;
    assert_eq!(ask(&store, "r3", Once::Done).await.0, Created::Existing { run_id: id.into() });
    assert!(matches!(ask(&store, "r4", Once::UnderWay).await.0, Created::New(_)), "it is over");
    assert_eq!(store.runs(None, None, 10).await.unwrap().len(), 2);
}

async fn a_key_names_one_request(world: World) {
    let store = world.open().await;
    let (pins, mut plan) = (Pins::default(), plan());
    plan.logical_time = Some(86_400_000);
    let key = |name: &str, request: &str| Key { name: name.into(), request: request.into() };
    let ask = async |id: &str, key: &Key| {
        let mut driver = Driver::new(&plan, id);
        let batch = driver.fact(Event::RunCreated).batch();
        let new = NewRun { key: Some(key), once: Some(Once::UnderWay), ..new_run(&pins) };
        store.create(&new, &driver.run, batch).await
    };
    let r1 = || Created::Existing { run_id: "r1".into() };
    assert_eq!(store.keyed(&key("monday", "x")).await.unwrap(), None);
    assert!(matches!(ask("r1", &key("monday", "x")).await, Ok(Created::New(_))));
    assert_eq!(ask("r2", &key("monday", "x")).await.unwrap(), r1());
    assert_eq!(ask("r2", &key("monday", "y")).await.unwrap_err().kind, Kind::KeyTaken);
    assert_eq!(store.keyed(&key("monday", "y")).await.unwrap_err().kind, Kind::KeyTaken);
    assert_eq!(ask("r3", &key("tuesday", "x")).await.unwrap(), r1(), "it stands for the same time");
    assert_eq!(store.keyed(&key("tuesday", "x")).await.unwrap().as_deref(), Some("r1"), "and goes on to");
    assert_eq!(store.runs(None, None, 10).await.unwrap().len(), 1);
    assert!(!store.remove_run("r1").await.unwrap(), "it goes on");
}

async fn a_run_of_a_part_stands_for_no_whole_one(world: World) {
    let (store, pins) = (world.open().await, Pins::default());
    let time = 86_400_000;
    let whole = Plan { logical_time: Some(time), ..plan() };
    let part = |of: &str| Plan { selection: Some(of.to_owned()), ..whole.clone() };
    let ask = async |plan: &Plan, id: &str| {
        let mut driver = Driver::new(plan, id);
        let batch = driver.fact(Event::RunCreated).batch();
        let new = NewRun { once: Some(Once::Done), lease: Some(("me", 60_000)), ..new_run(&pins) };
        match store.create(&new, &driver.run, batch).await.unwrap() {
            Created::New(_) => driver.succeed(&store).await,
            Created::Existing { run_id } => return Some(run_id),
        }
        None
    };
    let done = async || store.succeeded_at("f", &serde_json::Map::new(), 0, time).await.unwrap();
    assert_eq!(ask(&part("+a"), "r1").await, None);
    assert!(done().await.is_empty(), "only a part is done");
    assert_eq!(ask(&part("+a"), "r2").await, Some("r1".to_owned()));
    assert_eq!(ask(&part("+b"), "r3").await, None);
    assert_eq!(ask(&whole, "r4").await, None);
    assert_eq!(done().await, [time]);
    assert_eq!(ask(&whole, "r5").await, Some("r4".to_owned()));
    assert_eq!(ask(&part("+a"), "r6").await, Some("r1".to_owned()));
}
