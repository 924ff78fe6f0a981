//! Runs that are over, done again.

use std::sync::Arc;
use std::time::SystemTime;

use flow::plan::Plan;
use flow::run::{self, Event, Run};
use flow::{name, trace, value};
use store::{Key, Kind, Loaded, NewRun, Origin};

use super::{Order, Service, Trouble};

impl Service {
    /// Makes a run that does what did not succeed in a run that is over, and the tasks in `from` with all that come
    /// after them. Answers its id, or that of the run of the same key, and whether it is new.
    ///
    /// # Errors
    /// There is no such run or task, the run is not over, or the flow of today does not compile.
    pub(crate) async fn again(
        &self,
        run_id: &str,
        from: &[String],
        key: Option<&Key>,
    ) -> Result<(String, bool), Trouble> {
        let Loaded { head, plan, pins: before, records } = self.store.load(run_id).await?;
        let earlier = Run::replay(Arc::new(plan), run_id, &records);
        if !earlier.state().is_terminal() {
            return Err(refused(Kind::Refused, format!("do run {run_id} again: it is not over"), None));
        }
        let began = SystemTime::now();
        let plan = self.plan_of_today(earlier.plan()).await?;
        let pins = self.compile.pin(&plan).await?;
        let unknown = |task: &str| {
            let near = name::suggest(task, plan.tasks.iter().map(|task| task.name.as_str()));
            refused(Kind::NotFound, format!("find task `{task}` in flow `{}`", plan.flow), near)
        };
        let adopted = run::adopt(&earlier, &before, &plan, &pins, from).map_err(unknown)?;
        let adopt = |(task, outcome)| Event::TaskSucceeded { task, attempt: 0, outcome: Box::new(outcome) };
        let facts = [Event::RunCreated, Event::RunStarted].into_iter().chain(adopted.into_iter().map(adopt));
        let force = head.force || !from.is_empty();
        let new = NewRun { force, retry_of: Some(run_id), key, ..NewRun::of(&pins, self.clock.now(), Origin::Service) };
        let (compiled, flow) = ((began, SystemTime::now()), plan.flow.clone());
        let (new_id, is_new) = self.record(plan, &new, facts).await?;
        if is_new {
            telemetry::compiled(&new_id, &flow, compiled, [trace::place(run_id)]);
        }
        Ok((new_id, is_new))
    }

    /// The run that a request of this key has made before.
    pub(crate) async fn asked_before(&self, key: Option<&Key>) -> Result<Option<String>, store::Error> {
        match key {
            Some(key) => self.store.keyed(key).await,
            None => Ok(None),
        }
    }

    /// The flow as it is now, for what the run was asked for; as the run had it if the flow is not known here.
    async fn plan_of_today(&self, plan: &Plan) -> Result<Plan, Trouble> {
        let Some(flow) = self.flow(&plan.flow) else { return Ok(plan.clone()) };
        let (params, select) = (value::texts(&plan.params), plan.selection.clone());
        let order = Order { params, select, logical_time: plan.logical_time, ..Order::default() };
        self.compile.plan(&flow.written, &order).await
    }
}

fn refused(kind: Kind, message: String, hint: Option<String>) -> Trouble {
    Trouble::Store(store::Error { kind, message, hint })
}
