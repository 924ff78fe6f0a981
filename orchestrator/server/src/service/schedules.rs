//! Schedules: times come up and get their runs, once each, whatever crashes.

use std::collections::HashMap;
use std::sync::Arc;

use flow::Time;
use flow::schedule::{Schedule, Standing};
use store::Origin;

use super::flows::Flow;
use super::{Order, Service};

/// How often schedules are looked at, at least: flows, clocks and other services change.
const LOOK_MS: Time = 500;

/// How long a flow is left alone whose run could not be made.
const TROUBLE_MS: Time = 30_000;

/// Why a turn could not be taken.
pub(crate) enum Trouble {
    /// The store is away: it may be back any moment.
    Store(store::Error),
    /// The flow does not compile or cannot read its sources: somebody has to mend that.
    Flow(String),
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        Trouble::Store(error)
    }
}

impl Service {
    pub(super) async fn keep_schedules(self: Arc<Self>) {
        // Flows whose last run could not be made, and until when they are left alone.
        let mut troubled: HashMap<String, Time> = HashMap::new();
        loop {
            let now = self.clock.now();
            troubled.retain(|_, until| *until > now);
            let mut next = now + LOOK_MS;
            for flow in self.flows.all() {
                let Some(schedule) = flow.schedule.as_ref().filter(|_| !troubled.contains_key(&flow.name)) else {
                    continue;
                };
                match self.look_at(&flow, schedule).await {
                    Ok(due) => next = next.min(due.unwrap_or(Time::MAX)),
                    Err(Trouble::Store(error)) => tracing::warn!("failed to {error}"),
                    Err(Trouble::Flow(error)) => {
                        tracing::warn!("flow `{}`: {error}; trying again in {} s", flow.name, TROUBLE_MS / 1_000);
                        troubled.insert(flow.name.clone(), now + TROUBLE_MS);
                    }
                }
            }
            self.clock.until(next.max(now + 10)).await;
        }
    }

    /// Decides what has come up for one flow. Answers when something may come up next.
    async fn look_at(&self, flow: &Arc<Flow>, schedule: &Schedule) -> Result<Option<Time>, Trouble> {
        let now = self.clock.now();
        let Some(standing) = self.store.schedule(&flow.name).await? else {
            self.store.begin_schedule(&flow.name, schedule.begins(now)).await?;
            return Ok(Some(now));
        };
        let due = schedule.next_due(&flow.name, standing.handled);
        if standing.paused || due.is_none_or(|due| due > now) {
            return Ok(due.filter(|_| !standing.paused));
        }
        let busy = self.store.schedule_is_busy(&flow.name).await?;
        let situation = Standing { handled: standing.handled, busy, up_since: self.up_since };
        let Some(turn) = schedule.turn(&flow.name, situation, now) else { return Ok(None) };
        match turn.run {
            // The run comes first: its logical time is unique, so a crash in between makes no second one.
            Some(time) => {
                let order = Order { logical_time: Some(time), ..Order::default() };
                let (run_id, _) = self.make(flow, &order, Origin::Schedule).await?;
                tracing::info!("flow `{}`: run {run_id} for {}", flow.name, flow::view::rfc3339(time));
            }
            None => tracing::info!("flow `{}`: times up to {} pass", flow.name, flow::view::rfc3339(turn.handled)),
        }
        self.store.advance_schedule(&flow.name, standing.handled, turn.handled).await?;
        Ok(Some(now))
    }
}
