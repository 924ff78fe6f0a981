//! Flow files: read, compiled, and their mistakes told.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use engine::Engine;
use flow::api::NewRun;
use flow::diagnostic::Diagnostic;
use flow::plan::Plan;
use flow::schedule::Schedule;
use flow::value::{self, Problem};
use flow::view::rfc3339;
use flow::{Time, check, codes, name, spec};
use store::Sizes;
use tasks::{Compiled, Options};

use crate::error::Error;
use crate::exit::Exit;
use crate::local;
use crate::print::diagnostics;

/// A flow file that was compiled.
pub struct Flow {
    /// As it was given.
    pub file: PathBuf,
    /// Empty if the file is no text.
    pub text: String,
    pub compiled: Compiled,
}

/// What the command line says about a run.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Wanted {
    /// A parameter of the flow; may be given many times.
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,
    /// Only these tasks: `name`, `+name` with what it needs, `name+` with what needs it; commas between.
    ///
    /// The last published versions of the others are what is read.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    select: Option<String>,
    /// The instant the run stands for, `$logical_time` in SQL: `2013-01-31` or `2013-01-31T06:30:00Z`.
    #[arg(long, value_name = "TIME", value_parser = flow::schedule::instant)]
    at: Option<Time>,
}

/// Reads `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

impl Wanted {
    /// Parameters and a logical time.
    pub fn given(params: Vec<(String, String)>, at: Option<Time>) -> Self {
        Wanted { params, select: None, at }
    }

    /// What a server is asked for.
    pub fn asked(&self, flow: &str) -> Result<NewRun, Error> {
        let params = once_each(&self.params)?.into_iter().map(|(name, value)| (name, value.into())).collect();
        let logical_time = self.at.map(rfc3339);
        Ok(NewRun { flow: flow.to_owned(), params, logical_time, select: self.select.clone(), ..NewRun::default() })
    }

    /// What an earlier run of `plan` was asked for.
    pub fn again(plan: &Plan) -> Self {
        Wanted {
            params: value::texts(&plan.params).into_iter().collect(),
            select: plan.selection.clone(),
            at: plan.logical_time,
        }
    }
}

impl Flow {
    /// Reads and compiles `file` for a check: parameters without a value are no mistake.
    pub async fn check(engine: &Engine, file: &Path, pools: &Sizes) -> Result<Flow, Error> {
        compile(engine, file, Options { pools: Some(pools), ..Options::default() }).await
    }

    /// Reads and compiles `file` for a run.
    ///
    /// # Errors
    /// There is no such file, it does not compile (told on standard error), or the parameters do not fit.
    pub async fn plan(engine: &Engine, file: &Path, wanted: &Wanted, pools: &Sizes) -> Result<Plan, Error> {
        let given = once_each(&wanted.params)?;
        let select = wanted.select.as_deref();
        let (logical_time, pools) = (wanted.at, Some(pools));
        let options = Options { given: Some(&given), select, logical_time, pools, sql_files: None };
        let flow = compile(engine, file, options).await?;
        // When standard error is gone there is nobody left to tell.
        let _ = flow.write(&mut anstream::stderr().lock());
        if !flow.compiled.ok() {
            return Err(Error::new(Exit::NotCompiled, format!("`{}` does not compile", file.display()))
                .maybe_hint(flow.codes().map(|code| format!("flowctl explain {code}"))));
        }
        match flow.compiled.plan {
            Some(plan) => Ok(plan),
            None => Err(misfit(&flow.compiled.usage)),
        }
    }

    /// Shows every diagnostic with its lines.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        diagnostics::write(out, &self.file.display().to_string(), &self.text, &self.compiled.diagnostics)
    }

    fn codes(&self) -> Option<&'static str> {
        self.compiled.diagnostics.iter().find(|found| found.is_error()).map(|found| found.code)
    }
}

