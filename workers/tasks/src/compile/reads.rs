//! Which tables the SQL of a flow names, before any of it is typed.

use engine::{Condition, Query};
use flow::diagnostic::{Diagnostic, OtherText, Span};
use flow::spec;
use flow::{codes, name, placeholders};
use toml::Spanned;

use super::{Compiler, INTERVAL_END, INTERVAL_START, LOGICAL_TIME};

/// A task on its way to a plan.
pub(super) struct Draft<'a> {
    pub name: &'a str,
    pub spec: &'a spec::Task,
    pub kind: &'static str,
    pub query: Option<Sql<'a>>,
    /// The queries of `sql` checks, by the check's place in the list.
    pub checks: Vec<Option<Sql<'a>>>,
    pub when: Option<(&'a Spanned<String>, Condition)>,
    pub predicate: Option<(&'a Spanned<String>, Condition)>,
    pub reads: Vec<Read>,
}

/// SQL with the place that its mistakes are shown at.
pub(super) struct Sql<'a> {
    pub query: Query,
    pub text: String,
    pub place: Place<'a>,
}

/// Where SQL text stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In the flow file.
    Here(&'a Spanned<String>),
    /// In a file of its own, named here.
    File(&'a Spanned<String>),
}

/// A table that a task reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read {
    /// As the SQL or `inputs` spell it.
    pub name: String,
    pub of: Of,
    pub span: Span,
    /// Whether only checks read it: the task can be typed without.
    pub by_check: bool,
}

/// What a name that is read stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Of {
    Task(String),
    Source(String),
    /// `flow.dataset` of another flow.
    External(String),
}

impl Read {
    /// The source that is read.
    pub fn source(&self) -> Option<&str> {
        match &self.of {
            Of::Source(name) => Some(name),
            _ => None,
        }
    }

    /// The task of this flow that is read.
    pub fn task(&self) -> Option<&str> {
        match &self.of {
            Of::Task(name) => Some(name),
            _ => None,
        }
    }
}

