//! From text to plan: every task of a flow is typed before any runs.
//!
//! The steps are `flow::spec` (the file), `flow::check` (what its text says), [`sources`] (what its data is),
//! [`reads`] (which tables its SQL names), `flow::graph` (the order), [`typing`] (what every task returns) and
//! [`assemble`] (the plan). Each adds what it finds wrong; what follows from an earlier mistake is not told again.

mod assemble;
mod assertions;
mod located;
mod reads;
mod sources;
mod typing;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use engine::{Bound, Engine, Problem};
use flow::diagnostic::Diagnostic;
use flow::plan::Plan;
use flow::schedule::Schedule;
use flow::value::{ParamType, Params};
use flow::wire::Failure;
use flow::{Time, check, graph, placeholders, spec, value};
use toml::Spanned;

use crate::select;

/// The parameter that every flow has: the nominal instant of the run.
const LOGICAL_TIME: &str = "logical_time";
/// Where the data begins and ends that a scheduled run is about. It ends at the logical time.
const INTERVAL_START: &str = "interval_start";
const INTERVAL_END: &str = "interval_end";

/// The kinds of task.
pub const KINDS: [&str; 3] = ["command", "noop", "sql"];

/// How a flow is compiled.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Parameters as `-p` gives them.
    pub given: Option<&'a BTreeMap<String, String>>,
    /// Which tasks are wanted: `name`, `+name`, `name+`, separated by commas. Default: all.
    pub select: Option<&'a str>,
    /// `$logical_time`.
    pub logical_time: Option<Time>,
    /// The pools that the project declares, with their sizes. `None`: nobody knows.
    pub pools: Option<&'a BTreeMap<String, u32>>,
    /// What is in the flow's SQL files, by their paths as [`sql_files`] gives them. Others are read where they are.
    pub sql_files: Option<&'a BTreeMap<PathBuf, String>>,
}

/// What became of a flow file.
#[derive(Default)]
pub struct Compiled {
    /// The flow's name, if the file has one.
    pub name: Option<String>,
    /// Everything that is wrong with the file, in its order.
    pub diagnostics: Vec<Diagnostic>,
    /// What is wrong with the parameters given or the selection: wrong usage, not a mistake in the file.
    pub usage: Vec<value::Problem>,
    /// What could not be looked at, for no fault of the file.
    pub away: Option<Failure>,
    /// `None` if anything is wrong.
    pub plan: Option<Plan>,
}

impl Compiled {
    /// Whether the file has no error; whether it can run depends on the parameters as well.
    pub fn ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Compiles the text of a flow file. Reads sources and published datasets, runs nothing.
pub async fn compile(engine: &Engine, file: &Path, text: &str, options: Options<'_>) -> Compiled {
    let (flow, diagnostics) = spec::parse(text);
    let Some(flow) = flow else { return Compiled { diagnostics, ..Compiled::default() } };
    let mut compiler = Compiler::new(engine, &flow, file, options, diagnostics);
    let plan = compiler.run().await;
    let mut usage = compiler.usage;
    if let (true, Some(_), None, Some(time)) =
        (usage.is_empty(), options.given, options.logical_time, &compiler.uses_time)
    {
        usage.push(value::Problem {
            param: LOGICAL_TIME.into(),
            message: format!("the flow uses `${time}`, which only a scheduled run has by itself"),
            hint: Some("give it with `--at TIME`, such as `--at 2013-01-31T00:00:00Z`".into()),
        });
    }
    let mut diagnostics = compiler.diagnostics;
    diagnostics.sort_by_key(Diagnostic::order);
    let wrong = diagnostics.iter().any(Diagnostic::is_error);
    let away = compiler.away;
    let plan = plan.filter(|_| !wrong && usage.is_empty() && away.is_none());
    let plan = match (plan, options.select) {
        (Some(plan), Some(selection)) => match select::select(plan, selection) {
            Ok(plan) => Some(Plan { selection: Some(selection.to_owned()), ..plan }),
            Err(problem) => {
                usage.push(problem);
                None
            }
        },
        (plan, _) => plan,
    };
    let name = flow.name.as_ref().map(|name| name.get_ref().clone());
    Compiled { name, diagnostics, usage, away, plan }
}

/// The SQL files that a flow names, as far as its defaults tell their names; they need not be there.
pub fn sql_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let Some(flow) = spec::parse(text).0 else { return vec![] };
    let (dir, params) = (folder(file), defaults(&flow));
    let named = flow.tasks_in_order().into_iter().filter_map(|(_, task)| task.get_ref().sql_file.as_ref());
    named.filter_map(|name| Some(dir.join(placeholders::fill(name.get_ref(), &params).ok()?))).collect()
}

/// The folder that a flow file is in, absolute.
fn folder(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())
}

/// The state of a compilation.
struct Compiler<'a> {
    engine: &'a Engine,
    flow: &'a spec::Flow,
    file: PathBuf,
    /// The flow file's folder, absolute.
    dir: PathBuf,
    /// What is in its SQL files, where that is known already.
    sql_files: Option<&'a BTreeMap<PathBuf, String>>,
    params: Params,
    logical_time: Option<Time>,
    interval_start: Option<Time>,
    /// What `$name`s stand for; those without a value are typed all the same.
    bound: BTreeMap<String, Bound>,
    diagnostics: Vec<Diagnostic>,
    usage: Vec<value::Problem>,
    away: Option<Failure>,
    /// Tasks and sources that nothing can be said about, because of an earlier mistake.
    broken: HashSet<String>,
    /// One of the run's times that some SQL uses.
    uses_time: Option<String>,
    /// Whether the plan is about to run, so that its files must be there.
    is_run: bool,
}

