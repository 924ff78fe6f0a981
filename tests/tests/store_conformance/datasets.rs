//! The catalogue, lineage, and what is learned.

use flow::run::{Event, RunState};
use flow::wire::Outcome;
use store::{FileHash, Kind};

use crate::world::{Driver, World, plan, published, started, succeeded};

crate::on_both!(
    a_published_version_knows_its_run_and_columns,
    a_version_met_again_keeps_its_run,
    an_adopted_version_does_not_hide_a_newer_one,
    readers_of_a_column_are_found,
    hashes_of_files_are_remembered,
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
    assert_eq!(newest.columns, plan().tasks[0].output.as_ref().unwrap().columns);
    let versions = store.versions("f.a").await.unwrap();
    assert_eq!(versions.iter().map(|it| (it.version, it.run_id.as_str())).collect::<Vec<_>>(), [(0, "r1"), (1, "r2")]);
    let old = store.lineage("f.a", 0).await.unwrap().unwrap();
    assert_eq!((old.run_id.as_str(), old.columns.len()), ("r1", 2));
    assert_eq!(store.lineage("f.a", 7).await.unwrap(), None);
    assert_eq!(store.versions_at(newest.at).await.unwrap()["f.a"].run_id, "r2");
    assert!(store.versions_at(0).await.unwrap().is_empty());
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

async fn readers_of_a_column_are_found(world: World) {
    let store = world.open().await;
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&store).await;
    driver.fact(started("a", 1)).fact(succeeded("a", 1, published("f.a", 0)));
    driver.fact(started("b", 1)).fact(succeeded("b", 1, published("f.b", 0))).append(&store).await.unwrap();
    let names = async |dataset, column| {
        let readers = store.readers(dataset, column).await.unwrap();
        readers.into_iter().map(|(dataset, column)| format!("{dataset}.{}", column.name)).collect::<Vec<_>>()
    };
    assert_eq!(names("raw", "z").await, ["f.a.y"]);
    assert_eq!(names("f.a", "x").await, ["f.b.x"]);
    assert_eq!(names("f.a", "y").await, [""; 0]);
}

async fn hashes_of_files_are_remembered(world: World) {
    let store = world.open().await;
    assert_eq!(store.file_hash("/a").await.unwrap(), None);
    let file = FileHash { path: "/a".into(), device: u64::MAX, inode: 7, size: 9, changed_ns: -5, hash: "h1".into() };
    store.remember_files(std::slice::from_ref(&file)).await.unwrap();
    let newer = FileHash { hash: "h2".into(), ..file };
    store
        .remember_files(&[newer.clone(), FileHash { path: "/b".into(), ..newer.clone() }, newer.clone()])
        .await
        .unwrap();
    assert_eq!(store.file_hash("/a").await.unwrap(), Some(newer));
    store.remember_files(&[]).await.unwrap();
}

async fn durations_are_learned(world: World) {
    let store = world.open().await;
    for (id, took_ms) in [("r1", 100), ("r2", 300)] {
        let mut driver = Driver::new(&plan(), id);
        driver.create(&store).await;
        driver.fact(started("a", 1));
        driver.now += took_ms - 10;
        driver.fact(succeeded("a", 1, published("f.a", 0))).append(&store).await.unwrap();
    }
    assert_eq!(store.durations("f").await.unwrap(), [("a".to_string(), 200)].into());
    assert!(store.durations("g").await.unwrap().is_empty());
    assert_eq!(store.head("r9").await.unwrap_err().kind, Kind::NotFound);
}
