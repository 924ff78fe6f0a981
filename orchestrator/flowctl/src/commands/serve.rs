use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use server::hall::Labels;
use server::retention::Retention;
use server::service::{self, Setup};
use server::{Hall, Tls};
use store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::compiler::Compiler;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::pruning::Pruning;
use crate::slots::{Plant, Workshop};
use crate::{interrupt, local, print};

/// How many connections there may be at a time, whatever the system allows.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a store may be away when the service starts.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// Run flows by their schedules, for as long as this process lives.
///
/// Reads the flows of a folder, again when their files change; an edit that does not compile leaves the last good
/// version in force. Takes over what another server left behind. What is older than `keep` says is removed now and
/// then, see `flowctl prune --help`. The first Ctrl-C or SIGTERM starts nothing new and
/// waits for what is running, the second ends the process at once; either way nothing is lost.
///
/// It has at most half as many connections at a time as files that it may open (`ulimit -n`), and 4,096, of which 200 may
/// follow runs; more are answered 503 and told to try again.
///
/// Once a token was made (`flowctl token create`), every request but `GET /health` must show one. Beyond this machine it
/// listens only with tokens and TLS.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl serve flows/ --slots 8\n  flowctl serve flows/ --listen 0.0.0.0:7300 --tls-cert cert.pem --tls-key key.pem"
)]
pub struct Args {
    /// Flow files, or folders with flow files.
    #[arg(value_name = "FLOWS", default_value = ".")]
    flows: Vec<PathBuf>,
    /// Where the HTTP interface is; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7300")]
    listen: SocketAddr,
    /// The certificate to speak `https://` with, in PEM, the intermediate ones after it. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "FLOWCTL_TLS_CERT", hide_env = true, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", env = "FLOWCTL_TLS_KEY", hide_env = true, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine without tokens or TLS, although others can then read and do everything.
    #[arg(long)]
    insecure: bool,
    /// How long tasks may take to end after the first signal, such as `30s`; then they are left to the next server.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = flow::duration::parse)]
    grace: u64,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    cx.block_on_deciding(async |cores| serve(args, cx, cores).await)?;
    Ok(Exit::Done)
}

async fn serve(args: &Args, cx: &Context, cores: Handle) -> Result<(), Error> {
    let settings = cx.settings()?;
    if let Some(path) = args.flows.iter().find(|path| !path.exists()) {
        return Err(Error::not_found(format!("there is no flow file or folder `{}`", path.display())));
    }
    telemetry::start();
    let tls = certificate(args)?;
    let listener = bind(args.listen).await?;
    let engine = cx.engine_to_work()?;
    local::ready(settings, &engine).await?;
    // Workers elsewhere must find it there.
    engine.mark_lake();
    let store = Arc::new(open(cx).await?);
    refuse_to_be_open(args, &store).await?;
    print::note(&format!("listening on {}://{}", if tls.is_some() { "https" } else { "http" }, listener.1));
    let name = format!("serve/{}", uuid::Uuid::now_v7());
    let hall = Hall::default();
    let plant = Plant { labels: Some(Labels::new()), ..local::plant(cx, &engine, &store, cores.clone())? };
    let workshop = Workshop::open(hall.clone(), &name, plant);
    let (paths, folders) = (args.flows.clone(), local::folders(settings));
    let lake = Arc::new(Pruning { engine: engine.clone(), artifacts: folders.artifacts, cores: cores.clone() });
    let retention = Retention { lake, keep: settings.keep };
    let pools = settings.pools.clone();
    let compile = Arc::new(Compiler { engine, store: store.clone(), cores, paths, scratch: folders.scratch, pools });
    let stop = interrupt::listen_to_stop()?;
    tracing::info!("{} slots in this process", settings.slots);
    let (grace, idle) = (Duration::from_millis(args.grace), hall.clone());
    let drained = async move {
        print::note("nothing new starts; waiting for what is running");
        let over = Instant::now() + grace;
        workshop.close(grace).await;
        // Workers elsewhere finish, too.
        let _ = timeout_at(over, idle.idle()).await;
    };
    let (listener, connections_max) = (listener.0, connections_max());
    let setup = Setup { store, hall, compile, retention, name, listener, tls, connections_max };
    Ok(service::serve(setup, stop, drained).await?)
}

/// Services and databases start in any order.
async fn open(cx: &Context) -> Result<Store, Error> {
    let patience = Instant::now() + STORE_PATIENCE;
    loop {
        match local::open(cx).await {
            Err(Error::Told { exit: Exit::Unreachable, message, .. }) if Instant::now() < patience => {
                tracing::warn!("{message}; trying again");
                sleep(Duration::from_secs(1)).await;
            }
            opened => return opened,
        }
    }
}

/// As many connections as leave files to be opened for everything else.
fn connections_max() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files.and_then(|files| usize::try_from(files / 2).ok());
    half.unwrap_or(CONNECTIONS_MAX).min(CONNECTIONS_MAX)
}

fn certificate(args: &Args) -> Result<Option<Arc<Tls>>, Error> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let tls = Tls::open(certificate.clone(), key.clone());
    let tls = tls.map_err(|why| {
        Error::usage(format!("failed to {why}"))
            .hint("--tls-cert and --tls-key name two files in PEM that belong together")
    })?;
    Ok(Some(Arc::new(tls)))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let told = |error: std::io::Error| {
        Error::new(Exit::Unreachable, format!("failed to listen on {address}: {error}"))
            .hint("`--listen 127.0.0.1:PORT` takes another port, port 0 a free one")
    };
    let listener = TcpListener::bind(address).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    Ok((listener, address))
}

/// Whoever reaches the service can run programs with it.
async fn refuse_to_be_open(args: &Args, store: &Store) -> Result<(), Error> {
    let address = args.listen;
    if args.insecure || address.ip().is_loopback() {
        return Ok(());
    }
    let tokens = store.tokens().await?;
    let lacks = [
        (
            !tokens.all.iter().any(|token| token.is_live(tokens.now)),
            "a token (`flowctl token create NAME --scope admin`)",
        ),
        (args.tls_cert.is_none(), "TLS (`--tls-cert FILE --tls-key FILE`)"),
    ];
    let lacks: Vec<&str> = lacks.iter().filter(|(lacking, _)| *lacking).map(|(_, what)| *what).collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let message = format!("{address} can be reached from elsewhere: that takes {}", lacks.join(" and "));
    Err(Error::usage(message).hint("or listen on 127.0.0.1, or say --insecure in a network that you trust"))
}