impl<'a> Compiler<'a> {
    fn new(
        engine: &'a Engine,
        flow: &'a spec::Flow,
        file: &Path,
        options: Options<'a>,
        mut diagnostics: Vec<Diagnostic>,
    ) -> Self {
        diagnostics.extend(check::check(flow, &KINDS));
        diagnostics
            .extend(options.pools.into_iter().flat_map(|pools| check::pools(flow, pools.keys().map(String::as_str))));
        let broken = check::broken(&diagnostics).map(str::to_owned).collect();
        let nothing = BTreeMap::new();
        let (params, usage) = match value::resolve(flow, options.given.unwrap_or(&nothing)) {
            Ok(params) => (params, vec![]),
            Err(problems) => (defaults(flow), problems),
        };
        let logical_time = options.logical_time;
        let schedule = flow.schedule.as_ref().and_then(|spec| Schedule::of(spec.get_ref()));
        let interval_start = schedule.zip(logical_time).and_then(|(schedule, time)| schedule.interval_start(time));
        let mut bound = bound(flow, &params);
        bound.extend(times(logical_time, flow.schedule.is_some().then_some(interval_start)));
        Compiler {
            engine,
            flow,
            file: file.to_path_buf(),
            dir: folder(file),
            sql_files: options.sql_files,
            params,
            logical_time,
            interval_start,
            bound,
            diagnostics,
            usage,
            away: None,
            broken,
            uses_time: None,
            is_run: options.given.is_some(),
        }
    }

    async fn run(&mut self) -> Option<Plan> {
        let sources = self.sources().await;
        let mut drafts = self.drafts();
        let order = match self.order(&drafts) {
            Ok(order) => order,
            Err(cycles) => {
                self.diagnostics.extend(cycles);
                return None;
            }
        };
        let typed = self.types(&sources, &mut drafts, &order).await;
        self.assemble(sources, &drafts, typed, &order).await
    }

    fn order(&self, drafts: &[reads::Draft<'_>]) -> Result<Vec<usize>, Vec<Diagnostic>> {
        let (names, mut edges) = graph::declared(self.flow);
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        for (task, draft) in drafts.iter().enumerate() {
            let read = |read: &reads::Read| Some((*places.get(read.task()?)?, read.span.clone()));
            edges.extend(draft.reads.iter().filter_map(read).map(|(needs, span)| graph::Edge { task, needs, span }));
        }
        graph::order(&names, &edges)
    }

    /// A mistake in SQL text of the flow file.
    fn sql_problem(&mut self, task: &str, text: &Spanned<String>, problem: Problem) {
        let span = self.flow.inside(text, problem.span.clone());
        let found = Diagnostic::error(problem.code, span, problem.message).maybe_hint(problem.hint).task(task);
        self.report(found);
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.broken.extend(diagnostic.task.clone().into_iter().chain(diagnostic.source.clone()));
        }
        self.diagnostics.push(diagnostic);
    }
}

/// The parameters that have a default.
fn defaults(flow: &spec::Flow) -> Params {
    let default = |(name, param): (&Spanned<String>, &Spanned<spec::Param>)| {
        let kind = ParamType::of(param.get_ref())?;
        let default = param.get_ref().default.as_ref()?;
        Some((name.get_ref().clone(), value::Value::of_toml(default.get_ref(), &kind).ok()?))
    };
    flow.params.iter().filter_map(default).collect()
}

/// What the `$name` of every parameter stands for.
fn bound(flow: &spec::Flow, params: &Params) -> BTreeMap<String, Bound> {
    flow.params
        .iter()
        .filter_map(|(name, param)| {
            let kind = ParamType::of(param.get_ref())?;
            Some((
                name.get_ref().clone(),
                params.get(name.get_ref()).map_or_else(|| Bound::unknown(&kind), Bound::value),
            ))
        })
        .collect()
}

/// What a run's own `$name`s stand for; only a flow with a schedule has intervals.
fn times(logical_time: Option<Time>, interval_start: Option<Option<Time>>) -> Vec<(String, Bound)> {
    let mut times = vec![(LOGICAL_TIME.to_owned(), instant(logical_time))];
    if let Some(start) = interval_start {
        times.push((INTERVAL_START.to_owned(), instant(start)));
        times.push((INTERVAL_END.to_owned(), instant(logical_time)));
    }
    times
}

/// A timestamp in UTC.
fn instant(time: Option<Time>) -> Bound {
    let micros = time.and_then(|ms| i64::try_from(ms).ok()).map(|ms| ms * 1000);
    micros
        .map_or_else(|| Bound::unknown(&ParamType::Timestamp), |micros| Bound::value(&value::Value::Timestamp(micros)))
}

/// What `$name`s stand for in a run of `plan`.
pub(crate) fn bound_in(plan: &Plan) -> BTreeMap<String, Bound> {
    let params = plan.params.iter().map(|(name, value)| (name.clone(), Bound::value(value)));
    params.chain(times(plan.logical_time, Some(plan.interval_start))).collect()
}
