mod here;
mod there;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use flow::Time;
use flow::api::{Once, Times};
use flow::run::{Run, RunState};
use flow::view::{self, rfc3339};
use server::look;
use server::service::Written;
use server::{Clock, Hall};
use tokio::task::JoinSet;

use crate::compiler::Compiler;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::flow_file::{Flow, Scheduled, Wanted};
use crate::print::{self, human, state, time};
use crate::slots::Workshop;
use crate::{interrupt, local};

/// Run a flow for every time of its schedule in a range.
///
/// Times for which a run with the same parameters has succeeded are left out, so that after an interruption the same
/// command goes on where it was. For a time of which such a run is under way, that one is waited for: two backfills of
/// a range share the work. A run that fails does not hold up the others.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl backfill flows/etl.toml --from 2024-01-01 --to 2024-01-31 --parallel 2 --dry-run"
)]
pub struct Args {
    /// A flow file with a `[schedule]`; at a server, the flow's name.
    flow: PathBuf,
    /// The first logical time that counts: `2024-01-01` (midnight in UTC) or `2024-01-01T06:00:00-05:00`.
    #[arg(long, value_name = "TIME", value_parser = flow::schedule::instant)]
    from: Time,
    /// The last one; a date means to the end of that day in UTC, whatever the zone of the schedule.
    #[arg(long, value_name = "TIME", value_parser = flow::schedule::until)]
    to: Time,
    /// A parameter of the flow; may be given many times.
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = crate::flow_file::pair)]
    params: Vec<(String, String)>,
    /// How many runs may go on at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Which times come first.
    #[arg(long, value_name = "ORDER", default_value = "oldest")]
    order: First,
    /// Run for times that have succeeded, too.
    #[arg(long)]
    again: bool,
    /// Only show the times.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum First {
    Oldest,
    Newest,
}

/// Where the runs of a backfill are made.
enum Maker {
    Here(Box<here::Shared>),
    There(Box<there::Asked>),
}

/// What became of a time.
enum Done {
    /// The run of it has ended, whoever made it.
    Ended(Box<Run>),
    /// A run had succeeded for it before one was made here.
    Before,
    /// Somebody else is at it, and this command was asked to stop.
    Left,
}

impl Maker {
    /// Makes a run, unless there is one, and waits for its end.
    async fn make(&self, time: Time) -> Result<Done, Error> {
        match self {
            Maker::Here(shared) => shared.make(time).await,
            Maker::There(asked) => asked.make(time).await,
        }
    }

    /// Whether somebody asked for the end.
    fn is_stopping(&self) -> bool {
        match self {
            Maker::Here(shared) => shared.cancel.borrow().is_some(),
            Maker::There(asked) => *asked.stop.borrow(),
        }
    }
}

impl Args {
    /// When a run that somebody else has made stands for one of these.
    fn once(&self) -> Once {
        if self.again { Once::UnderWay } else { Once::Done }
    }

    fn put_in_order(&self, undone: &mut Times) {
        if self.order == First::Newest {
            undone.logical_times.reverse();
        }
    }
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    if args.to < args.from {
        return Err(Error::usage("`--to` is before `--from`").hint("exchange the two"));
    }
    if let Some(client) = cx.server()? {
        return cx.block_on(there::run(args, cx, client));
    }
    let flow = Scheduled::read(&args.flow)?;
    let to = args.to.min(time::now());
    if to < args.to {
        print::note("times that are still to come are left to the schedule");
    }
    let times: Vec<Time> = flow.schedule.after(args.from.saturating_sub(1)).take_while(|time| *time <= to).collect();
    if times.is_empty() {
        return nothing(&flow.name, args, cx);
    }
    cx.block_on_deciding(async |cores| {
        let engine = cx.engine_to_work()?;
        // Told here, once: what is wrong with the flow and what it warns of.
        let wanted = Wanted::given(args.params.clone(), times.first().copied());
        let plan = Flow::plan(&engine, &args.flow, &wanted, &cx.settings()?.pools).await?;
        let store = match args.dry_run {
            true => cx.store_if_any().await?,
            false => Some(local::open_to_write(cx).await?),
        };
        let all = || Times { logical_times: times.iter().map(|time| rfc3339(*time)).collect(), left_out: 0 };
        let mut undone = match &store {
            Some(store) => look::undone(store, &plan, &times, args.again).await?,
            None => all(),
        };
        args.put_in_order(&mut undone);
        let Some(store) = store.filter(|_| !args.dry_run) else { return dry(&undone, cx) };
        print::note(&told(&undone, &flow.name));
        let settings = cx.settings()?;
        local::ready(settings, &engine).await?;
        let store = Arc::new(store);
        let hall = Hall::default();
        let workshop = Workshop::open(hall.clone(), "backfill", local::plant(cx, &engine, &store, cores.clone())?);
        let id = uuid::Uuid::now_v7().to_string();
        let cancel = interrupt::listen(local::folders(settings).scratch, id)?;
        let scratch = local::folders(settings).scratch;
        let pools = settings.pools.clone();
        let compiler = Compiler { engine, store: store.clone(), cores, paths: vec![], scratch, pools };
        let text = std::fs::read_to_string(&args.flow).map_err(|error| Error::not_found(error.to_string()))?;
        let written = Written::read(&compiler, &args.flow, text);
        let (params, clock) = (args.params.iter().cloned().collect(), Clock::system());
        let once = args.once();
        let shared = here::Shared { store, compiler, hall, clock, written, params, once, cancel };
        let maker = Maker::Here(Box::new(shared));
        let exit = go(Arc::new(maker), &undone, usize::from(args.parallel), cx.json()).await;
        workshop.close(Duration::ZERO).await;
        exit
    })
}

