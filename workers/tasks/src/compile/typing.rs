//! What every task returns, in an order in which each comes after what it reads.

use std::collections::{BTreeMap, HashMap};

use engine::{Problem, Session, Typed};
use flow::diagnostic::Diagnostic;
use flow::plan::{Column, Source};
use flow::spec::{Contract, Stored};
use flow::wire::Whose;
use flow::{codes, lineage, name};
use toml::Spanned;

use super::Compiler;
use super::reads::{Draft, Of, Read, Sql};

/// What the tasks return, by name.
#[derive(Default)]
pub(super) struct Types {
    pub outputs: HashMap<String, Typed>,
    /// Hashes of the queries of `sql` checks, by task; `None` in it if one changes by itself.
    pub checks: HashMap<String, Option<Vec<String>>>,
    pub session: Option<Session>,
}

impl<'a> Compiler<'a> {
    pub(super) async fn types(
        &mut self,
        sources: &BTreeMap<String, Source>,
        drafts: &mut [Draft<'a>],
        order: &[usize],
    ) -> Types {
        let session = self.engine.session();
        for source in sources.values() {
            self.add_type(&session, &source.name, &source.columns);
        }
        let mut types = Types::default();
        for &task in order {
            let draft = &drafts[task];
            if self.broken.contains(draft.name) || !self.readable(&session, draft).await {
                self.broken.insert(draft.name.to_string());
                continue;
            }
            self.task_type(&session, draft, &mut types).await;
        }
        types.session = Some(session);
        types
    }

    /// Names the columns of a dataset to later queries, under its own name and with the flow's before it.
    fn add_type(&mut self, session: &Session, name: &str, columns: &[Column]) {
        let pairs = || columns.iter().map(|column| (column.name.as_str(), column.kind.as_str()));
        let flow = self.flow.name.as_ref().map(|name| name.get_ref().as_str()).unwrap_or_default();
        for name in [name.to_string(), format!("{flow}.{name}")] {
            if session.add_type(&name, pairs()).is_err() {
                self.broken.insert(name);
            }
        }
    }

    /// Whether everything is known that a task reads, except in checks. What other flows published is looked up.
    async fn readable(&mut self, session: &Session, draft: &Draft<'a>) -> bool {
        let mut known = true;
        for read in &draft.reads {
            if let Of::External(dataset) = &read.of {
                known &= self.external(session, draft.name, dataset, read).await;
            }
            known &= read.by_check || !self.is_broken(read);
        }
        known
    }

    /// Whether nothing can be said about what is read, because of an earlier mistake.
    pub(super) fn is_broken(&self, read: &Read) -> bool {
        matches!(&read.of, Of::Task(name) | Of::Source(name) if self.broken.contains(name))
    }

    async fn external(&mut self, session: &Session, task: &str, dataset: &str, read: &Read) -> bool {
        let hint = "run the flow that makes it first (a view is not stored, so other flows cannot read one); a name \
            without a dot is a task or source of this flow";
        let message = match session.published_columns(dataset).await {
            Ok(Some(columns)) => {
                let pairs = columns.iter().map(|column| (column.name.as_str(), column.kind.as_str()));
                return session.add_type(dataset, pairs).is_ok();
            }
            Ok(None) => format!("nothing was ever published as `{dataset}`"),
            Err(failure) if failure.whose == Whose::External => {
                self.away.get_or_insert(failure);
                self.broken.insert(task.to_owned());
                return false;
            }
            Err(failure) => failure.message,
        };
        self.report(Diagnostic::error(codes::UNKNOWN_TABLE, read.span.clone(), message).hint(hint).task(task));
        false
    }

    async fn task_type(&mut self, session: &Session, draft: &Draft<'a>, types: &mut Types) {
        let Some(typed) = self.output_type(session, draft).await else { return };
        let columns: Vec<Column> = typed
            .columns
            .iter()
            .map(|column| Column { name: column.name.clone(), kind: column.kind.clone() })
            .collect();
        self.add_type(session, draft.name, &columns);
        self.contract(draft, &columns);
        self.output_columns(draft, &columns);
        let checks = self.assertions(session, draft, &columns).await;
        // Its columns are known, whatever is wrong with what is said about them: what reads it is typed.
        self.broken.remove(draft.name);
        types.checks.insert(draft.name.to_string(), checks);
        types.outputs.insert(draft.name.to_string(), typed);
    }

    /// The columns of a task's dataset; `None` if it makes none, or is broken.
    async fn output_type(&mut self, session: &Session, draft: &Draft<'a>) -> Option<Typed> {
        if let Some(sql) = &draft.query {
            return self.type_sql(session, draft.name, sql, &draft.reads).await;
        }
        let schema = draft.spec.schema.as_ref()?;
        let columns = self.declared_types(draft.name, schema)?;
        let inputs = self.command_inputs(session, draft).await;
        let column = |column: Column| lineage::Column { name: column.name, kind: column.kind, inputs: inputs.clone() };
        Some(Typed { columns: columns.into_iter().map(column).collect(), fingerprint: None })
    }

    /// A command is opaque: every column it makes may come from every column it is given.
    async fn command_inputs(&self, session: &Session, draft: &Draft<'a>) -> Vec<lineage::Input> {
        let mut inputs = vec![];
        for read in
            draft.reads.iter().filter(|read| draft.spec.inputs.iter().any(|input| *input.get_ref() == read.name))
        {
            let dataset = self.dataset(&read.of);
            for column in session.columns(&read.name).await.unwrap_or_default() {
                let (kind, subtype) = (lineage::Kind::Direct, lineage::Subtype::Transformation);
                inputs.push(lineage::Input { dataset: dataset.clone(), column: column.name, kind, subtype });
            }
        }
        inputs.sort();
        inputs
    }

    /// The dataset's name in lineage: a source's own, `flow.task` for a task's output.
    fn dataset(&self, of: &Of) -> String {
        let flow = self.flow.name.as_ref().map(|name| name.get_ref().as_str()).unwrap_or_default();
        match of {
            Of::Source(source) => source.clone(),
            Of::Task(task) => format!("{flow}.{task}"),
            Of::External(dataset) => dataset.clone(),
        }
    }

    fn declared_types(
        &mut self,
        task: &str,
        schema: &Spanned<BTreeMap<Spanned<String>, Spanned<String>>>,
    ) -> Option<Vec<Column>> {
        let before = self.diagnostics.len();
        let columns = self.declared_columns(task, schema.get_ref());
        for diagnostic in &mut self.diagnostics[before..] {
            diagnostic.source = None;
            diagnostic.task = Some(task.to_string());
        }
        columns
    }

    pub(super) async fn type_sql(
        &mut self,
        session: &Session,
        task: &str,
        sql: &Sql<'a>,
        reads: &[Read],
    ) -> Option<Typed> {
        let dataset = |name: &str| match reads.iter().find(|read| read.name == name) {
            Some(read) => Some(self.dataset(&read.of)),
            None if name == task => Some(self.dataset(&Of::Task(task.to_string()))),
            None => None,
        };
        let query = sql.query.clone().bind(&self.bound);
        match session.type_query(&query, &dataset).await {
            Ok(typed) => Some(typed),
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.report_typing(task, sql, problem));
                None
            }
        }
    }

    /// A mistake in SQL, unless it follows from a part of the file that could not be read.
    pub(super) fn report_typing(&mut self, task: &str, sql: &Sql<'a>, problem: Problem) {
        let unknown = sql.text.get(problem.span.clone()).unwrap_or_default();
        if problem.code == codes::UNKNOWN_TABLE && self.flow.excuses(unknown) {
            self.broken.insert(task.to_string());
            return;
        }
        self.report_sql(task, &sql.text, sql.place, problem);
    }

    fn contract(&mut self, draft: &Draft<'a>, columns: &[Column]) {
        let Some(contract) = &draft.spec.contract else { return };
        let Contract { columns: promised, strict } = contract.get_ref();
        for (column, kind) in promised {
            let broken = |code, message: String, span, hint: Option<String>| {
                Diagnostic::error(code, span, message).maybe_hint(hint).task(draft.name)
            };
            let Ok(word) = self.engine.type_word(kind.get_ref()) else {
                let message = format!("`{}` is not a type", kind.get_ref());
                self.report(broken(codes::UNKNOWN_TYPE, message, kind.span(), None));
                continue;
            };
            match columns.iter().find(|found| found.name == *column.get_ref()) {
                None => {
                    let message = format!(
                        "the contract promises the column `{}`, which the task does not return",
                        column.get_ref()
                    );
                    let hint = name::suggest(column.get_ref(), columns.iter().map(|column| column.name.as_str()));
                    self.report(broken(codes::CONTRACT_COLUMN, message, column.span(), hint));
                }
                Some(found) if !self.engine.keeps_promise(&found.kind, &word) => {
                    let message = format!(
                        "the contract promises `{}` as {word}, and the task returns {}",
                        found.name, found.kind
                    );
                    let hint = format!("cast it in the SQL, or promise \"{}\"", found.kind);
                    self.report(broken(codes::CONTRACT_TYPE, message, kind.span(), Some(hint)));
                }
                Some(_) => {}
            }
        }
        let extra = columns.iter().filter(|column| !promised.keys().any(|name| *name.get_ref() == column.name));
        let extra: Vec<String> = extra.map(|column| format!("`{}`", column.name)).collect();
        if *strict && !extra.is_empty() {
            let message = format!("the task returns {}, which its strict contract does not list", extra.join(", "));
            let hint = "list it in the contract, leave it out of the SQL, or drop `strict`";
            self.report(Diagnostic::error(codes::CONTRACT_EXTRA, contract.span(), message).hint(hint).task(draft.name));
        }
    }

    /// Whether the keys and partitions of the output are columns of it.
    fn output_columns(&mut self, draft: &Draft<'a>, columns: &[Column]) {
        let Some(output) = draft.spec.output.as_ref().map(Spanned::get_ref) else { return };
        let keys = output.keys.iter().flat_map(|keys| keys.get_ref());
        for column in keys.chain(&output.partition_by) {
            self.column_exists(draft.name, column, columns, codes::OUTPUT_COLUMN);
        }
        let view = output.stored.as_ref().is_some_and(|stored| *stored.get_ref() == Stored::View);
        if !view
            && !output.partition_by.is_empty()
            && columns.iter().all(|column| output.partition_by.iter().any(|name| *name.get_ref() == column.name))
        {
            let message = "every column is a partition column, so the files would hold nothing";
            let span = output.partition_by[0].span();
            self.report(Diagnostic::error(codes::ALL_PARTITIONED, span, message).task(draft.name));
        }
    }

    /// The column called so; a diagnostic if there is none.
    pub(super) fn column_exists<'c>(
        &mut self,
        task: &str,
        column: &Spanned<String>,
        columns: &'c [Column],
        code: &'static str,
    ) -> Option<&'c Column> {
        let found = columns.iter().find(|found| found.name == *column.get_ref());
        if found.is_none() {
            let message = format!("`{task}` has no column `{}`", column.get_ref());
            let hint = name::suggest(column.get_ref(), columns.iter().map(|column| column.name.as_str()));
            self.report(Diagnostic::error(code, column.span(), message).maybe_hint(hint).task(task));
        }
        found
    }
}
