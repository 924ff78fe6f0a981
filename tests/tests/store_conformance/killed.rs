//! A process that is killed while it appends leaves a journal without gaps that holds all it was promised.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use flow::run::{Event, Record, Run};
use store::{Kind, Store};

use crate::world::{Driver, World, plan};

crate::on_both!(a_killed_writer_leaves_a_prefix);

const SETTING: &str = "FLOWCTL_TEST_WRITE_UNTIL_KILLED";

/// Not a test by itself: what [`a_killed_writer_leaves_a_prefix`] starts and kills.
#[tokio::test]
async fn write_until_killed() {
    let Ok(setting) = std::env::var(SETTING) else { return };
    let store = Store::open(&setting).await.unwrap();
    let loaded = store.load("r1").await.unwrap();
    let run = Run::replay(loaded.plan.into(), "r1", &loaded.records);
    let mut seq = loaded.head.seq;
    loop {
        let record =
            |seq| Record { run_id: "r1".into(), seq, at: seq, event: Event::CancelRequested { by: "x".into() } };
        store.append(&run, (seq + 1..=seq + 7).map(record).collect()).await.unwrap();
        seq += 7;
        println!("durable {seq}");
    }
}

async fn a_killed_writer_leaves_a_prefix(world: World) {
    let store = world.open().await;
    let mut driver = Driver::new(&plan(), "r1");
    driver.create(&store).await;
    driver.fact(Event::CancelRequested { by: "x".into() }).append(&store).await.unwrap();
    store.close().await;
    for round in 0..5 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::write_until_killed", "--nocapture"])
            .env(SETTING, &world.setting)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let promised =
            lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("durable ")?.1.parse::<u64>().ok());
        let last = promised.take(3 + round).last().unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();

        let store = world.open().await;
        let records = settled(&store).await;
        assert!(records.len() as u64 >= last, "promised {last}, found {}", records.len());
        assert!((records.len() - 3).is_multiple_of(7), "half a batch: {} events", records.len());
        assert_eq!(store.fsck().await.unwrap(), []);
        store.close().await;
    }
}

/// The journal once the database has noticed that the writer is gone: an append that waited for the
/// writer's last transaction has seen it end.
async fn settled(store: &Store) -> Vec<Record> {
    let loaded = store.load("r1").await.unwrap();
    let run = Run::replay(loaded.plan.into(), "r1", &loaded.records);
    let error = store.append(&run, vec![Record { seq: 1, ..loaded.records[0].clone() }]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Conflict, "{error}");
    store.tail("r1", 0).await.unwrap()
}
