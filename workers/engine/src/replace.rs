//! Which files a publish takes away: none, all, those of the same identity, those of the same partitions.

use std::collections::{BTreeSet, HashSet};

use datafusion::common::Column;
use datafusion::logical_expr::{JoinType, LogicalPlanBuilder};
use datafusion::prelude::{DataFrame, Expr, ident, lit};
use deltalake::DeltaTable;
use deltalake::kernel::{Action, Add, Remove};
use flow::spec::Mode;
use flow::wire::Failure;

use crate::Engine;
use crate::error::{delta, failure};
use crate::header::{changed_header, header_for, new_header, one_column_set};
use crate::lake::Table;
use crate::log::{Commit, Mark};
use crate::publish::{Identity, Publish};
use crate::session::Session;
use crate::stage::{self, Staged};

/// What a commit does to the table besides adding the staged files.
#[derive(Default)]
pub(crate) struct Change {
    /// The version that it was worked out on; `None` for a table that does not exist.
    pub read: Option<u64>,
    /// Protocol and metadata, where they are new.
    pub header: Vec<Action>,
    pub removes: Vec<Remove>,
    /// Rewritten files: rows that stay, out of files that go.
    pub adds: Vec<Add>,
    pub partition_by: Vec<String>,
    pub warnings: Vec<String>,
    rewritten: Option<Staged>,
    kept: Vec<String>,
}

impl Engine {
    /// Works out the change on the table's latest version.
    pub(crate) async fn change(
        &self,
        session: &Session,
        table: &Table,
        staged: &Staged,
        publish: &Publish<'_>,
    ) -> Result<Change, Failure> {
        let partition_by = publish.output.partition_by.clone();
        let Some(latest) = table.latest().await? else {
            all_match(session, table, staged, publish).await?;
            if publish.output.mode == Mode::Merge {
                let source = DataFrame::new(session.state.clone(), staged.plan(table).map_err(failure)?);
                one_row_a_key(&source, &keys(publish)).await?;
            }
            let header = new_header(staged, &partition_by)?;
            return Ok(Change { header, partition_by, ..Change::default() });
        };
        fence(table, latest, publish).await?;
        let opened = table.open(latest).await?;
        let mut change = Change { read: Some(latest), partition_by, ..Change::default() };
        change.header = changed_header(&opened, staged, publish)?;
        let active = active_files(&opened)?;
        let going: HashSet<String> = match publish.output.mode {
            Mode::Overwrite => active.iter().map(|add| add.path.clone()).collect(),
            Mode::Append => self.same_identity(table, latest, publish).await?,
            Mode::ReplaceWhere if publish.predicate.is_none() => {
                if staged.adds.is_empty() {
                    change.warnings.push("the output is empty, so no partition is replaced".into());
                }
                same_partitions(&active, staged)
            }
            Mode::ReplaceWhere => {
                all_match(session, table, staged, publish).await?;
                self.rewrite_where(session, table, &opened, &active, publish, &mut change).await?
            }
            Mode::Merge => self.rewrite_merge(session, table, &opened, &active, staged, publish, &mut change).await?,
        };
        change.kept = active.iter().map(|add| &add.path).filter(|path| !going.contains(*path)).cloned().collect();
        change.removes = active.iter().filter(|add| going.contains(&add.path)).map(remove).collect();
        Ok(change)
    }

    /// The files that an earlier append of the same identity added.
    async fn same_identity(
        &self,
        table: &Table,
        latest: u64,
        publish: &Publish<'_>,
    ) -> Result<HashSet<String>, Failure> {
        let identity = Identity::of(publish.assignment);
        let mine = |mark: &Mark| mark.identity == identity;
        let found = table.last_commit(latest, mine, |mark| mark.mode != Mode::Append).await?;
        Ok(found.map(|commit| commit.adds.into_iter().collect()).unwrap_or_default())
    }

    /// Whether what a replace_where published still is all there is of what it replaces, whatever came later.
    pub(crate) async fn stands(
        &self,
        publish: &Publish<'_>,
        table: &Table,
        latest: u64,
        published: &Commit,
    ) -> Result<bool, Failure> {
        let opened = table.open(latest).await?;
        let active = active_files(&opened)?;
        let (mine, others): (Vec<&Add>, Vec<&Add>) = active.iter().partition(|add| published.adds.contains(&add.path));
        if mine.len() < published.adds.len() {
            return Ok(false);
        }
        if let Some(predicate) = &publish.predicate {
            let session = self.session();
            let name = &publish.assignment.plan.tasks[publish.assignment.task].name;
            session.add(name, table.provider(latest).await?);
            let rows = session.frame(&predicate.replaced).await?.count().await.map_err(failure)? as u64;
            return Ok(published.mark.as_ref().is_some_and(|mark| mark.rows == rows));
        }
        let partitions: HashSet<_> = mine.iter().map(|add| partition(add)).collect();
        Ok(!others.iter().any(|add| partitions.contains(&partition(add))))
    }

