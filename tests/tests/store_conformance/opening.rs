//! Opening a store: the layout, and everything that can be wrong with a place.

use flow::plan::Plan;
use flow::run::Event;
use flow::wire::Pins;
use store::{Kind, Store};

use crate::world::{Driver, World, new_run, plan};

crate::on_both!(
    many_processes_migrate_at_once,
    a_newer_layout_is_refused,
    what_older_runs_are_a_part_by_is_read_from_their_plans,
);

async fn many_processes_migrate_at_once(world: World) {
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let setting = world.setting.clone();
        openers.spawn(async move { Store::open(&setting).await.map(|store| store.place().to_string()) });
    }
    for opened in openers.join_all().await {
        opened.unwrap();
    }
}

async fn a_newer_layout_is_refused(world: World) {
    world.open().await.close().await;
    world.meddle("insert into migrations (number) values (9999)");
    let error = Store::open(&world.setting).await.unwrap_err();
    assert_eq!(error.kind, Kind::Newer, "{error}");
    assert!(error.hint.unwrap().contains("a newer flowctl"));
}

async fn what_older_runs_are_a_part_by_is_read_from_their_plans(world: World) {
    let store = world.open().await;
    let part = Plan { selection: Some("+a".to_owned()), ..plan() };
    // PostgreSQL reads no JSON with a NUL in it.
    let odd = Plan { file: "\0".into(), ..part.clone() };
    for (time, plan) in [(1, plan()), (2, part), (3, odd)] {
        let mut driver = Driver::new(&Plan { logical_time: Some(time), ..plan }, &format!("r{time}"));
        driver.fact(Event::RunCreated).create_as(&store, &new_run(&Pins::default())).await;
        driver.succeed(&store).await;
    }
    store.close().await;
    world.meddle(
        "alter table runs drop column selection; alter table servers drop column lake; \
         alter table run_keys drop column request; delete from migrations where number >= 8",
    );
    let done = world.open().await.succeeded_at("f", &serde_json::Map::new(), 0, 2).await.unwrap();
    assert_eq!(done, [1]);
}

/// Opens what cannot be opened, and checks that nothing of the password shows.
async fn refused(setting: &str) -> store::Error {
    let error = Store::open(setting).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("sec") && !shown.contains("ret"), "{shown}");
    assert!(error.hint.is_some(), "{error} says not what to do");
    error
}

#[tokio::test]
async fn an_unreachable_postgres_is_named_without_its_password() {
    let error = refused("postgres://ann:sec-ret@127.0.0.1:1/db").await;
    assert_eq!(error.kind, Kind::Unreachable, "{error}");
    assert!(error.message.contains("postgres://ann@127.0.0.1:1/db"), "{error}");
    let error = refused("postgres://ann:sec-ret@localhost/db?host=/nowhere").await;
    assert_eq!(error.kind, Kind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_password_in_the_wrong_place_is_not_shown() {
    for url in [
        "postgres://ann:12/sec@ret@127.0.0.1/db",
        "postgres://ann:1?sec@ret/db",
        "postgres://ann:1#sec@ret/db",
        "postgres://ann:sec/ret",
    ] {
        assert_eq!(refused(url).await.kind, Kind::Setting, "{url}");
    }
    assert_eq!(refused("mysql://ann:sec@ret/db").await.kind, Kind::Setting);
    assert_eq!(refused("").await.kind, Kind::Setting);
}

#[tokio::test]
async fn files_that_are_no_store_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database, but long enough to look at twice".repeat(50)).unwrap();
    assert_eq!(refused(text.to_str().unwrap()).await.kind, Kind::Corrupt);
    assert_eq!(refused(text.join("below/state.db").to_str().unwrap()).await.kind, Kind::Unwritable);
    assert_eq!(refused(folder.path().to_str().unwrap()).await.kind, Kind::Unwritable);
}

#[tokio::test]
async fn a_path_may_be_written_in_several_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space?.db");
    for setting in
        [format!("{}", path.display()), format!("sqlite:{}", path.display()), format!("sqlite://{}", path.display())]
    {
        Store::open(&setting).await.unwrap().close().await;
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["with space?.db"]);
}
