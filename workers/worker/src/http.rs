//! The tie to a server on another machine: JSON over HTTP, tried again for as long as it takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flow::wire::{
    Assignment, AttemptId, Beat, Ending, Handout, Line, Orders, Registration, Report, WIRE, WORKS_MAX, Welcome, Work,
};
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use uuid::Uuid;

use crate::client::{self, Access, Failed};
use crate::pauses::Pauses;
use crate::periods::{ANSWER, BEAT_FIRST, BEAT_MIN, CLAIM_WAIT, MOVE_ON, PATIENCE};
use crate::{Claim, Execute, Link};

/// A worker's tie to a server, or to one of several that share their work.
pub struct Remote {
    access: Access,
    /// The servers. None ends with a slash.
    bases: Vec<String>,
    /// Which of them it works for.
    at: watch::Sender<usize>,
    registration: Registration,
    execute: Arc<dyn Execute>,
    state: Mutex<State>,
    closing: watch::Sender<bool>,
    /// Of two slots that find the worker unknown, one registers it.
    registering: tokio::sync::Mutex<()>,
}

struct State {
    client: Client,
    /// When the server answered last.
    answered: Instant,
    /// What was told last of a server that cannot be worked for now.
    trouble: Option<String>,
    /// The means to stop each attempt that runs here.
    running: HashMap<AttemptId, watch::Sender<bool>>,
    works: BTreeMap<String, Work>,
    lease: Option<Duration>,
    /// When the server answered last.
    heard: Option<Instant>,
    /// Grows with every registration.
    generation: u64,
}

impl State {
    fn beat(&self, closing: bool, wait: Duration) -> Beat {
        let attempts = self.running.keys().cloned().collect();
        let stopping = self.running.iter().filter(|(_, stop)| *stop.borrow()).map(|(id, _)| id.clone()).collect();
        Beat { attempts, stopping, closing, wait_ms: wait.as_millis() as u64, memory: None }
    }
}

impl Remote {
    /// A worker called `name` for the first of the servers at these URLs that answers, and for the next one when that
    /// is silent for a while.
    ///
    /// # Errors
    /// There is no URL, or what is wrong with one, the token, or the certificates that are to be trusted.
    pub fn new(
        servers: &[&str],
        access: Access,
        name: String,
        slots: usize,
        labels: BTreeMap<String, String>,
        execute: Arc<dyn Execute>,
    ) -> Result<Self, String> {
        let bases = servers.iter().map(|server| client::base(server)).collect::<Result<Vec<_>, _>>()?;
        if bases.is_empty() {
            return Err("there is no server to work for".to_owned());
        }
        let client = access.client()?;
        let instance = Uuid::now_v7().to_string();
        let registration = Registration { wire: WIRE, worker: name, slots, labels, instance, lake: None };
        let (closing, at) = (watch::Sender::new(false), watch::Sender::new(0));
        let state = State {
            client,
            answered: Instant::now(),
            trouble: None,
            running: HashMap::new(),
            works: BTreeMap::new(),
            lease: None,
            heard: None,
            generation: 0,
        };
        let (state, registering) = (Mutex::new(state), tokio::sync::Mutex::default());
        Ok(Remote { access, bases, at, registration, execute, state, closing, registering })
    }

