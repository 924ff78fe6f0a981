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
    let told = |error| Error::new(Exit::Unreachable, format!("failed to listen for signals: {error}"));
    let interrupt = signal(SignalKind::interrupt()).map_err(told)?;
    let terminate = signal(SignalKind::terminate()).map_err(told)?;
    let (ask, asked) = watch::channel(None);
    tokio::spawn(async move {
        let mut signals = (interrupt, terminate);
        let name = next(&mut signals).await;
        ask.send_replace(Some(name.to_owned()));
        next(&mut signals).await;
        // Whatever is left is ended by the next command that writes.
        let _ = tasks::command::end_leftovers(&scratch, &run_id, Duration::ZERO).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(asked)
}

async fn next((interrupt, terminate): &mut (Signal, Signal)) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