/// The flow files at and below the paths, in order and once each.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = vec![];
    for path in paths {
        let before = files.len();
        files.extend(at(path)?);
        if files.len() == before {
            return Err(Error::not_found(format!("there is no flow file below `{}`", path.display()))
                .hint("a flow is a file that ends in `.toml`"));
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    Ok(files)
}

/// The file, or the flow files below the folder, in order.
pub fn at(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = vec![];
    match path.is_dir() {
        true => below(path, &mut files)?,
        false => files.push(path.to_path_buf()),
    }
    Ok(files)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let told = |error| Error::not_found(format!("failed to list `{}`: {error}", folder.display()));
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(told)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(told)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        // A link to a folder may lead back up.
        if path.is_dir() && !path.is_symlink() {
            below(&path, files)?;
        } else if name.ends_with(".toml") && name != "flowctl.toml" && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// A flow's name and schedule, read without looking at anything else of it.
pub struct Scheduled {
    pub name: String,
    pub schedule: Schedule,
}

impl Scheduled {
    /// Reads the schedule of `file`.
    ///
    /// # Errors
    /// There is no such file, its schedule is wrong (told on standard error), or it has none.
    pub fn read(file: &Path) -> Result<Scheduled, Error> {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        let (flow, mut found) = spec::parse(&text);
        if let Some(flow) = &flow {
            found.extend(check::schedule(flow));
        }
        let name = flow.as_ref().and_then(|flow| flow.name.as_ref()).map(|name| name.get_ref().clone());
        let written = flow.as_ref().and_then(|flow| flow.schedule.as_ref());
        match (name, written.and_then(|written| Schedule::of(written.get_ref()))) {
            (Some(name), Some(schedule)) => Ok(Scheduled { name, schedule }),
            _ if found.iter().any(Diagnostic::is_error) => {
                let shown = file.display().to_string();
                let _ = diagnostics::write(&mut anstream::stderr().lock(), &shown, &text, &found);
                Err(Error::new(Exit::NotCompiled, format!("the schedule of `{shown}` cannot be read")))
            }
            _ => Err(Error::usage(format!("`{}` has no schedule", file.display()))
                .hint("`[schedule]` with `cron = \"30 6 * * *\"` gives it one")),
        }
    }
}

async fn compile(engine: &Engine, file: &Path, options: Options<'_>) -> Result<Flow, Error> {
    let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    let (text, compiled) = match String::from_utf8(bytes) {
        Ok(text) => {
            let compiled = tasks::compile(engine, file, &text, options).await;
            if let Some(failure) = compiled.away {
                return Err(local::failed(failure));
            }
            (text, compiled)
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let found = Diagnostic::error(codes::NOT_TEXT, 0..0, format!("byte {at} is not UTF-8 text"))
                .hint("save the file as UTF-8");
            (String::new(), Compiled { diagnostics: vec![found], ..Compiled::default() })
        }
    };
    Ok(Flow { file: file.to_path_buf(), text, compiled })
}

fn unreadable(file: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no flow file `{}`", file.display())).maybe_hint(near(file))
        }
        io::ErrorKind::IsADirectory => Error::usage(format!("`{}` is a folder, not a flow file", file.display()))
            .hint("name one file of it; only `check` takes folders"),
        _ => Error::not_found(format!("failed to read `{}`: {error}", file.display())).hint("check who may read it"),
    }
}

/// A flow file beside the one that is not there.
fn near(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside: Vec<String> = std::fs::read_dir(folder).ok()?.flatten().filter_map(toml_name).collect();
    let wanted = file.file_name()?.to_str()?;
    let wanted = if wanted.ends_with(".toml") { wanted.to_owned() } else { format!("{wanted}.toml") };
    let found = name::nearest(&wanted, beside.iter().map(String::as_str))?;
    Some(format!("did you mean `{}`?", file.with_file_name(found).display()))
}

fn toml_name(entry: std::fs::DirEntry) -> Option<String> {
    entry.file_name().into_string().ok().filter(|name| name.ends_with(".toml") && name != "flowctl.toml")
}

fn once_each(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Error> {
    let mut given = BTreeMap::new();
    for (name, value) in pairs {
        if given.insert(name.clone(), value.clone()).is_some() {
            return Err(Error::usage(format!("parameter `{name}` is given twice")));
        }
    }
    Ok(given)
}

/// All problems with the parameters, in one error.
pub fn misfit(problems: &[Problem]) -> Error {
    if problems.is_empty() {
        return Error::internal(&"the flow has no mistake that could be told, and no plan either");
    }
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    let hint = problems.iter().find_map(|problem| problem.hint.clone());
    Error::usage(messages.join("; ")).maybe_hint(hint)
}