impl<'a> Compiler<'a> {
    /// Every task with its SQL parsed, in the order of the file.
    pub(super) fn drafts(&mut self) -> Vec<Draft<'a>> {
        let flow = self.flow;
        flow.tasks_in_order().into_iter().map(|(name, spec)| self.draft(name, spec.get_ref())).collect()
    }

    fn draft(&mut self, name: &'a str, spec: &'a spec::Task) -> Draft<'a> {
        let query = self.query(name, spec);
        let checks = spec.checks.iter().map(|check| {
            let text = check.get_ref().sql.as_ref()?;
            self.parse(name, text.get_ref().clone(), Place::Here(text))
        });
        let checks: Vec<_> = checks.collect();
        let when = spec.when.as_ref().and_then(|text| self.condition(name, text));
        let predicate = spec.output.as_ref().and_then(|output| output.get_ref().predicate.as_ref());
        let predicate = predicate.and_then(|text| self.condition(name, text));
        let mut draft = Draft { name, spec, kind: kind(spec), query, checks, when, predicate, reads: vec![] };
        draft.reads = self.reads(&draft);
        draft
    }

    fn query(&mut self, name: &'a str, spec: &'a spec::Task) -> Option<Sql<'a>> {
        if let Some(text) = &spec.sql {
            return self.parse(name, text.get_ref().clone(), Place::Here(text));
        }
        let file = spec.sql_file.as_ref()?;
        // A placeholder without a value is told with the parameters.
        let path = placeholders::fill(file.get_ref(), &self.params).ok()?;
        let path = self.dir.join(&path);
        let known = self.sql_files.and_then(|files| files.get(&path));
        match known.map_or_else(|| std::fs::read_to_string(&path), |text| Ok(text.clone())) {
            Ok(text) => self.parse(name, text, Place::File(file)),
            Err(error) => {
                let message = format!("`{}` cannot be read: {error}", file.get_ref());
                let hint = "the path is relative to the flow file";
                self.report(Diagnostic::error(codes::SQL_FILE_MISSING, file.span(), message).hint(hint).task(name));
                None
            }
        }
    }

    fn parse(&mut self, task: &str, text: String, place: Place<'a>) -> Option<Sql<'a>> {
        match self.engine.parse(&text) {
            Ok(query) => {
                let known = self.parameters_known(task, &query.parameters, &text, place);
                known.then_some(Sql { query, text, place })
            }
            Err(problem) => {
                self.report_sql(task, &text, place, problem);
                None
            }
        }
    }

    fn condition(&mut self, task: &str, text: &'a Spanned<String>) -> Option<(&'a Spanned<String>, Condition)> {
        match self.engine.parse_condition(text.get_ref()) {
            Ok(condition) => {
                let known = self.parameters_known(task, &condition.parameters, text.get_ref(), Place::Here(text));
                known.then_some((text, condition))
            }
            Err(problem) => {
                self.sql_problem(task, text, problem);
                None
            }
        }
    }

    /// Whether every `$name` is declared, and what the run needs has a value.
    fn parameters_known(&mut self, task: &str, parameters: &[(String, Span)], text: &str, place: Place<'a>) -> bool {
        let mut known = true;
        for (parameter, span) in parameters {
            if [LOGICAL_TIME, INTERVAL_START, INTERVAL_END].contains(&parameter.as_str()) {
                self.uses_time.get_or_insert_with(|| parameter.clone());
            }
            if self.bound.contains_key(parameter) || self.flow.excuses_param(parameter) {
                continue;
            }
            known = false;
            let message = format!("the parameter `${parameter}` is not declared");
            let interval = [INTERVAL_START, INTERVAL_END].contains(&parameter.as_str());
            let hint = match self.flow.params.is_empty() && name::nearest(parameter, [LOGICAL_TIME]).is_none() {
                _ if interval => Some("only a flow with a `[schedule]` has intervals".into()),
                true => Some(format!("declare it under `[params]`, such as `{parameter} = {{ type = \"string\" }}`")),
                false => name::suggest(parameter, self.bound.keys().map(String::as_str)),
            };
            let problem = engine::Problem { code: codes::UNDECLARED_PARAM, message, hint, span: span.clone() };
            self.report_sql(task, text, place, problem);
        }
        known
    }

    pub(super) fn report_sql(&mut self, task: &str, text: &str, place: Place<'a>, problem: engine::Problem) {
        match place {
            Place::Here(here) => self.sql_problem(task, here, problem),
            Place::File(file) => {
                let path = placeholders::fill(file.get_ref(), &self.params).unwrap_or_else(|_| file.get_ref().clone());
                let path = self.file.with_file_name(path).display().to_string();
                let other = OtherText { path, text: text.to_owned(), named: file.span() };
                let found = Diagnostic::error(problem.code, problem.span, problem.message).maybe_hint(problem.hint);
                self.report(found.task(task).elsewhere(other));
            }
        }
    }

    /// Everything that a task reads, its checks included. A check that reads its own dataset sees the rows about to be published.
    fn reads(&self, draft: &Draft<'a>) -> Vec<Read> {
        let mut reads: Vec<Read> = vec![];
        let mut add = |name: &str, span: Span, by_check| {
            if !reads.iter().any(|known| known.name == name)
                && let Some(of) = self.meaning(name)
            {
                reads.push(Read { name: name.to_string(), of, span, by_check });
            }
        };
        if let Some(sql) = &draft.query {
            sql.query.references.iter().for_each(|table| add(&table.name, self.place(sql, &table.span), false));
        }
        draft.spec.inputs.iter().for_each(|input| add(input.get_ref(), input.span(), false));
        for (check, sql) in draft.spec.checks.iter().zip(&draft.checks) {
            if let Some(to) = check.get_ref().references.as_ref().map(|references| &references.get_ref().to)
                && let Some((dataset, _)) = to.get_ref().rsplit_once('.')
                && dataset != draft.name
            {
                add(dataset, to.span(), true);
            }
            if let Some(sql) = sql {
                let others = sql.query.references.iter().filter(|table| table.name != draft.name);
                others.for_each(|table| add(&table.name, self.place(sql, &table.span), true));
            }
        }
        reads
    }

    fn place(&self, sql: &Sql<'a>, span: &Span) -> Span {
        match sql.place {
            Place::Here(text) => self.flow.inside(text, span.clone()),
            Place::File(file) => file.span(),
        }
    }

    /// What a name stands for. `None` if nothing is called so: typing says that, with what was meant.
    fn meaning(&self, name: &str) -> Option<Of> {
        let own = self.flow.name.as_ref().map(|name| name.get_ref().as_str()).unwrap_or_default();
        let local = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        if self.flow.task(local).is_some() {
            Some(Of::Task(local.to_string()))
        } else if self.flow.source(local).is_some() {
            Some(Of::Source(local.to_string()))
        } else {
            name.contains('.').then(|| Of::External(name.to_string()))
        }
    }
}

fn kind(spec: &spec::Task) -> &'static str {
    match (&spec.sql, &spec.sql_file, &spec.command) {
        (Some(_), ..) | (_, Some(_), _) => "sql",
        (.., Some(_)) => "command",
        _ => "noop",
    }
}
