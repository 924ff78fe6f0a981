//! A backfill at a server: it knows the times and makes the runs, this command asks for one after the other.

use std::sync::Arc;

use flow::Time;
use flow::api::{Meant, NewRun, Range, Times};
use flow::plan::Plan;
use flow::run::Run;
use flow::view::rfc3339;
use server::abandoned;
use tokio::sync::watch;

use super::{Args, Done, Maker, dry, go, nothing, told};
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::Wanted;
use crate::{following, interrupt, print};

/// What every run is asked for.
pub struct Asked {
    client: Client,
    new: NewRun,
    /// Turns true when nothing more is to be made, and what is under way to be cancelled.
    pub stop: watch::Receiver<bool>,
}

pub async fn run(args: &Args, cx: &Context, client: Client) -> Result<Exit, Error> {
    let new = Wanted::given(args.params.clone(), None).asked(super::super::flow_name(&args.flow)?)?;
    let new = NewRun { once: Some(args.once()), ..new };
    let range = Range { from: rfc3339(args.from), to: rfc3339(args.to), params: new.params.clone(), again: args.again };
    let mut undone: Times = client.post(&["v1", "flows", &new.flow, "times"], &range).await?;
    if undone == Times::default() {
        return nothing(&new.flow, args, cx);
    }
    args.put_in_order(&mut undone);
    if args.dry_run {
        return dry(&undone, cx);
    }
    print::note(&told(&undone, &new.flow));
    let stop = interrupt::listen_to_stop()?;
    let maker = Arc::new(Maker::There(Box::new(Asked { client, new, stop })));
    go(maker, &undone, usize::from(args.parallel), cx.json()).await
}

impl Asked {
    /// Has the run made, unless there is one, and waits for its end.
    pub async fn make(&self, time: Time) -> Result<Done, Error> {
        let new = NewRun { logical_time: Some(rfc3339(time)), ..self.new.clone() };
        loop {
            let key = uuid::Uuid::now_v7().to_string();
            let (Meant { run_id }, is_new) = self.client.post_once(&["v1", "runs"], &key, &new).await?;
            let plan: Plan = self.client.get(&["v1", "runs", &run_id, "plan"], &[]).await?;
            let run = Run::new(Arc::new(plan), &run_id);
            let mut stop = self.stop.clone();
            if is_new {
                return Ok(Done::Ended(Box::new(following::watched(&self.client, run, stop, |_, _| {}).await?)));
            }
            print::note(&format!("{}: run {run_id} is there already, and waited for", rfc3339(time)));
            let run = tokio::select! {
                // Somebody else's run is not ours to cancel.
                Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Done::Left),
                run = following::follow(&self.client, run, |_, _| {}) => run?,
            };
            // When its process died, the time is free again.
            if !abandoned::was(&run) {
                return Ok(Done::Ended(Box::new(run)));
            }
        }
    }
}
