//! An append that is under way while its driver loses the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::run::Event;
use flow::wire::Pins;
use store::NewRun;

use crate::world::{Driver, World, new_run, plan, started};

/// Every append takes a second from here on, between its first change and its commit.
const SLOW: &str = "
create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end';
create trigger slow after insert on events execute function slow()";

const UNDER_WAY: &str = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_waits_for_it_and_reads_it() {
    let Some(world) = World::postgres() else { return };
    let store = Arc::new(world.open().await);
    let mut driver = Driver::new(&plan(), "r1");
    driver.fact(Event::RunCreated).fact(Event::RunStarted);
    driver.create_as(&store, &NewRun { lease: Some(("me", 1)), ..new_run(&Pins::default()) }).await;
    world.meddle(SLOW);
    driver.fact(started("a", 1));
    let (late, batch, writer) = (driver.run.clone(), driver.batch(), store.clone());
    let append = tokio::spawn(async move { writer.append_as("me", &late, batch).await });
    let began = Instant::now();
    while world.meddle(UNDER_WAY).trim() == "0" {
        assert!(began.elapsed() < Duration::from_secs(30) && !append.is_finished(), "the append is not slow");
    }

    assert!(store.acquire("r1", "you", 60_000).await.unwrap(), "its lease had expired");
    let seen = store.tail("r1", 0).await.unwrap();
    let appended = append.await.unwrap().unwrap();
    assert_eq!(seen.last(), appended.last(), "it came after the takeover had read the journal");
}
