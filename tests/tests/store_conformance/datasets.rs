//! The catalogue, lineage, and what is learned.

use flow::run::{Event, RunState};
use flow::wire::Outcome;
use store::Kind;

use crate::world::{Driver, World, plan, published, started, succeeded};

crate::on_both!(
    a_published_version_knows_its_run_and_columns,
    a_version_met_again_keeps_its_run,
    an_adopted_version_does_not_hide_a_newer_one,
    durations_are_learned,
);

/// A run in which `a` publishes `f.a` in this way.
async fn publish(store: &store::Store, run_id: &str, attempt: u32, outcome: Outcome) {
    let mut driver = Driver::new(&plan(), run_id);
    driver.create(store).await;
    if attempt > 0 {
        driver.fact(started("a", attempt));
    }
    driver.fact(succeeded("a", attempt, outcome));
    driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(store).await.unwrap();
}

async fn a_published_version_knows_its_run_and_columns(world: World) {
    let store = world.open().await;
    publish(&store, "r1", 1, published("f.a", 0)).await;
    publish(&store, "r2", 1, published("f.a", 1)).await;
    let datasets = store.datasets().await.unwrap();
    assert_eq!(datasets.len(), 1);
    let newest = &datasets[0];
    assert_eq!((newest.dataset.as_str(), newest.version, newest.run_id.as_str()), ("f.a", Some(1), "r2"));
    assert_eq!(newest.location.as_deref(), Some("/lake/f.a"));
    assert_eq!(newest.columns[..], plan().tasks[0].output.as_ref().unwrap().columns[..]);
    assert_eq!(store.dataset("f.a").await.unwrap().as_ref(), Some(newest));
    assert_eq!(store.dataset("f.b").await.unwrap(), None);
    let known = store.newest().await.unwrap();
    assert_eq!((known.len(), known["f.a"].version, known["f.a"].run_id.as_str()), (1, Some(1), "r2"));
    let versions = store.versions("f.a").await.unwrap();
    assert_eq!(versions.iter().map(|it| (it.version, it.run_id.as_str())).collect::<Vec<_>>(), [(0, "r1"), (1, "r2")]);
    let old = store.lineage("f.a", 0).await.unwrap().unwrap();
    assert_eq!((old.run_id.as_str(), old.columns.len()), ("r1", 2));
    assert_eq!(store.lineage("f.a", 7).await.unwrap(), None);
}

async fn a_version_met_again_keeps_its_run(world: World) {
    let store = world.open().await;
    publish(&store, "r1", 1, published("f.a", 0)).await;
    publish(&store, "r2", 1, Outcome { cached: true, ..published("f.a", 0) }).await;
    assert_eq!(store.datasets().await.unwrap()[0].run_id, "r1");
    assert_eq!(store.versions("f.a").await.unwrap()[0].run_id, "r1");
    // A lake that was deleted begins again at version 0.
    publish(&store, "r3", 1, published("f.a", 0)).await;
    assert_eq!(store.datasets().await.unwrap()[0].run_id, "r3");
}

async fn an_adopted_version_does_not_hide_a_newer_one(world: World) {
    let store = world.open().await;
    publish(&store, "r1", 1, published("f.a", 0)).await;
    publish(&store, "r2", 1, published("f.a", 1)).await;
    publish(&store, "r3", 0, published("f.a", 0)).await;
    let newest = &store.datasets().await.unwrap()[0];
    assert_eq!((newest.version, newest.run_id.as_str()), (Some(1), "r2"));
    assert_eq!(store.versions("f.a").await.unwrap()[0].run_id, "r1");
}

async fn durations_are_learned(world: World) {
    let store = world.open().await;
    for (id, took_ms) in [("r1", 100), ("r2", 300)] {
        let mut driver = Driver::new(&plan(), id);
        driver.create(&store).await;
        driver.fact(started("a", 1));
        driver.now += took_ms - 10;
        driver.fact(succeeded("a", 1, published("f.a", 0)));
        driver.fact(Event::RunClosed { state: RunState::Failed, error: None }).append(&store).await.unwrap();
    }
    assert_eq!(store.durations("f").await.unwrap(), [("a".to_string(), 100)].into());
    assert!(store.durations("g").await.unwrap().is_empty());
    assert_eq!(store.head("r9").await.unwrap_err().kind, Kind::NotFound);
}
