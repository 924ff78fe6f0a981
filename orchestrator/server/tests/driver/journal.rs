//! A store in memory that is less kind than a real one.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use flow::run::{Event, Record, Run};
use server::Journal;
use store::{Created, Error, Kind, NewRun};

/// What happens to one of the next appends.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Another process records this first.
    Overtaken(Event),
    /// It is recorded, but the answer gets lost.
    LostAnswer,
    /// It is not recorded, and the answer gets lost.
    LostQuestion,
    Fails(Kind),
}

#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

/// Says what happens to the next append.
type Whim = Box<dyn FnMut() -> Option<Mood> + Send>;

#[derive(Default)]
pub struct Inner {
    pub records: Vec<Record>,
    pub appends: usize,
    pub moods: VecDeque<Mood>,
    pub whim: Option<Whim>,
    pub lease_lost: bool,
    /// How many slots of each pool others leave.
    pub pools: BTreeMap<String, i64>,
    /// What the run said it waits for.
    pub waiting: BTreeMap<String, i32>,
    /// How many runs of the flow go first.
    pub held_back: usize,
    token: u64,
}

impl Memory {
    pub fn moody(moods: impl IntoIterator<Item = Mood>) -> Self {
        let memory = Memory::default();
        memory.inner().moods.extend(moods);
        memory
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the lock")
    }

    /// What another process does.
    pub fn record(&self, event: Event) {
        self.inner().push(event);
    }

    fn write(&self, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        let mut inner = self.inner();
        let mood = inner.moods.pop_front().or_else(|| inner.whim.as_mut().and_then(|whim| whim()));
        match &mood {
            Some(Mood::Overtaken(event)) => inner.push(event.clone()),
            Some(Mood::LostQuestion) => return Err(error(Kind::Unknown)),
            Some(Mood::Fails(kind)) => return Err(error(*kind)),
            Some(Mood::LostAnswer) | None => {}
        }
        if records[0].seq != inner.records.len() as u64 + 1 {
            return Err(error(Kind::Conflict));
        }
        let records: Vec<Record> = records.into_iter().map(|record| inner.with_token(record)).collect();
        inner.records.extend(records.clone());
        inner.appends += 1;
        match mood {
            Some(Mood::LostAnswer) => Err(error(Kind::Unknown)),
            _ => Ok(records),
        }
    }
}

impl Inner {
    fn push(&mut self, event: Event) {
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record { run_id: "r1".to_owned(), seq, at: 1, event });
    }

    fn with_token(&mut self, mut record: Record) -> Record {
        if let Event::TaskStarted { token, .. } = &mut record.event {
            self.token += 1;
            *token = self.token;
        }
        record
    }
}

fn error(kind: Kind) -> Error {
    Error { kind, message: format!("be kind: {kind:?}"), hint: None }
}

#[async_trait]
impl Journal for Memory {
    async fn create(&self, _: &NewRun<'_>, _: &Run, records: Vec<Record>) -> Result<Created, Error> {
        self.write(records).map(Created::New)
    }

    async fn append(&self, _: &str, _: &Run, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        self.write(records)
    }

    async fn tail(&self, _: &str, after: u64) -> Result<Vec<Record>, Error> {
        Ok(self.inner().records.iter().filter(|record| record.seq > after).cloned().collect())
    }

    async fn renew(&self, _: &str, _: &str, _: u64) -> Result<bool, Error> {
        Ok(!self.inner().lease_lost)
    }

    async fn may_begin(&self, _: &Run) -> Result<bool, Error> {
        Ok(self.inner().held_back == 0)
    }

    async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, Error> {
        let inner = self.inner();
        let free = |pool: &String| inner.pools.get(pool).copied().unwrap_or_default() - run.running().len() as i64;
        Ok(wanted.keys().map(|pool| (pool.clone(), free(pool))).collect())
    }

    async fn wait_for(&self, _: &str, wanted: &BTreeMap<String, i32>, left: &BTreeSet<String>) -> Result<(), Error> {
        let waiting = &mut self.inner().waiting;
        waiting.retain(|pool, _| !left.contains(pool));
        waiting.extend(wanted.clone());
        Ok(())
    }
}