    /// replace_where: rows of touched files that do not match stay, in new files.
    async fn rewrite_where(
        &self,
        session: &Session,
        table: &Table,
        opened: &DeltaTable,
        active: &[Add],
        publish: &Publish<'_>,
        change: &mut Change,
    ) -> Result<HashSet<String>, Failure> {
        let Some(predicate) = &publish.predicate else { return Ok(HashSet::new()) };
        let name = &publish.assignment.plan.tasks[publish.assignment.task].name;
        let mut going = HashSet::new();
        for add in active {
            session.add(name, files(table, opened, [add.path.clone()]).await?);
            if session
                .frame(&predicate.replaced)
                .await?
                .limit(0, Some(1))
                .map_err(failure)?
                .count()
                .await
                .map_err(failure)?
                > 0
            {
                going.insert(add.path.clone());
            }
        }
        if !going.is_empty() {
            session.add(name, files(table, opened, going.iter().cloned()).await?);
            let kept = session.frame(&predicate.kept).await?;
            change.rewrite(session, table, kept).await?;
        }
        Ok(going)
    }

    /// merge: rows of touched files whose key is not in the output stay, in new files.
    #[expect(clippy::too_many_arguments, reason = "one merge needs both sides of it and both tables")]
    async fn rewrite_merge(
        &self,
        session: &Session,
        table: &Table,
        opened: &DeltaTable,
        active: &[Add],
        staged: &Staged,
        publish: &Publish<'_>,
        change: &mut Change,
    ) -> Result<HashSet<String>, Failure> {
        let keys = keys(publish);
        let source = DataFrame::new(session.state.clone(), staged.plan(table).map_err(failure)?);
        one_row_a_key(&source, &keys).await?;
        let mut going = HashSet::new();
        for add in active {
            let file = scan(session, files(table, opened, [add.path.clone()]).await?)?;
            let touched = join(file, source.clone(), &keys, JoinType::LeftSemi).map_err(failure)?;
            if touched.limit(0, Some(1)).map_err(failure)?.count().await.map_err(failure)? > 0 {
                going.insert(add.path.clone());
            }
        }
        if !going.is_empty() {
            let target = scan(session, files(table, opened, going.iter().cloned()).await?)?;
            let kept = join(target, source, &keys, JoinType::LeftAnti).map_err(failure)?;
            change.rewrite(session, table, kept).await?;
        }
        Ok(going)
    }
}

impl Change {
    /// Replaces the whole table, whatever it holds.
    pub(crate) async fn overwrite(table: &Table, staged: &Staged) -> Result<Change, Failure> {
        let Some(latest) = table.latest().await? else {
            return Ok(Change { header: new_header(staged, &[])?, ..Change::default() });
        };
        let opened = table.open(latest).await?;
        let removes = active_files(&opened)?.iter().map(remove).collect();
        let header = header_for(&opened, one_column_set(&staged.schema)?, &[])?;
        Ok(Change { read: Some(latest), header, removes, ..Change::default() })
    }

    /// Takes every row away; `None` if there is none.
    pub(crate) async fn clear(table: &Table) -> Result<Option<Change>, Failure> {
        let Some(latest) = table.latest().await? else { return Ok(None) };
        let removes: Vec<Remove> = active_files(&table.open(latest).await?)?.iter().map(remove).collect();
        Ok((!removes.is_empty()).then_some(Change { read: Some(latest), removes, ..Change::default() }))
    }

    async fn rewrite(&mut self, session: &Session, table: &Table, kept: DataFrame) -> Result<(), Failure> {
        let plan = stage::as_published(kept.into_unoptimized_plan()).map_err(failure)?;
        let staged = stage::stage(session, plan, table, &self.partition_by).await?;
        self.adds.clone_from(&staged.adds);
        self.rewritten = Some(staged);
        Ok(())
    }

    /// The rewritten files are part of the table now, or may be.
    pub(crate) fn keep(&self) {
        self.rewritten.iter().for_each(|rewritten| rewritten.litter.keep());
    }

    /// Removes what was rewritten for a commit that did not happen.
    pub(crate) async fn discard(&self, table: &Table) {
        if let Some(rewritten) = &self.rewritten {
            stage::discard(table, rewritten).await;
        }
    }

    pub(crate) fn sync(&self, table: &Table) -> Result<(), Failure> {
        self.rewritten.as_ref().map_or(Ok(()), |rewritten| stage::sync(table, rewritten))
    }

    /// The rows that the table has after the commit.
    pub(crate) async fn table_as_it_would_be(
        &self,
        session: &Session,
        table: &Table,
        staged: &Staged,
    ) -> Result<DataFrame, Failure> {
        let mut all = LogicalPlanBuilder::from(staged.plan(table).map_err(failure)?);
        if let (Some(read), false) = (self.read, self.kept.is_empty()) {
            let opened = table.open(read).await?;
            let kept = scan(session, files(table, &opened, self.kept.iter().cloned()).await?)?;
            all = all.union_by_name(kept.into_unoptimized_plan()).map_err(failure)?;
        }
        if let Some(rewritten) = &self.rewritten {
            all = all.union_by_name(rewritten.plan(table).map_err(failure)?).map_err(failure)?;
        }
        Ok(DataFrame::new(session.state.clone(), all.build().map_err(failure)?))
    }
}

