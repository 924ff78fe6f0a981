use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use worker::Remote;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::pair;
use crate::{interrupt, local};

/// Work for a server, from any machine that reaches its lake.
///
/// Takes tasks whose `requires` fit the labels, for as long as this process lives; a server that is away is waited
/// for. Of servers that share a store, --server takes several with commas: the worker turns to the next one when one
/// gives no answer for three seconds. The first Ctrl-C or SIGTERM takes no more work and waits for what is running, the second ends the process at
/// once: what it did is done again elsewhere.
///
/// A server that has tokens wants one with the scope `work`, in the file of --token-file or in FLOWCTL_TOKEN. While it
/// lets nobody in, the worker says so once and goes on trying; the file is read again each time, so that a token can be
/// exchanged without a restart.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl worker --server https://etl.example.org:7300 --token-file token --slots 8 --labels gpu=no,zone=a"
)]
pub struct Args {
    /// What this worker has, for tasks that require it.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Its name, unique among workers. Default: the host's name and the process.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long tasks may take to end after the first signal; then they are left to others.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = flow::duration::parse)]
    grace: u64,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    cx.block_on_deciding(async |cores| work(args, cx, cores).await)?;
    Ok(Exit::Done)
}

async fn work(args: &Args, cx: &Context, cores: Handle) -> Result<(), Error> {
    let server = cx.server_url().ok_or_else(|| {
        Error::usage("a worker needs a server")
            .hint("--server or FLOWCTL_SERVER name it, such as http://127.0.0.1:7300")
    })?;
    let settings = cx.settings()?;
    let engine = cx.engine_to_work()?;
    local::ready(settings, &engine).await?;
    let executor = Arc::new(tasks::Executor::new(engine, cx.lanes(), local::folders(settings)));
    let labels: BTreeMap<String, String> = args.labels.iter().cloned().collect();
    let name = args.name.clone().unwrap_or_else(default_name);
    let servers: Vec<&str> = server.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    let remote = Remote::new(&servers, cx.access(), name, settings.slots, labels, executor.clone());
    let remote = Arc::new(remote.map_err(Error::usage)?);
    let mut stop = interrupt::listen_to_stop()?;
    let beating = remote.clone();
    let beat = tokio::spawn(async move { beating.beat().await });
    let mut working = tokio::spawn(worker::serve(remote.clone(), executor, settings.slots, cores));
    // Fails only if nobody can say stop any more.
    let _ = stop.wait_for(|stop| *stop).await;
    remote.close().await;
    tracing::info!("no more work is taken; waiting for what is running");
    let _ = timeout(Duration::from_millis(args.grace), &mut working).await;
    working.abort();
    beat.abort();
    remote.leave().await;
    Ok(())
}

fn default_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}