fn nothing(flow: &str, args: &Args, cx: &Context) -> Result<Exit, Error> {
    match args.dry_run {
        true => dry(&Times::default(), cx),
        false => {
            print::note(&told(&Times::default(), flow));
            Ok(Exit::Done)
        }
    }
}

fn told(undone: &Times, flow: &str) -> String {
    let runs = human::plural(undone.logical_times.len() as u64, "run");
    let left_out = match undone.left_out {
        0 => String::new(),
        done => format!("; {} left out, which have succeeded", human::count(done as u64)),
    };
    format!("{runs} of flow `{flow}`{left_out}")
}

fn dry(undone: &Times, cx: &Context) -> Result<Exit, Error> {
    if cx.json() {
        print::json(undone)?;
        return Ok(Exit::Done);
    }
    use std::io::Write as _;
    let mut out = anstream::stdout().lock();
    for time in &undone.logical_times {
        writeln!(out, "{time}")?;
    }
    print::note(&format!(
        "{} to make, {} left out",
        human::plural(undone.logical_times.len() as u64, "run"),
        human::count(undone.left_out as u64)
    ));
    Ok(Exit::Done)
}

/// Makes the runs, so many at a time, and tells how each ended.
async fn go(maker: Arc<Maker>, undone: &Times, parallel: usize, json: bool) -> Result<Exit, Error> {
    let times: Vec<Time> = undone.logical_times.iter().filter_map(|time| time::parse(time)).collect();
    let (total, mut ended, mut failed) = (times.len(), 0, 0);
    let mut waiting = times.into_iter();
    let mut runs = JoinSet::new();
    loop {
        let stopping = maker.is_stopping();
        while runs.len() < parallel
            && !stopping
            && let Some(time) = waiting.next()
        {
            let maker = maker.clone();
            runs.spawn(async move { (time, maker.make(time).await) });
        }
        let Some(done) = runs.join_next().await else { break };
        let (time, run) = done.map_err(|error| Error::internal(&error.to_string()))?;
        ended += 1;
        let run = match run? {
            Done::Ended(run) => run,
            Done::Before => {
                print::note(&format!("[{ended}/{total}] {} has succeeded meanwhile", rfc3339(time)));
                continue;
            }
            Done::Left => {
                ended -= 1;
                continue;
            }
        };
        failed += usize::from(run.state() != RunState::Succeeded);
        tell(time, &run, (ended, total), json)?;
    }
    if maker.is_stopping() {
        print::note(&format!("stopped after {ended} of {total}; the same command goes on from here"));
        return Ok(Exit::Interrupted);
    }
    print::note(&format!(
        "{} succeeded, {} did not",
        human::plural((ended - failed) as u64, "run"),
        human::count(failed as u64)
    ));
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

fn tell(time: Time, run: &Run, (ended, total): (usize, usize), json: bool) -> Result<(), Error> {
    if json {
        return print::json(&view::show(run, None));
    }
    let (word, style) = state::run(run.state());
    let took = time::took(run.started_at(), run.finished_at()).unwrap_or_default();
    let why = run.error().map(|error| format!(": {error}")).unwrap_or_default();
    let line = format!("[{ended}/{total}] {} {style}{word}{style:#} in {took}{why} ({})", rfc3339(time), run.id());
    print::note(&line);
    Ok(())
}
