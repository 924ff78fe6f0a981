//! Ctrl-C: once to cancel, twice to leave.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::Error;
use crate::exit::Exit;

/// Tells who asked the run to stop once a signal has. The second signal ends the process at once, and with it
/// the process groups of the run, which would outlive it.
pub fn listen(scratch: PathBuf, run_id: String) -> Result<watch::Receiver<Option<String>>, Error> {
    let mut signals = signals()?;
    let (ask, asked) = watch::channel(None);
    tokio::spawn(async move {
        let name = next(&mut signals).await;
        ask.send_replace(Some(name.to_owned()));
        next(&mut signals).await;
        // Whatever is left is ended by the next command that writes.
        let _ = tasks::command::end_leftovers(&scratch, &run_id, Duration::ZERO).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(asked)
}

/// Turns true at the first signal. The second ends the process at once; what it leaves is taken over by others.
pub fn listen_to_stop() -> Result<watch::Receiver<bool>, Error> {
    let mut signals = signals()?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        next(&mut signals).await;
        stop.send_replace(true);
        next(&mut signals).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stopped)
}

fn signals() -> Result<(Signal, Signal), Error> {
    let told = |error| Error::new(Exit::Unreachable, format!("failed to listen for signals: {error}"));
    Ok((signal(SignalKind::interrupt()).map_err(told)?, signal(SignalKind::terminate()).map_err(told)?))
}

async fn next((interrupt, terminate): &mut (Signal, Signal)) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
