//! The same random events go into both databases; everything that can be read back is the same.

use std::collections::BTreeMap;

use flow::run::{Command, Event, Record, RunState};
use flow::wire::{Ending, Failure, Outcome, Pins};
use store::{Line, NewRun, Store};

use crate::world::{Driver, World, new_run, plan, published};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn ending(&mut self, dataset: &str) -> Ending {
        let version = self.roll(9);
        match self.roll(6) {
            0 => Ending::Failed(Failure::external("a \u{0} b \u{1F4A5} 'c' \"d\" \\").retryable()),
            1 => Ending::Failed(Failure::user("no")),
            2 => Ending::Skipped("exit code 99".into()),
            3 => Ending::Succeeded(Outcome { cached: true, ..published(dataset, version) }),
            _ => Ending::Succeeded(published(dataset, version)),
        }
    }
}

/// Plays one run into every store, in batches of random size.
async fn play(dice: &mut Dice, number: u64, stores: &[Store]) {
    let mut plan = plan();
    plan.flow = ["f", "G", "_h"][usize::try_from(number % 3).unwrap()].into();
    plan.tasks[0].retry.attempts_max = 3;
    let mut driver = Driver::new(&plan, &format!("{number:04}"));
    driver.fact(Event::RunCreated).fact(Event::RunStarted);
    let pins = Pins::default();
    let new = NewRun { created_at: 1_000 + dice.roll(50), ..new_run(&pins) };
    let mut driver_of = vec![];
    for store in stores {
        let mut copy = driver.clone();
        copy.create_as(store, &new).await;
        driver_of.push(copy);
    }
    let mut driver = driver_of.pop().unwrap();
    while !driver.run.state().is_terminal() {
        if dice.roll(30) == 0 && driver.run.cancelled_by().is_none() {
            driver.fact(Event::CancelRequested { by: "ann".into() });
        }
        driver.now += dice.roll(5_000);
        for command in driver.run.next(driver.now, 2) {
            if let Some(event) = driver.run.recorded(&command, "w") {
                driver.fact(event);
            } else if let Command::Stop { task, attempt } = command {
                driver.fact(Event::TaskCancelled { task: plan.tasks[task].name.clone(), attempt });
            }
        }
        let first = driver.run.running().next();
        if let Some((task, attempt)) = first {
            let name = plan.tasks[task].name.clone();
            let dataset = plan.tasks[task].output.as_ref().map_or_else(String::new, |output| output.dataset.clone());
            let ending = dice.ending(&dataset);
            let event = driver.run.reported(&name, attempt, ending);
            driver.fact(event);
        }
        if dice.roll(2) == 0 || driver.run.state().is_terminal() {
            let batch = driver.batch();
            for store in stores {
                store.append(&driver.run, batch.clone()).await.unwrap();
            }
        }
    }
    let line =
        Line { task: "a".into(), attempt: 1, at: driver.now, stream: "stdout".into(), text: format!("\0 {number}") };
    for store in stores {
        store.log(&format!("{number:04}"), &vec![line.clone(); 3]).await.unwrap();
    }
}

/// Everything that a store answers. The publish tokens, which are times, become their rank.
async fn everything(store: &Store) -> Vec<String> {
    let mut told = vec![];
    let heads = store.runs(None, None, 1_000).await.unwrap();
    let mut tokens: BTreeMap<u64, usize> = BTreeMap::new();
    let mut journals: Vec<Vec<Record>> = vec![];
    for head in &heads {
        let loaded = store.load(&head.run_id).await.unwrap();
        told.push(format!("{:?} {:?} {:?}", loaded.head, serde_json::to_string(&loaded.plan), loaded.pins));
        told.push(format!("{:?}", store.logs(&head.run_id, None, 0, 100).await.unwrap()));
        journals.push(loaded.records);
    }
    let token = |record: &mut Record| match &mut record.event {
        Event::TaskStarted { token, .. } => Some(std::mem::take(token)),
        _ => None,
    };
    let mut by_time: Vec<(u64, String)> = vec![];
    for record in journals.iter_mut().flatten() {
        if let Some(token) = token(record).filter(|token| *token > 0) {
            let Event::TaskStarted { task, .. } = &record.event else { unreachable!() };
            by_time.push((token, format!("{} {} {task}", record.run_id, record.seq)));
        }
    }
    by_time.sort_by_key(|(token, what)| (what.rsplit(' ').next().unwrap().to_owned(), *token));
    tokens.extend(by_time.iter().enumerate().map(|(rank, (token, _))| (*token, rank)));
    assert!(tokens.len() > 20, "too few attempts published to prove anything");
    told.extend(by_time.into_iter().map(|(_, what)| what));
    told.push(format!("{journals:?}"));
    for dataset in store.datasets().await.unwrap() {
        told.push(format!("{dataset:?} {:?}", store.versions(&dataset.dataset).await.unwrap()));
        for version in 0..9 {
            told.push(format!("{:?}", store.lineage(&dataset.dataset, version).await.unwrap()));
        }
    }
    for flow in ["f", "G", "_h"] {
        let durations: BTreeMap<_, _> = store.durations(flow).await.unwrap().into_iter().collect();
        told.push(format!("{durations:?} {:?}", store.runs(Some(flow), Some(RunState::Failed), 5).await.unwrap()));
    }
    told.push(format!("{:?}", store.abandoned().await.unwrap()));
    told
}

#[tokio::test]
async fn both_databases_tell_the_same_history() {
    let Some(postgres) = World::postgres() else { return };
    let sqlite = World::sqlite();
    let seed = std::env::var("FLOWCTL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut dice = Dice(seed);
    let stores = [sqlite.open().await, postgres.open().await];
    for number in 0..40 {
        play(&mut dice, number, &stores).await;
    }
    for store in &stores {
        assert_eq!(store.fsck().await.unwrap(), [], "seed {seed}");
    }
    let (one, other) = (everything(&stores[0]).await, everything(&stores[1]).await);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other, "seed {seed}");
    }
    assert_eq!(one.len(), other.len(), "seed {seed}");
}