    /// Takes no more work, and lets the server know.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        self.beat_once(Duration::ZERO).await;
    }

    /// Says goodbye: what still runs here is given to others.
    pub async fn leave(&self) {
        if self.state().lease.is_none() {
            return;
        }
        let _ = self.post::<_, serde_json::Value>("leave", &serde_json::json!({}), PATIENCE).await;
    }

    /// Keeps saying that this worker is there, and stops what it is told to. Ends when it is dropped.
    pub async fn beat(&self) {
        loop {
            let next = match self.beat_once(self.pause()).await {
                // The server has waited.
                true => BEAT_MIN,
                false => self.pause(),
            };
            tokio::time::sleep(next).await;
        }
    }

    /// Says that this worker is there, and waits at the server for something to stop. False if there was no answer.
    async fn beat_once(&self, wait: Duration) -> bool {
        let known = self.state().generation;
        if self.state().lease.is_none() {
            // Under this name somebody else may be there.
            if !*self.closing.borrow()
                && let Err(Failed::Refused(error) | Failed::Away(error)) = self.register(known).await
            {
                self.tell(&error);
            }
            // What it is given is to be heard of at once.
            return self.state().lease.is_some();
        }
        let beat = Beat { memory: self.execute.memory(), ..self.state().beat(*self.closing.borrow(), wait) };
        match self.post::<_, Orders>("beat", &beat, wait + ANSWER).await {
            Ok(Some(orders)) => {
                self.state().heard = Some(Instant::now());
                self.stop(&orders.stop);
                return true;
            }
            Ok(None) => {}
            Err(Failed::Unknown) => return self.register(known).await.is_ok(),
            Err(Failed::Refused(error) | Failed::Away(error)) => {
                self.tell(&error);
                self.give_up();
            }
        }
        false
    }

    /// A server that was away for a lease has given to others what runs here, or is gone and another did.
    fn give_up(&self) {
        let state = self.state();
        let Some((lease, heard)) = state.lease.zip(state.heard) else { return };
        if heard.elapsed() > lease && state.running.values().any(|stop| !*stop.borrow()) {
            tracing::warn!("what was under way is stopped: no answer for {} s", lease.as_secs());
            state.running.values().for_each(|stop| _ = stop.send_replace(true));
        }
    }

    /// Between two beats, several of which fit into a lease, so that one that gets lost costs nothing.
    fn pause(&self) -> Duration {
        self.state().lease.map_or(BEAT_FIRST, |lease| lease / 4)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server that it works for.
    fn base(&self) -> &str {
        &self.bases[*self.at.borrow()]
    }

    /// Turns to the next server when the present one has given no answer for long enough.
    fn move_on(&self) {
        let mut state = self.state();
        if self.bases.len() > 1 && state.answered.elapsed() > MOVE_ON {
            (state.answered, state.lease) = (Instant::now(), None);
            self.at.send_modify(|at| *at = (*at + 1) % self.bases.len());
            tracing::info!("turning to {}", self.base());
        }
    }

    fn client(&self) -> Client {
        self.state().client.clone()
    }

    /// Says what is wrong, once until it is something else.
    fn tell(&self, trouble: &str) {
        let told = self.state().trouble.replace(trouble.to_owned());
        if told.as_deref() != Some(trouble) {
            tracing::warn!("{trouble}; trying again until that is over");
        }
    }

    /// Whoever gives this worker another token changes a file, which is read again here.
    fn renew(&self) -> Result<(), String> {
        if self.access.token_file.is_some() {
            let client = self.access.client()?;
            self.state().client = client;
        }
        Ok(())
    }

    fn stop(&self, attempts: &[AttemptId]) {
        let state = self.state();
        for stop in attempts.iter().filter_map(|id| state.running.get(id)) {
            stop.send_replace(true);
        }
    }

    /// Makes this worker known, unless it has been since the time `known`. What it was doing before is not its business
    /// any more.
    async fn register(&self, known: u64) -> Result<(), Failed> {
        let _one_at_a_time = self.registering.lock().await;
        if self.state().generation != known {
            return Ok(());
        }
        let request = self.client().post(format!("{}/v1/workers", self.base())).timeout(PATIENCE);
        let registration = Registration { lake: self.execute.lake(), ..self.registration.clone() };
        let welcome: Option<Welcome> = self.read(request.json(&registration).send().await).await?;
        let mut state = self.state();
        state.generation += 1;
        state.heard = Some(Instant::now());
        state.lease = welcome.map(|welcome| Duration::from_millis(welcome.lease_ms));
        for stop in state.running.values() {
            stop.send_replace(true);
        }
        tracing::info!("registered at {} with {} slots", self.base(), self.registration.slots);
        Ok(())
    }

    /// `None`: the server had nothing to say.
    async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        what: &str,
        body: &Q,
        patience: Duration,
    ) -> Result<Option<A>, Failed> {
        let url = format!("{}/v1/workers/{}/{what}", self.base(), self.registration.worker);
        self.read(self.client().post(url).timeout(patience).json(body).send().await).await
    }

    async fn read<A: DeserializeOwned>(&self, response: reqwest::Result<Response>) -> Result<Option<A>, Failed> {
        let away =
            |error: reqwest::Error| Failed::Away(format!("{} does not answer: {}", self.base(), client::cause(&error)));
        let response = response.map_err(away).inspect_err(|_| self.move_on())?;
        self.state().answered = Instant::now();
        if response.status().is_success() && self.state().trouble.take().is_some() {
            tracing::info!("{} answers again", self.base());
        }
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            status if status.is_success() => response.json().await.map(Some).map_err(away),
            StatusCode::GONE => Err(Failed::Unknown),
            status => {
                let said: serde_json::Value = response.json().await.unwrap_or_default();
                let told = ["detail", "hint"].into_iter().filter_map(|part| said[part].as_str()).collect::<Vec<_>>();
                let error = format!("{} says {status}: {}", self.base(), told.join("; "));
                let passes = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
                Err(match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        let wanted = format!("{error}; a token with the scope `work` is needed");
                        Failed::Away(self.renew().err().unwrap_or(wanted))
                    }
                    status if passes.contains(&status) => Failed::Away(error),
                    _ => Failed::Refused(error),
                })
            }
        }
    }

    async fn try_claim(&self) -> Result<Option<Claim>, Failed> {
        let (lease, known) = {
            let state = self.state();
            (state.lease, state.generation)
        };
        if lease.is_none() {
            self.register(known).await?;
            return Ok(None);
        }
        let wait = serde_json::json!({ "wait_ms": CLAIM_WAIT.as_millis() as u64 });
        let handout = match self.post::<_, Handout>("claim", &wait, CLAIM_WAIT + PATIENCE).await {
            Err(Failed::Unknown) => {
                self.register(known).await?;
                return Ok(None);
            }
            handout => handout?,
        };
        let Some(handout) = handout else { return Ok(None) };
        let (stop, stopped) = watch::channel(false);
        let work = self.work(&handout.run_id, handout.work).await?;
        let Some(task) = work.plan.tasks.get(handout.task) else {
            return Err(Failed::Refused(format!("run {} has no task number {}", handout.run_id, handout.task)));
        };
        let (run_id, attempt) = (handout.run_id.clone(), handout.attempt);
        self.state().running.insert(AttemptId { run_id, task: task.name.clone(), attempt }, stop);
        let assignment = Assignment {
            run_id: handout.run_id,
            plan: work.plan,
            pins: work.pins,
            task: handout.task,
            attempt,
            token: handout.token,
            versions: handout.versions,
            force: handout.force,
        };
        Ok(Some(Claim { assignment, stop: stopped }))
    }

    /// What all attempts of a run share: what came with this one, or before, or is asked for.
    async fn work(&self, run_id: &str, sent: Option<Work>) -> Result<Work, Failed> {
        let kept = self.state().works.get(run_id).cloned();
        let work = match sent.or(kept) {
            Some(work) => work,
            None => self.ask_for_work(run_id).await?,
        };
        let works = &mut self.state().works;
        if !works.contains_key(run_id) {
            // Ids begin with the time, so the first is the oldest. This one is needed now, however old it is.
            while works.len() >= WORKS_MAX {
                works.pop_first();
            }
            works.insert(run_id.to_owned(), work.clone());
        }
        Ok(work)
    }

    async fn ask_for_work(&self, run_id: &str) -> Result<Work, Failed> {
        let url = format!("{}/v1/runs/{run_id}/work", self.base());
        let work = self.read(self.client().get(url).timeout(PATIENCE).send().await).await?;
        work.ok_or_else(|| Failed::Refused(format!("{} has no plan of run {run_id}", self.base())))
    }
}

