//! Which files a publish takes away: none, all, those of the same identity, those of the same partitions.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::logical_expr::{JoinType, LogicalPlanBuilder, cast};
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
use crate::publish::{Identity, Publish, rows_of};
use crate::rowcounts::RowCounts;
use crate::session::Session;
use crate::stage::{self, Staged};

/// The column that names the file of a row, while it is asked which files a publish touches.
const ORIGIN: &str = "__flowctl_file";

/// What a commit does to the table besides adding the staged files.
#[derive(Default)]
pub(crate) struct Change {
    /// The version that it was worked out on; `None` for a table that does not exist.
    pub read: Option<u64>,
    /// The highest token that has published so far.
    pub highest: u64,
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
        let highest = fence(table, latest, publish).await?;
        let opened = table.open(latest).await?;
        let mut change = Change { read: Some(latest), highest, partition_by, ..Change::default() };
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
        session.add(name, with_origin(opened).await?);
        let going = origins(session.frame(&predicate.replaced).await?, table, active).await?;
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
        let all = scan(session, with_origin(opened).await?)?;
        let touched = join(all, source.clone(), &keys, JoinType::LeftSemi).map_err(failure)?;
        let going = origins(touched, table, active).await?;
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
        let staged = stage::stage(session, plan, table, &self.partition_by, RowCounts::default()).await?;
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

    pub(crate) async fn sync_folders(&self, table: &Table) -> Result<(), Failure> {
        match &self.rewritten {
            Some(rewritten) => stage::sync_folders(table, rewritten).await,
            None => Ok(()),
        }
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

/// The highest token that has published the table. A later attempt of the same task of the same run fences this one;
/// other runs do not, whichever began first: the last publisher wins.
async fn fence(table: &Table, latest: u64, publish: &Publish<'_>) -> Result<u64, Failure> {
    let assignment = publish.assignment;
    let task = &assignment.plan.tasks[assignment.task].name;
    let Some(last) = table.last_commit(latest, |_| true, |_| true).await? else { return Ok(0) };
    let mut looked_at = Some(last.clone());
    // Before the first commit that had only seen lower tokens, there is none by a later attempt.
    while let Some(commit) = looked_at.filter(|commit| commit.highest >= assignment.token) {
        let mine = |mark: &&Mark| mark.run_id == assignment.run_id && mark.task == *task;
        if commit.mark.as_ref().filter(mine).is_some_and(|mark| mark.token >= assignment.token) {
            let message = format!(
                "attempt {} was overtaken by a later attempt, which published `{}`",
                assignment.attempt, table.dataset
            );
            return Err(Failure::external(message));
        }
        looked_at = match commit.version.checked_sub(1) {
            Some(before) => table.last_commit(before, |_| true, |_| true).await?,
            None => None,
        };
    }
    Ok(last.highest)
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
) -> Result<Arc<dyn TableProvider>, Failure> {
    let urls = paths.into_iter().map(|path| table.file_url(&path).to_string());
    let provider = opened.table_provider().with_file_paths(urls).build().await.map_err(failure)?;
    Ok(Arc::new(provider))
}

/// A version's rows, and in [`ORIGIN`] the file of each.
async fn with_origin(opened: &DeltaTable) -> Result<Arc<dyn TableProvider>, Failure> {
    let provider = opened.table_provider().with_file_column(ORIGIN).build().await.map_err(failure)?;
    Ok(Arc::new(provider))
}

/// The active files that rows with an [`ORIGIN`] come from, in one pass over them.
async fn origins(rows: DataFrame, table: &Table, active: &[Add]) -> Result<HashSet<String>, Failure> {
    let origin = cast(ident(ORIGIN), DataType::Utf8).alias(ORIGIN);
    let found = rows.select(vec![origin]).and_then(DataFrame::distinct).map_err(failure)?;
    let known: HashMap<String, &str> =
        active.iter().map(|add| (table.file_url(&add.path).to_string(), add.path.as_str())).collect();
    let mut paths = HashSet::new();
    for batch in found.collect().await.map_err(failure)? {
        for url in batch.column(0).as_string::<i32>().iter().flatten() {
            let path = known.get(url);
            let path =
                path.ok_or_else(|| Failure::internal(format!("`{url}` is not a file of `{}`", table.dataset)))?;
            paths.insert((*path).to_string());
        }
    }
    Ok(paths)
}

fn keys<'a>(publish: &'a Publish<'_>) -> Vec<&'a str> {
    publish.output.keys.iter().map(String::as_str).collect()
}

fn scan(session: &Session, table: Arc<dyn TableProvider>) -> Result<DataFrame, Failure> {
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
    let misses = rows_of(misses as u64);
    Err(Failure::user(format!("{misses} of the output fall outside `where = \"{text}\"`; filter them in the SQL")))
}

async fn one_row_a_key(source: &DataFrame, keys: &[&str]) -> Result<(), Failure> {
    let without = keys.iter().map(|key| ident(*key).is_null()).reduce(Expr::or).unwrap_or_else(|| lit(false));
    let without = source.clone().filter(without).map_err(failure)?.count().await.map_err(failure)?;
    if without > 0 {
        let message =
            format!("the output has {} with a NULL in the key ({})", rows_of(without as u64), keys.join(", "));
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
