//! The plan out of what was found.

use std::collections::{BTreeMap, HashMap};

use flow::duration;
use flow::plan::{Check, Input, Limits, Need, Output, Plan, Retry, Rule, Source, Task, TaskId};
use flow::spec::{self, Mode, OnFailure, Stored};
use toml::Spanned;

use super::Compiler;
use super::reads::{Draft, Of};
use super::typing::Types;
use crate::{command, sql};

const KILL_GRACE_MS: u64 = 5_000;

impl<'a> Compiler<'a> {
    /// The plan; `None` if a task has no type because of a mistake.
    pub(super) async fn assemble(
        &mut self,
        sources: BTreeMap<String, Source>,
        drafts: &[Draft<'a>],
        types: Types,
        order: &[usize],
    ) -> Option<Plan> {
        let ids: HashMap<&str, TaskId> = order.iter().enumerate().map(|(id, task)| (drafts[*task].name, id)).collect();
        let mut plan = Plan {
            flow: self.flow.name.as_ref()?.get_ref().clone(),
            file: self.file.clone(),
            dir: self.dir.clone(),
            params: self.params.clone(),
            logical_time: self.logical_time,
            interval_start: self.interval_start,
            stop_on_failure: self.flow.on_failure == OnFailure::Stop,
            limits: limits(&self.flow.limits),
            keep_ms: self.flow.keep.as_ref().and_then(|keep| duration::keep(keep.get_ref()).ok()),
            sources: sources.into_values().collect(),
            ..Plan::default()
        };
        // All of them, so that every mistake in one is told.
        let mut skips = vec![];
        for &task in order {
            skips.push(self.skip(&drafts[task]).await);
        }
        for (&task, skip) in order.iter().zip(skips) {
            let task = self.task(&drafts[task], skip, &types, &ids, &plan)?;
            let externals = task.inputs.values().filter_map(|input| match input {
                Input::External(dataset) => Some(dataset.clone()),
                _ => None,
            });
            plan.externals.extend(externals);
            plan.tasks.push(task);
        }
        plan.externals.sort();
        plan.externals.dedup();
        Some(plan)
    }

    fn task(
        &self,
        draft: &Draft<'a>,
        skip: Option<String>,
        types: &Types,
        ids: &HashMap<&str, TaskId>,
        plan: &Plan,
    ) -> Option<Task> {
        if self.broken.contains(draft.name) {
            return None;
        }
        let defaults = &self.flow.defaults;
        let mut task = Task {
            name: draft.name.to_string(),
            kind: draft.kind.to_string(),
            needs: needs(draft, ids),
            inputs: inputs(draft, ids),
            skip,
            retry: retry(&draft.spec.retry, &defaults.retry),
            timeout_ms: first_duration(&draft.spec.timeout, &defaults.timeout),
            kill_grace_ms: first_duration(&draft.spec.kill_grace, &defaults.kill_grace).unwrap_or(KILL_GRACE_MS),
            priority: draft.spec.priority,
            pool: draft.spec.pool.as_ref().or(defaults.pool.as_ref()).map(|pool| pool.get_ref().clone()),
            requires: draft.spec.requires.clone(),
            output: self.output(draft, types, plan),
            checks: draft.spec.checks.iter().filter_map(|check| assertion(check.get_ref())).collect(),
            ..Task::default()
        };
        task.with = self.with(draft)?;
        task.fingerprint = self.fingerprint(draft, types, &task, plan);
        Some(task)
    }

    async fn skip(&mut self, draft: &Draft<'a>) -> Option<String> {
        let (text, condition) = draft.when.as_ref()?;
        match self.engine.evaluate(condition, &self.bound).await {
            Ok(Some(true)) => None,
            Ok(_) => Some(format!("`when` is false: {}", text.get_ref())),
            Err(problem) => {
                self.sql_problem(draft.name, text, problem);
                None
            }
        }
    }

    fn output(&self, draft: &Draft<'a>, types: &Types, plan: &Plan) -> Option<Output> {
        let typed = types.outputs.get(draft.name)?;
        let spec = draft.spec.output.as_ref().map(Spanned::get_ref);
        let names = |list: &[Spanned<String>]| list.iter().map(|name| name.get_ref().clone()).collect();
        Some(Output {
            dataset: format!("{}.{}", plan.flow, draft.name),
            view: spec
                .and_then(|output| output.stored.as_ref())
                .is_some_and(|stored| *stored.get_ref() == Stored::View),
            mode: spec.and_then(|output| output.mode.as_ref()).map_or(Mode::Overwrite, |mode| *mode.get_ref()),
            keys: spec.and_then(|output| output.keys.as_ref()).map(|keys| names(keys.get_ref())).unwrap_or_default(),
            predicate: draft.predicate.as_ref().map(|(text, _)| text.get_ref().clone()),
            partition_by: spec.map(|output| names(&output.partition_by)).unwrap_or_default(),
            columns: typed.columns.clone(),
        })
    }

    /// The kind's own settings; `None` if a placeholder has no value, which is told with the parameters.
    fn with(&self, draft: &Draft<'a>) -> Option<serde_json::Value> {
        match (&draft.query, draft.kind) {
            (Some(sql), _) => serde_json::to_value(sql::Settings { sql: sql.text.clone() }).ok(),
            (None, "command") => serde_json::to_value(command::Settings::new(draft.spec, &self.params).ok()?).ok(),
            _ => Some(serde_json::Value::Null),
        }
    }

    /// Hash of everything that could change the result but the versions of what is read.
    fn fingerprint(&self, draft: &Draft<'a>, types: &Types, task: &Task, plan: &Plan) -> Option<String> {
        let checks = types.checks.get(draft.name).cloned().unwrap_or(Some(vec![]))?;
        let meaning = match draft.kind {
            "sql" => types.outputs.get(draft.name)?.fingerprint.clone()?,
            "command" => {
                let settings: command::Settings = serde_json::from_value(task.with.clone()).ok()?;
                settings.cache.then(|| command::fingerprint(&settings, plan).ok())??
            }
            _ => return None,
        };
        // The predicate of a replace_where is bound by parameters, and so are checks: they count by their values.
        let bound = draft.predicate.as_ref().map(|_| &self.params);
        let output = task
            .output
            .as_ref()
            .map(|output| (output.mode, &output.keys, &output.predicate, &output.partition_by, output.view));
        let columns = task
            .output
            .as_ref()
            .map(|output| output.columns.iter().map(|column| (&column.name, &column.kind)).collect::<Vec<_>>());
        // What an `sql` check means is in `checks`, whitespace and comments aside.
        let rule = |check: &Check| match &check.rule {
            Rule::Sql(_) => None,
            rule => serde_json::to_value(rule).ok(),
        };
        let asserted: Vec<_> =
            task.checks.iter().map(|check| (&check.name, check.severity, check.on, rule(check))).collect();
        // How files are read; what is in them is the identity of the input.
        let read =
            plan.sources.iter().filter(|source| draft.reads.iter().any(|read| read.source() == Some(&source.name)));
        let read: Vec<_> =
            read.map(|it| (&it.name, it.format, &it.null, it.delimiter, it.header, &it.columns)).collect();
        let parts = serde_json::to_string(&(meaning, output, columns, asserted, checks, bound, read)).ok()?;
        Some(self.engine.hash(&parts))
    }
}

fn limits(spec: &spec::Limits) -> Limits {
    let count = |limit: &Option<Spanned<i64>>| limit.as_ref().and_then(|limit| u32::try_from(*limit.get_ref()).ok());
    Limits { runs: count(&spec.runs), tasks: count(&spec.tasks) }
}

fn needs(draft: &Draft<'_>, ids: &HashMap<&str, TaskId>) -> Vec<Need> {
    let mut needs: BTreeMap<TaskId, bool> = BTreeMap::new();
    for after in &draft.spec.after {
        ids.get(after.get_ref().as_str()).map(|id| needs.entry(*id).or_insert(false));
    }
    for task in draft.reads.iter().filter_map(|read| read.task()) {
        ids.get(task).map(|id| needs.insert(*id, true));
    }
    needs.into_iter().map(|(task, data)| Need { task, data }).collect()
}

fn inputs(draft: &Draft<'_>, ids: &HashMap<&str, TaskId>) -> BTreeMap<String, Input> {
    let input = |of: &Of| match of {
        Of::Task(name) => ids.get(name.as_str()).map(|id| Input::Task(*id)),
        Of::Source(name) => Some(Input::Source(name.clone())),
        Of::External(dataset) => Some(Input::External(dataset.clone())),
    };
    draft.reads.iter().filter_map(|read| Some((read.name.clone(), input(&read.of)?))).collect()
}

fn first_duration(own: &Option<Spanned<String>>, default: &Option<Spanned<String>>) -> Option<u64> {
    own.as_ref().or(default.as_ref()).and_then(|text| duration::parse(text.get_ref()).ok())
}

/// A task's retry over the flow's, key by key.
fn retry(own: &spec::Retry, default: &spec::Retry) -> Retry {
    let fallback = Retry::default();
    let attempts =
        own.attempts.as_ref().or(default.attempts.as_ref()).and_then(|number| u32::try_from(*number.get_ref()).ok());
    Retry {
        attempts_max: attempts.unwrap_or(fallback.attempts_max).max(1),
        backoff: own.backoff.or(default.backoff).unwrap_or(fallback.backoff),
        delay_ms: first_duration(&own.delay, &default.delay).unwrap_or(fallback.delay_ms),
        delay_max_ms: first_duration(&own.max_delay, &default.max_delay).unwrap_or(fallback.delay_max_ms),
        jitter: own.jitter.or(default.jitter).unwrap_or(fallback.jitter),
    }
}

fn assertion(check: &spec::Check) -> Option<Check> {
    let rule = rule(check)?;
    let name = check.name.as_ref().map_or_else(|| describe(&rule), |name| name.get_ref().clone());
    Some(Check { name, severity: check.severity, on: check.on, rule })
}

fn rule(check: &spec::Check) -> Option<Rule> {
    let names =
        |list: &Spanned<Vec<Spanned<String>>>| list.get_ref().iter().map(|name| name.get_ref().clone()).collect();
    if let Some(columns) = &check.not_null {
        return Some(Rule::NotNull(names(columns)));
    }
    if let Some(columns) = &check.unique {
        return Some(Rule::Unique(names(columns)));
    }
    if let Some(between) = check.between.as_ref().map(Spanned::get_ref) {
        let bound = |bound: &Option<Spanned<toml::Value>>| bound.as_ref().map(|value| json(value.get_ref()));
        return Some(Rule::Between {
            column: between.column.get_ref().clone(),
            min: bound(&between.min),
            max: bound(&between.max),
        });
    }
    if let Some(accepted) = check.accepted.as_ref().map(Spanned::get_ref) {
        let values = accepted.values.get_ref().iter().map(|value| json(value.get_ref())).collect();
        return Some(Rule::Accepted { column: accepted.column.get_ref().clone(), values });
    }
    if let Some(references) = check.references.as_ref().map(Spanned::get_ref) {
        let (input, to_column) = references.to.get_ref().rsplit_once('.')?;
        let column = references.column.get_ref().clone();
        return Some(Rule::References { column, input: input.to_string(), to_column: to_column.to_string() });
    }
    if let Some(rows) = check.rows.as_ref().map(Spanned::get_ref) {
        let bound =
            |bound: &Option<Spanned<i64>>| bound.as_ref().and_then(|value| u64::try_from(*value.get_ref()).ok());
        return Some(Rule::Rows { min: bound(&rows.min), max: bound(&rows.max) });
    }
    check.sql.as_ref().map(|sql| Rule::Sql(sql.get_ref().clone()))
}

fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Datetime(time) => serde_json::Value::String(time.to_string()),
        value => serde_json::to_value(value).unwrap_or_default(),
    }
}

/// The name of a check that was given none.
fn describe(rule: &Rule) -> String {
    let bounds = |min: Option<String>, max: Option<String>| match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => String::new(),
    };
    let text = |value: &Option<serde_json::Value>| {
        value.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    match rule {
        Rule::NotNull(columns) => format!("not_null {}", columns.join(", ")),
        Rule::Unique(columns) => format!("unique {}", columns.join(", ")),
        Rule::Between { column, min, max } => format!("between {column} {}", bounds(text(min), text(max))),
        Rule::Accepted { column, .. } => format!("accepted {column}"),
        Rule::References { column, input, to_column } => format!("references {column} to {input}.{to_column}"),
        Rule::Rows { min, max } => {
            format!("rows {}", bounds(min.map(|min| min.to_string()), max.map(|max| max.to_string())))
        }
        Rule::Sql(_) => "sql".into(),
    }
}
