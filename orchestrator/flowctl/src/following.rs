//! A run at a server, followed to its end: the client folds the run's journal as everybody does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flow::Time;
use flow::api::Meant;
use flow::plan::Plan;
use flow::run::{Record, Run, RunState};
use flow::view::{self, Show};
use reqwest::Response;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::interrupt;
use crate::print::{self, progress::Progress};

/// How long a server may be away before the run is left to itself.
const OUTAGE_MAX: Duration = Duration::from_secs(60);
/// How long a server that is there may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the run, shows how it goes, and tells how it went. The first signal cancels it, the second leaves.
pub async fn to_the_end(cx: &Context, client: &Client, run_id: &str, retry_of: Option<String>) -> Result<Exit, Error> {
    let plan: Plan = client.get(&["v1", "runs", run_id, "plan"], &[]).await?;
    let stop = interrupt::listen_to_stop()?;
    let mut progress = Progress::new(cx.json(), &plan, run_id);
    let run = Run::new(Arc::new(plan), run_id);
    let followed = watched(client, run, stop, |run, records| progress.observe(run, records)).await;
    let durations_ms = if cx.json() { learned(client, run_id).await } else { HashMap::new() };
    progress.finish(retry_of, durations_ms);
    let run = followed?;
    progress.summary(&run)?;
    Ok(match run.state() {
        RunState::Succeeded => Exit::Done,
        RunState::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    })
}

/// How long the run's tasks take, by now. What cannot be learned is left out.
async fn learned(client: &Client, run_id: &str) -> HashMap<String, Time> {
    let show: Result<Show, Error> = client.get(&["v1", "runs", run_id], &[]).await;
    let tasks = show.map(|show| show.tasks).unwrap_or_default();
    tasks.into_iter().filter_map(|task| Some((task.name, task.expected_ms?))).collect()
}

/// Has the server make a run that does again what did not succeed in an earlier one, and follows it.
pub async fn again(cx: &Context, client: &Client, run: &str, from: &[String]) -> Result<Exit, Error> {
    let earlier: Show = client.get(&["v1", "runs", run], &[]).await?;
    let earlier = earlier.head.run_id;
    let (key, wanted) = (uuid::Uuid::now_v7().to_string(), serde_json::json!({ "from": from }));
    let (made, _): (Meant, _) = client.post_once(&["v1", "runs", &earlier, "retry"], &key, &wanted).await?;
    to_the_end(cx, client, &made.run_id, Some(earlier)).await
}

/// Follows the run to its end. Once `stop` turns true, the server is asked to cancel it.
pub async fn watched(
    client: &Client,
    run: Run,
    mut stop: watch::Receiver<bool>,
    observe: impl FnMut(&Run, &[Record]),
) -> Result<Run, Error> {
    let id = run.id().to_owned();
    let mut following = std::pin::pin!(follow(client, run, observe));
    tokio::select! {
        followed = &mut following => return followed,
        Ok(_) = stop.wait_for(|stop| *stop) => {}
    }
    if let Err(error) = client.post::<view::Event>(&["v1", "runs", &id, "cancel"], &()).await {
        print::note(&format!("the run could not be asked to stop: {}", error.message()));
    }
    following.await
}

/// Follows the run to its end, whatever signals say. `observe` hears what has been recorded, with the run as it stands then.
pub async fn follow(client: &Client, mut run: Run, mut observe: impl FnMut(&Run, &[Record])) -> Result<Run, Error> {
    let (mut seq, mut heard) = (0, Instant::now());
    loop {
        let ended = match client.open(&["v1", "runs", run.id(), "live"], &[("after", seq.to_string())]).await {
            Ok(Some(stream)) => {
                listen(client, stream, &mut |records: Vec<Record>| {
                    heard = Instant::now();
                    seq = records.last().map_or(seq, |record| record.seq);
                    // What was told before is stale, and changes nothing.
                    records.iter().for_each(|record| _ = run.apply(record));
                    observe(&run, &records);
                })
                .await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match ended {
            _ if run.state().is_terminal() => return Ok(run),
            Err(error) if heard.elapsed() > OUTAGE_MAX => {
                return Err(error.hint(format!("the run goes on without this command: flowctl show {}", run.id())));
            }
            Err(error @ Error::Told { exit: Exit::Unreachable, .. }) => tracing::debug!("{}", error.message()),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Reads the stream as far as it goes.
async fn listen(client: &Client, mut stream: Response, told: &mut impl FnMut(Vec<Record>)) -> Result<(), Error> {
    let mut text: Vec<u8> = vec![];
    loop {
        let silent = || Error::new(Exit::Unreachable, format!("the server {} has gone silent", client.place()));
        let chunk = timeout(SILENCE_MAX, stream.chunk()).await.map_err(|_| silent())?;
        let Some(chunk) = chunk.map_err(|error| client.away(&error))? else { return Ok(()) };
        text.extend_from_slice(&chunk);
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole: Vec<u8> = text.drain(..=end).collect();
        let records = records(&String::from_utf8_lossy(&whole));
        if !records.is_empty() {
            told(records);
        }
    }
}

/// The events of a stream; whatever else it says, and what is no event, is passed over.
fn records(text: &str) -> Vec<Record> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str::<view::Event>(data.trim_start()).ok()?.record()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_past_what_is_no_event() {
        let text = ": alive\nid: 1\nevent: run_created\ndata: {\"run_id\":\"r\",\"seq\":1,\"at\":\"2026-01-02T03:04:05.678Z\",\
            \"event\":\"run_created\"}\n\nevent: log\ndata: {\"text\":\"x\"}\n\n";
        let [record] = &records(text)[..] else { panic!("one event") };
        assert_eq!((record.seq, record.at), (1, 1_767_323_045_678));
    }
}
