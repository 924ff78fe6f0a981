use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::sync::Arc;

use clap::ValueEnum;
use engine::{At, Engine, OutputFormat, Query, Session};
use flow::diagnostic::Diagnostic;
use store::Store;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::local;
use crate::print::{diagnostics, time};

/// Run SQL on the datasets of the lake.
///
/// Tables are `flow.dataset`, `dataset` where that is clear, or a quoted path of a file.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  flowctl query 'select * from etl.daily limit 5'\n  flowctl query 'select count(*) from daily' --at latest --format csv\n  flowctl query 'select * from daily' --at etl.daily=3 --at 2024-01-31T12:00:00Z"
)]
pub struct Args {
    /// The query; `-` reads it from standard input.
    sql: String,
    /// The past: a run, a time, or `DATASET=VERSION`. May be given many times; the first that fits a dataset counts.
    #[arg(long, value_name = "RUN|TIME|DATASET=VERSION")]
    at: Vec<String>,
    /// How rows are written. Default: `table`, or `json` with --json.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Csv,
    /// One object a line.
    Json,
    Parquet,
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    let sql = match args.sql.as_str() {
        "-" => stdin()?,
        sql => sql.to_owned(),
    };
    let format = match args.format {
        Some(Format::Csv) => OutputFormat::Csv,
        Some(Format::Json) => OutputFormat::Json,
        Some(Format::Parquet) if io::stdout().is_terminal() => {
            return Err(Error::usage("Parquet is no text for a terminal")
                .hint("redirect it: … --format parquet > rows.parquet"));
        }
        Some(Format::Parquet) => OutputFormat::Parquet,
        None if cx.json() => OutputFormat::Json,
        Some(Format::Table) | None => OutputFormat::Table,
    };
    cx.block_on_all(async {
        let engine = cx.engine()?;
        let at = points(cx, &engine, &args.at).await?;
        let mut out = BufWriter::new(io::stdout());
        let query = engine.parse_alone(&sql).map_err(|error| told(error, &sql))?;
        let session = engine.session();
        add_views(cx, &engine, &session, &query, &at).await?;
        engine.query(&session, &query, &at, format, &mut out).await.map_err(|error| told(error, &sql))?;
        out.flush()?;
        Ok(Exit::Done)
    })
}

fn stdin() -> Result<String, Error> {
    let mut sql = String::new();
    let read = io::stdin().read_to_string(&mut sql);
    read.map_err(|error| Error::usage(format!("failed to read the query from standard input: {error}")))?;
    Ok(sql)
}

async fn points(cx: &Context, engine: &Engine, texts: &[String]) -> Result<Vec<At>, Error> {
    let mut points = vec![];
    for text in texts {
        points.push(match (text.split_once('='), flow::schedule::instant(text)) {
            (Some((dataset, version)), _) => version_of(engine, dataset, version).await?,
            (None, Ok(at)) => At::Time(i64::try_from(at).unwrap_or(i64::MAX)),
            (None, Err(_)) => run_of(&cx.store_with_runs().await?, text).await?,
        });
    }
    Ok(points)
}

/// Makes the views that the query names known. They are not in the lake; the run that made them knows what they mean.
async fn add_views(cx: &Context, engine: &Engine, session: &Session, query: &Query, at: &[At]) -> Result<(), Error> {
    let Some(store) = cx.store_if_any().await? else { return Ok(()) };
    let views: Vec<_> = store.datasets().await?.into_iter().filter(|dataset| dataset.version.is_none()).collect();
    for reference in &query.references {
        let short =
            |view: &flow::catalogue::Dataset| view.dataset.split_once('.').is_some_and(|(_, it)| it == reference.name);
        let mut named = views.iter().filter(|view| view.dataset == reference.name || short(view));
        let (Some(view), None) = (named.next(), named.next()) else { continue };
        if view.dataset != reference.name && engine.resolve(&reference.name).await?.is_some() {
            continue;
        }
        let run = store.load(&view.run_id).await?;
        let outputs = run.plan.tasks.iter().map(|task| task.output.as_ref());
        let Some(task) = outputs.map(|it| it.map(|it| &it.dataset)).position(|it| it == Some(&view.dataset)) else {
            continue;
        };
        let recorded = (Arc::new(run.plan), Arc::new(run.pins), task);
        tasks::add_view(engine, session, &reference.name, recorded, at).await?;
    }
    Ok(())
}

async fn version_of(engine: &Engine, dataset: &str, version: &str) -> Result<At, Error> {
    let version = version.parse().map_err(|_| {
        Error::usage(format!("`{version}` is no version of `{dataset}`")).hint("versions are whole numbers from 0")
    })?;
    let unknown = || Error::not_found(format!("there is no dataset `{dataset}`")).hint("`flowctl datasets` lists them");
    let full = engine.resolve(dataset).await.map_err(Error::from)?.ok_or_else(unknown)?;
    if !engine.exists(&full).await.map_err(local::failed)? {
        return Err(unknown());
    }
    Ok(At::Version { dataset: full, version })
}

async fn run_of(store: &Store, reference: &str) -> Result<At, Error> {
    let head = store.head(&store.find(reference).await?).await?;
    let ended = head.finished_at.unwrap_or_else(time::now);
    Ok(At::Run { run_id: head.run_id, ended_ms: i64::try_from(ended).unwrap_or(i64::MAX) })
}

/// SQL that does not compile is shown like a mistake in a flow.
fn told(error: engine::Error, sql: &str) -> Error {
    match error {
        engine::Error::Sql(problems) => {
            let diagnostic = |it: engine::Problem| Diagnostic::error(it.code, it.span, it.message).maybe_hint(it.hint);
            let found: Vec<_> = problems.into_iter().map(diagnostic).collect();
            // When standard error is gone there is nobody left to tell.
            let _ = diagnostics::write(&mut anstream::stderr(), "query", sql, &found);
            Error::Said(Exit::NotCompiled)
        }
        error => error.into(),
    }
}
