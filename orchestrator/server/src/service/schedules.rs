//! Schedules: times come up and get their runs, once each, whatever crashes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use flow::Time;
use flow::schedule::{Schedule, Standing};
use store::{Kind, Origin, Scheduled};

use super::flows::Flow;
use super::{Order, Service, Told, Trouble};
use crate::journal::Ledger;

/// How often schedules are looked at, at least: flows, clocks and other services change.
const LOOK_MS: Time = 500;

/// How long a flow is left alone whose run could not be made.
const TROUBLE_MS: Time = 30_000;

/// Until when nothing comes up for a flow, so that calendars are not asked the same again and again.
#[derive(Default)]
struct Rests(HashMap<String, Rest>);

struct Rest {
    flow: Arc<Flow>,
    handled: Time,
    until: Time,
}

impl Rests {
    fn until(&mut self, flow: &Arc<Flow>, schedule: &Schedule, standing: Scheduled) -> Time {
        let handled = standing.handled;
        let known = self.0.get(&flow.name).filter(|rest| Arc::ptr_eq(&rest.flow, flow) && rest.handled == handled);
        if let Some(rest) = known {
            return rest.until;
        }
        let until = schedule.next_due(&flow.name, handled).unwrap_or(Time::MAX);
        self.0.insert(flow.name.clone(), Rest { flow: flow.clone(), handled, until });
        until
    }

    fn forget_all_but(&mut self, standings: &HashMap<String, Scheduled>) {
        self.0.retain(|flow, _| standings.contains_key(flow));
    }
}

impl<S: Ledger> Service<S> {
    pub(super) async fn keep_schedules(self: Arc<Self>) {
        // Flows whose last run could not be made, and until when they are left alone.
        let mut troubled: HashMap<String, Time> = HashMap::new();
        let mut rests = Rests::default();
        let mut standings = HashMap::new();
        let mut read_at = 0;
        loop {
            let now = self.clock.now();
            troubled.retain(|_, until| *until > now);
            if now >= read_at {
                read_at = now + LOOK_MS;
                standings = match self.store.schedules().await {
                    Ok(standings) => standings,
                    Err(error) => {
                        tracing::warn!("failed to {error}");
                        self.clock.until(read_at).await;
                        continue;
                    }
                };
                rests.forget_all_but(&standings);
            }
            let mut next = read_at;
            let mut due = vec![];
            for flow in self.flows.all() {
                let Some(schedule) = flow.schedule.as_ref().filter(|_| !troubled.contains_key(&flow.name)) else {
                    continue;
                };
                let standing = standings.get(&flow.name);
                match standing.map(|standing| rests.until(&flow, schedule, *standing)).filter(|until| *until > now) {
                    Some(until) => next = next.min(until),
                    None => due.push(flow),
                }
            }
            // Each server in an order of its own: several would else make the same run at the same moment.
            due.sort_by_cached_key(|flow| self.lot(&flow.name));
            for flow in due {
                let Some(schedule) = &flow.schedule else { continue };
                match self.look_at(&flow, schedule, &mut standings).await {
                    Ok(due) => next = next.min(due.unwrap_or(Time::MAX)),
                    Err(Trouble::Store(error)) => tracing::warn!("failed to {error}"),
                    Err(Trouble::Flow(_, Told { message, .. })) => {
                        tracing::warn!("flow `{}`: {message}; trying again in {} s", flow.name, TROUBLE_MS / 1_000);
                        troubled.insert(flow.name.clone(), now + TROUBLE_MS);
                    }
                }
            }
            self.clock.until(next.max(now + 10)).await;
        }
    }

    /// A number for a flow, other ones at other servers.
    fn lot(&self, flow: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.name, flow).hash(&mut hasher);
        hasher.finish()
    }

    /// Decides what has come up for one flow, whose standing is then as the store has it. Answers when something may
    /// come up next.
    async fn look_at(
        &self,
        flow: &Arc<Flow>,
        schedule: &Schedule,
        standings: &mut HashMap<String, Scheduled>,
    ) -> Result<Option<Time>, Trouble> {
        let now = self.clock.now();
        standings.remove(&flow.name);
        let Some(standing) = self.store.schedule(&flow.name).await? else {
            self.store.begin_schedule(&flow.name, schedule.begins(now)).await?;
            return Ok(Some(now));
        };
        standings.insert(flow.name.clone(), standing);
        let due = schedule.next_due(&flow.name, standing.handled);
        if due.is_none_or(|due| due > now) {
            return Ok(due);
        }
        let (handled, paused) = (standing.handled, standing.paused && !planted!(PauseIgnored));
        let busy = !paused && self.store.schedule_is_busy(&flow.name).await? && !planted!(OverlapIgnored);
        let situation = Standing { handled, busy, paused, up_since: self.up_since };
        let Some(turn) = schedule.turn(&flow.name, situation, now) else { return Ok(None) };
        if planted!(TimeDecidedFirst) {
            self.store.advance_schedule(&flow.name, standing.handled, turn.handled).await?;
        }
        let step = (standing.handled, turn.handled);
        match turn.run {
            // In one commit: no crash leaves one without the other, and of two servers one makes the run.
            Some(time) => {
                let order = Order { logical_time: Some(time), ..Order::default() };
                let origin = if planted!(ScheduledTwice) { Origin::Service } else { Origin::Schedule };
                match self.make_in_turn(flow, &order, origin, Some(step)).await {
                    Err(Trouble::Store(error)) if error.kind == Kind::Conflict => return Ok(Some(now)),
                    Ok((run_id, true)) => {
                        let late = self.clock.now().saturating_sub(schedule.due(&flow.name, time));
                        telemetry::scheduled(&flow.name, late);
                        tracing::info!("flow `{}`: run {run_id} for {}", flow.name, flow::view::rfc3339(time));
                        return Ok(Some(now));
                    }
                    made => made.map(drop)?,
                }
            }
            None => tracing::info!("flow `{}`: times up to {} pass", flow.name, flow::view::rfc3339(turn.handled)),
        }
        self.store.advance_schedule(&flow.name, step.0, step.1).await?;
        Ok(Some(now))
    }
}
