//! Opening a store: the layout, and everything that can be wrong with a place.

use store::{Kind, Store};

use crate::world::World;

crate::on_both!(many_processes_migrate_at_once, a_newer_layout_is_refused);

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