#[async_trait]
impl Link for Remote {
    async fn claim(&self) -> Option<Claim> {
        let (mut closing, mut at) = (self.closing.subscribe(), self.at.subscribe());
        let mut pauses = Pauses::default();
        loop {
            let claimed = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return None,
                // What was asked of the server before is of no use any more.
                Ok(()) = at.changed() => continue,
                claimed = self.try_claim() => claimed,
            };
            match claimed {
                Ok(Some(claim)) => return Some(claim),
                Ok(None) => pauses = Pauses::default(),
                Err(Failed::Unknown) => pauses.next().await,
                Err(Failed::Refused(error) | Failed::Away(error)) => {
                    self.tell(&error);
                    pauses.next().await;
                }
            }
        }
    }

    async fn report(&self, run_id: &str, task: &str, attempt: u32, ending: Ending) {
        let id = AttemptId { run_id: run_id.to_owned(), task: task.to_owned(), attempt };
        let report = Report { id: id.clone(), ending };
        let mut pauses = Pauses::default();
        loop {
            match self.post::<_, serde_json::Value>("report", &report, PATIENCE).await {
                // A server that does not know the worker has given the attempt to somebody else.
                Ok(_) | Err(Failed::Unknown) => break,
                Err(Failed::Refused(error)) => {
                    tracing::error!("the report on `{task}` of run {run_id} is lost: {error}");
                    break;
                }
                Err(Failed::Away(error)) => {
                    self.tell(&error);
                    pauses.next().await;
                }
            }
        }
        self.state().running.remove(&id);
    }

    async fn log(&self, lines: Vec<Line>) {
        let mut pauses = Pauses::default();
        for _ in 0..3 {
            match self.post::<_, serde_json::Value>("log", &lines, PATIENCE).await {
                Err(Failed::Away(_)) => pauses.next().await,
                Err(Failed::Refused(_)) => break,
                Ok(_) | Err(Failed::Unknown) => return,
            }
        }
        tracing::warn!("{} lines of log are lost: {} does not take them", lines.len(), self.base());
    }
}