/// A publish with an older token than the table has seen must not happen.
async fn fence(table: &Table, latest: u64, publish: &Publish<'_>) -> Result<(), Failure> {
    let last = table.last_commit(latest, |_| true, |_| true).await?;
    match last.and_then(|commit| commit.mark) {
        Some(mark) if mark.token >= publish.assignment.token => {
            let message = format!(
                "attempt {} was overtaken by a later publish of `{}`",
                publish.assignment.attempt, table.dataset
            );
            Err(Failure::external(message))
        }
        _ => Ok(()),
    }
}

#[expect(deprecated, reason = "the Arrow arrays that replace it have no way back to an action")]
fn active_files(opened: &DeltaTable) -> Result<Vec<Add>, Failure> {
    let state = opened.snapshot().map_err(|error| delta("failed to list the table's files", &error))?;
    Ok(state.log_data().iter().map(|file| file.add_action()).collect())
}

/// The active files in partitions that the output has rows for.
fn same_partitions(active: &[Add], staged: &Staged) -> HashSet<String> {
    let present: HashSet<_> = staged.adds.iter().map(partition).collect();
    active.iter().filter(|add| present.contains(&partition(add))).map(|add| add.path.clone()).collect()
}

/// The partition that a file belongs to.
fn partition(add: &Add) -> BTreeSet<(String, Option<String>)> {
    add.partition_values.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn remove(add: &Add) -> Remove {
    Remove {
        path: add.path.clone(),
        data_change: true,
        deletion_timestamp: Some(add.modification_time),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(add.size),
        deletion_vector: add.deletion_vector.clone(),
        ..Remove::default()
    }
}

/// Some of a version's files as a table.
async fn files(
    table: &Table,
    opened: &DeltaTable,
    paths: impl IntoIterator<Item = String>,
) -> Result<std::sync::Arc<dyn datafusion::catalog::TableProvider>, Failure> {
    let urls = paths.into_iter().map(|path| table.file_url(&path).to_string());
    let provider = opened.table_provider().with_file_paths(urls).build().await.map_err(failure)?;
    Ok(std::sync::Arc::new(provider))
}

fn keys<'a>(publish: &'a Publish<'_>) -> Vec<&'a str> {
    publish.output.keys.iter().map(String::as_str).collect()
}

fn scan(
    session: &Session,
    table: std::sync::Arc<dyn datafusion::catalog::TableProvider>,
) -> Result<DataFrame, Failure> {
    let source = datafusion::datasource::provider_as_source(table);
    let plan = LogicalPlanBuilder::scan("target", source, None).and_then(LogicalPlanBuilder::build).map_err(failure)?;
    Ok(DataFrame::new(session.state.clone(), plan))
}

fn join(target: DataFrame, source: DataFrame, keys: &[&str], kind: JoinType) -> datafusion::error::Result<DataFrame> {
    let source = source.select(keys.iter().copied().map(ident).collect::<Vec<Expr>>())?.alias("source")?;
    let column = |table: &str, key: &&str| Expr::Column(Column::new(Some(table), *key));
    let equal = keys.iter().map(|key| column("target", key).eq(column("source", key)));
    target.alias("target")?.join_on(source, kind, equal.collect::<Vec<_>>())
}

/// Rows that a replace_where would not replace itself the next time must not be published by it.
async fn all_match(session: &Session, table: &Table, staged: &Staged, publish: &Publish<'_>) -> Result<(), Failure> {
    let Some(predicate) = &publish.predicate else { return Ok(()) };
    session.add(&publish.assignment.plan.tasks[publish.assignment.task].name, staged.view(table)?);
    let misses = session.frame(&predicate.kept).await?.count().await.map_err(failure)?;
    if misses == 0 {
        return Ok(());
    }
    let text = publish.output.predicate.as_deref().unwrap_or_default();
    Err(Failure::user(format!("{misses} rows of the output do not match `where = \"{text}\"`; filter them in the SQL")))
}

async fn one_row_a_key(source: &DataFrame, keys: &[&str]) -> Result<(), Failure> {
    let without = keys.iter().map(|key| ident(*key).is_null()).reduce(Expr::or).unwrap_or_else(|| lit(false));
    let without = source.clone().filter(without).map_err(failure)?.count().await.map_err(failure)?;
    if without > 0 {
        let message = format!("the output has {without} rows with a NULL in the key ({})", keys.join(", "));
        return Err(Failure::user(format!("{message}; merge could not find them again: filter them, or fill the key")));
    }
    let names: Vec<Expr> = keys.iter().copied().map(ident).collect();
    let rows = source.clone().count().await.map_err(failure)?;
    let distinct =
        source.clone().select(names).and_then(DataFrame::distinct).map_err(failure)?.count().await.map_err(failure)?;
    if rows == distinct {
        return Ok(());
    }
    Err(Failure::user(format!(
        "the output has {} rows whose key ({}) is not their own; merge needs one row a key",
        rows - distinct,
        keys.join(", ")
    )))
}
