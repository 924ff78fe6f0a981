//! Whether checks fit the columns that they look at.

use engine::{Reference, Session};
use flow::codes;
use flow::diagnostic::Diagnostic;
use flow::plan::Column;
use flow::spec::Check;
use toml::Spanned;
use toml::Value;

use super::Compiler;
use super::reads::{Draft, Of, Sql};

impl<'a> Compiler<'a> {
    /// Types a task's checks, its `replace_where` predicate included. Returns hashes of what its SQL checks mean,
    /// or `None` if one of them changes by itself.
    pub(super) async fn assertions(
        &mut self,
        session: &Session,
        draft: &Draft<'a>,
        columns: &[Column],
    ) -> Option<Vec<String>> {
        let mut meanings = Some(vec![]);
        for (check, sql) in draft.spec.checks.iter().zip(&draft.checks) {
            self.check_columns(draft, check.get_ref(), columns);
            self.reference(session, draft, check.get_ref(), columns).await;
            if let Some(sql) = sql {
                let meaning = self.check_query(session, draft, sql).await;
                meanings = meanings.zip(meaning).map(|(mut all, meaning)| {
                    all.push(meaning);
                    all
                });
            }
        }
        let lasts = self.predicate_lasts(session, draft).await;
        meanings.filter(|_| lasts)
    }

    fn check_columns(&mut self, draft: &Draft<'a>, check: &'a Check, columns: &[Column]) {
        let lists = check.not_null.iter().chain(&check.unique).flat_map(|list| list.get_ref());
        for column in lists {
            self.column_exists(draft.name, column, columns, codes::CHECK_COLUMN);
        }
        if let Some(between) = check.between.as_ref().map(Spanned::get_ref)
            && let Some(column) = self.column_exists(draft.name, &between.column, columns, codes::CHECK_COLUMN)
        {
            between.min.iter().chain(&between.max).for_each(|value| self.comparable(draft.name, column, value));
        }
        if let Some(accepted) = check.accepted.as_ref().map(Spanned::get_ref)
            && let Some(column) = self.column_exists(draft.name, &accepted.column, columns, codes::CHECK_COLUMN)
        {
            accepted.values.get_ref().iter().for_each(|value| self.comparable(draft.name, column, value));
        }
    }

    /// Whether a value of the flow file can be compared with a column.
    fn comparable(&mut self, task: &str, column: &Column, value: &Spanned<Value>) {
        let numeric = ["int", "float", "real"].contains(&column.kind.as_str()) || column.kind.starts_with("decimal");
        let timely = ["date", "timestamp", "timestamptz"].contains(&column.kind.as_str());
        let fits = match value.get_ref() {
            Value::Integer(_) | Value::Float(_) => numeric,
            Value::String(text) => column.kind == "string" || timely && self.engine.is_time(&column.kind, text),
            Value::Boolean(_) => column.kind == "bool",
            Value::Datetime(time) => timely && self.engine.is_time(&column.kind, &time.to_string()),
            Value::Array(_) | Value::Table(_) => false,
        };
        if !fits {
            let message =
                format!("`{}` is {}, which cannot be compared with {}", column.name, column.kind, value.get_ref());
            self.report(Diagnostic::error(codes::CHECK_TYPE, value.span(), message).task(task));
        }
    }

    async fn reference(&mut self, session: &Session, draft: &Draft<'a>, check: &'a Check, columns: &[Column]) {
        let Some(references) = check.references.as_ref().map(Spanned::get_ref) else { return };
        let column = self.column_exists(draft.name, &references.column, columns, codes::CHECK_COLUMN).cloned();
        let Some((dataset, to)) = references.to.get_ref().rsplit_once('.') else { return };
        let read = draft.reads.iter().find(|read| read.name == dataset);
        if read.is_none() && dataset != draft.name {
            let names = self.flow.tasks_in_order().into_iter().map(|(name, _)| name);
            let names: Vec<&str> =
                names.chain(self.flow.sources_in_order().into_iter().map(|(name, _)| name)).collect();
            let message = format!("there is no task or source called `{dataset}`");
            let hint = flow::name::suggest(dataset, names.iter().copied());
            let found = Diagnostic::error(codes::UNKNOWN_TASK, references.to.span(), message).maybe_hint(hint);
            if !self.flow.excuses(dataset) {
                self.report(found.task(draft.name));
            }
            return;
        }
        let name = match read.map(|read| &read.of) {
            Some(Of::Task(name) | Of::Source(name) | Of::External(name)) => name.as_str(),
            None => draft.name,
        };
        let Some(target) = session.columns(name).await else { return };
        let Some(found) = target.iter().find(|column| column.name == to) else {
            let message = format!("`{dataset}` has no column `{to}`");
            let hint = flow::name::suggest(to, target.iter().map(|column| column.name.as_str()));
            self.report(
                Diagnostic::error(codes::CHECK_COLUMN, references.to.span(), message).maybe_hint(hint).task(draft.name),
            );
            return;
        };
        let Some(column) = column else { return };
        let numeric = |kind: &str| ["int", "float", "real"].contains(&kind) || kind.starts_with("decimal");
        if column.kind != found.kind && !(numeric(&column.kind) && numeric(&found.kind)) {
            let message =
                format!("`{}` is {} and `{}` is {}", column.name, column.kind, references.to.get_ref(), found.kind);
            self.report(Diagnostic::error(codes::CHECK_TYPE, references.to.span(), message).task(draft.name));
        }
    }

    async fn check_query(&mut self, session: &Session, draft: &Draft<'a>, sql: &Sql<'a>) -> Option<String> {
        let reads = |table: &Reference| draft.reads.iter().find(|read| read.name == table.name);
        if sql.query.references.iter().filter_map(reads).any(|read| self.is_broken(read)) {
            return None;
        }
        self.type_sql(session, draft.name, sql, &draft.reads).await?.fingerprint
    }

    /// Types the `replace_where` predicate. False if the rows that it means change by themselves.
    async fn predicate_lasts(&mut self, session: &Session, draft: &Draft<'a>) -> bool {
        let Some((text, condition)) = &draft.predicate else { return true };
        let volatile = match self.engine.predicate(draft.name, condition, &self.bound) {
            Ok(queries) => session.is_volatile(&queries.replaced).await,
            Err(problem) => Err(vec![problem]),
        };
        match volatile {
            Ok(volatile) => !volatile,
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.sql_problem(draft.name, text, problem));
                false
            }
        }
    }
}
