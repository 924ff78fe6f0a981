//! A healthy store has no findings; every kind of damage is found.

use flow::run::{Event, RunState};

use crate::world::{Driver, World, plan, published, started, succeeded};

crate::on_both!(a_healthy_store_has_no_findings, damage_is_found);

/// A run with a retry, a publish, a cancel and an end.
async fn history(store: &store::Store, run_id: &str) {
    let mut driver = Driver::new(&plan(), run_id);
    driver.create(store).await;
    driver.fact(started("a", 1)).append(store).await.unwrap();
    driver.fact(succeeded("a", 1, published("f.a", 0))).fact(started("b", 1)).append(store).await.unwrap();
    driver.fact(Event::CancelRequested { by: "ann".into() }).append(store).await.unwrap();
    driver.fact(Event::RunClosed { state: RunState::Cancelled, error: Some("ann".into()) });
    driver.append(store).await.unwrap();
}

async fn a_healthy_store_has_no_findings(world: World) {
    let store = world.open().await;
    history(&store, "r1").await;
    let mut open = Driver::new(&plan(), "r2");
    open.create(&store).await;
    open.fact(started("a", 1)).append(&store).await.unwrap();
    store.request_cancel("r2", "ann", 5).await.unwrap();
    assert_eq!(store.fsck().await.unwrap(), []);
}

async fn damage_is_found(world: World) {
    let again = |name: &str, seq: u32| {
        format!(
            "insert into events select run_id, {seq}, at, event from events where event like '%\"{name}\"%' and run_id = 'r1'"
        )
    };
    let damage = [
        ("gap", "delete from events where seq = 3 and run_id = 'r1'".to_owned()),
        ("projection", "update runs set state = 'failed' where run_id = 'r1'".to_owned()),
        ("projection", "update tasks set attempts = 9 where run_id = 'r1' and task = 'a'".to_owned()),
        ("projection", "delete from tasks where run_id = 'r1' and task = 'b'".to_owned()),
        ("projection", "update runs set seq = 99 where run_id = 'r1'".to_owned()),
        ("closed-lease", "insert into leases (run_id, holder, expires_at) values ('r1', 'x', 1)".to_owned()),
        ("succeeded-twice", again("task_succeeded", 9)),
        ("closed-twice", again("run_closed", 9)),
        ("no-beginning", "delete from events where seq = 1 and run_id = 'r1'".to_owned()),
        ("unreadable", "update events set event = '{' where seq = 3 and run_id = 'r1'".to_owned()),
        ("no-run", "delete from runs where run_id = 'r1'".to_owned()),
        (
            "token",
            "update events set event = (select event from events where run_id = 'r0' and seq = 3) where run_id = 'r1' and seq = 3".to_owned(),
        ),
    ];
    let tables = ["events", "runs", "tasks", "leases", "tokens", "datasets", "versions"];
    let store = world.open().await;
    for (kind, sql) in damage {
        history(&store, "r0").await;
        history(&store, "r1").await;
        world.meddle(&sql);
        let findings = store.fsck().await.unwrap();
        assert!(findings.iter().any(|it| it.kind == kind && it.run_id.as_deref() == Some("r1")), "{sql}: {findings:?}");
        assert!(findings.iter().all(|it| it.run_id.as_deref() != Some("r0")), "{sql}: {findings:?}");
        world.meddle(&tables.map(|table| format!("delete from {table};")).concat());
    }
}
