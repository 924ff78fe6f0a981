//! Data files written at their final place, in no commit yet.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{ViewTable, file_format::parquet::ParquetFormat, provider_as_source};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use datafusion::physical_plan::execute_stream_partitioned;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use flow::wire::{Effort, Failure};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;

use crate::error::{delta, failure, io};
use crate::lake::Table;
use crate::litter::Litter;
use crate::relay::Relay;
use crate::rowcounts::{Counted, RowCounts};
use crate::session::Session;
use crate::textfile::RowsRead;
use crate::{durable, encoding, stages, types, upload};

const FILE_BYTES_TARGET: u64 = 512 << 20;
const WRITE_ROWS: usize = 8192;

/// Up to this many folders are synced where they were asked for: that is done before a thread is found.
const SYNC_INLINE_FOLDERS_MAX: usize = 16;

/// What Hive and Delta call the folder of NULLs.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// What is held back of each stream until its encodings are chosen.
const SAMPLE_BYTES_MAX: usize = 16 << 20;

/// Files that wait for their commit.
pub(crate) struct Staged {
    pub adds: Vec<Add>,
    pub rows: u64,
    pub bytes: u64,
    pub effort: Effort,
    /// What the checks that look at a row at a time found.
    pub counted: Vec<Option<Counted>>,
    /// The columns as published, partition columns included.
    pub schema: SchemaRef,
    pub litter: Arc<Litter>,
    partition_by: Vec<String>,
}

/// The plan with every column cast to the type that tables hold.
pub(crate) fn as_published(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plain = |field: &datafusion::arrow::datatypes::Field| {
        types::published(field.data_type()).as_ref() == Some(field.data_type())
    };
    let bare = plan.schema().iter().all(|(table, field)| table.is_none() && plain(field));
    if bare {
        return Ok(plan);
    }
    let column =
        |(table, field): (Option<&datafusion::common::TableReference>, &Arc<datafusion::arrow::datatypes::Field>)| {
            let column = Expr::Column((table, field.as_ref()).into());
            let wanted = types::published(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            if wanted == *field.data_type() {
                column.alias(field.name())
            } else {
                cast(column, wanted).alias(field.name())
            }
        };
    let columns: Vec<Expr> = plan.schema().iter().map(column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Runs a plan and writes its rows, counted, as data files of `table`. A failure leaves no file.
pub(crate) async fn stage(
    session: &Session,
    plan: LogicalPlan,
    table: &Table,
    partition_by: &[String],
    counts: RowCounts,
) -> Result<Staged, Failure> {
    let physical = session.state.create_physical_plan(&plan).await.map_err(failure)?;
    let schema = physical.schema();
    let streams = execute_stream_partitioned(physical.clone(), session.state.task_ctx()).map_err(failure)?;
    let litter = Arc::new(Litter::of(table, session.engine.open.clone().try_acquire_owned().ok()));
    let partitions = partition_by.to_vec();
    let mut staged = Staged { schema: schema.clone(), litter, partition_by: partitions, ..Staged::none() };
    let target = std::num::NonZeroU64::new(FILE_BYTES_TARGET);
    let config =
        WriterConfig::new(schema, partition_by.to_vec(), None, target, Some(WRITE_ROWS), Default::default(), None);
    let counts = Arc::new(counts);
    let relay = Relay::new();
    let mut writers = JoinSet::new();
    for stream in streams {
        let (config, partitions) = (config.clone(), partition_by.to_vec());
        let stream = stream.map(move |batch| batch.map_err(failure).and_then(|batch| placeable(batch, &partitions)));
        // A helper would begin a file in each partition.
        let relay = partition_by.is_empty().then(|| relay.clone());
        let litter = staged.litter.clone();
        writers.spawn(write(stream.boxed(), relay, table.clone(), config, counts.clone(), litter));
    }
    drop(relay);
    let mut failed = None;
    while let Some(written) = writers.join_next().await {
        match written {
            Ok(Ok(adds)) => staged.adds.extend(adds),
            Ok(Err(failure)) => {
                failed.get_or_insert(failure);
                writers.abort_all();
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                failed.get_or_insert(Failure::internal(error.to_string()));
            }
        }
    }
    if let Some(failure) = failed {
        discard(table, &staged).await;
        return Err(failure);
    }
    staged.effort = stages::tell(physical.as_ref());
    staged.effort.rows_read += session.state.config().get_extension::<RowsRead>().map_or(0, |read| read.take());
    staged.adds.sort_by(|a, b| a.path.cmp(&b.path));
    staged.rows = counts.rows();
    staged.counted = counts.found();
    staged.bytes = staged.adds.iter().filter_map(|add| u64::try_from(add.size).ok()).sum();
    Ok(staged)
}

async fn write(
    mut stream: BoxStream<'static, Result<RecordBatch, Failure>>,
    relay: Option<Relay>,
    table: Table,
    config: WriterConfig,
    counts: Arc<RowCounts>,
    litter: Arc<Litter>,
) -> Result<Vec<Add>, Failure> {
    let (sample, is_all) = first_rows(&mut stream).await?;
    let mut writer = DeltaWriter::new(upload::store(&table, &litter), config);
    writer = writer.with_writer_properties(encoding::properties(&sample));
    // Who has few rows does not help: they say too little of how those of others are best encoded.
    let rest = if let Some(relay) = relay.filter(|_| !is_all) { relay.share(stream) } else { stream };
    let mut batches = futures::stream::iter(sample.into_iter().map(Ok)).chain(rest);
    while let Some(batch) = batches.next().await {
        let written = match batch {
            Ok(batch) if batch.num_rows() == 0 => continue,
            Ok(batch) => match counts.add(&batch) {
                Ok(()) => writer.write(&batch).await.map_err(|error| delta("failed to write the dataset", &error)),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        if let Err(failure) = written {
            // What a store does not abort is an orphan that `fsck --repair` removes.
            let _ = writer.abort().await;
            return Err(failure);
        }
    }
    writer.close().await.map_err(|error| delta("failed to write the dataset", &error))
}

/// Partitions have no name for an empty text: every reader would take it for NULL, and so it does the name that Hive has
/// for NULL. See "Partition Value Serialization" in the Delta protocol.
fn placeable(batch: RecordBatch, partition_by: &[String]) -> Result<RecordBatch, Failure> {
    for name in partition_by {
        let texts = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let unnamed = |text: &str| text.is_empty() || text == HIVE_NULL;
        if let Some(text) = texts.and_then(|texts| texts.iter().flatten().find(|text| unnamed(text))) {
            return Err(Failure::user(format!(
                "a partition of `{name}` cannot be called '{text}', which readers of Delta tables take for NULL; \
                 write `nullif({name}, '{text}')`, or another text"
            )));
        }
    }
    Ok(batch)
}

/// Enough rows to see how their columns are best encoded, and whether there are no more.
async fn first_rows(
    stream: &mut BoxStream<'static, Result<RecordBatch, Failure>>,
) -> Result<(Vec<RecordBatch>, bool), Failure> {
    let (mut sample, mut rows, mut bytes) = (vec![], 0, 0);
    while rows < encoding::SAMPLE_ROWS && bytes < SAMPLE_BYTES_MAX {
        let Some(batch) = stream.next().await else { return Ok((sample, true)) };
        let batch = batch?;
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        sample.push(batch);
    }
    Ok((sample, false))
}

/// Removes staged files that will never be committed.
pub(crate) async fn discard(table: &Table, staged: &Staged) {
    staged.litter.remove();
    if table.folder.is_some() || staged.litter.is_kept() {
        return;
    }
    for add in &staged.adds {
        // What cannot be removed is left to `fsck --repair`.
        let _ = table.remove(&add.path).await;
    }
}

/// Makes durable that staged files are in their folders, and that the log has one.
pub(crate) async fn sync_folders(table: &Table, staged: &Staged) -> Result<(), Failure> {
    let Some(folder) = &table.folder else { return Ok(()) };
    let log = folder.join("_delta_log");
    match durable::make_folder(folder).and_then(|()| std::fs::create_dir(&log)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(io("failed to make the folder", &log, &error));
        }
        _ => {}
    }
    let mut folders = BTreeSet::from([folder.clone()]);
    for add in &staged.adds {
        let path = folder.join(&add.path);
        folders.extend(path.ancestors().skip(1).take_while(|path| path.starts_with(folder)).map(Path::to_path_buf));
    }
    let inline = folders.len() < SYNC_INLINE_FOLDERS_MAX;
    let all = move || {
        let one = |folder: &PathBuf| durable::sync_folder(folder).map_err(|error| io("failed to sync", folder, &error));
        folders.iter().try_for_each(one)
    };
    if inline {
        return all();
    }
    tokio::task::spawn_blocking(all).await.map_err(|error| Failure::internal(error.to_string()))?
}

impl Staged {
    /// No rows.
    pub(crate) fn none() -> Staged {
        Staged {
            adds: vec![],
            rows: 0,
            bytes: 0,
            effort: Effort::default(),
            counted: vec![],
            schema: Arc::new(datafusion::arrow::datatypes::Schema::empty()),
            litter: Arc::new(Litter::nothing()),
            partition_by: vec![],
        }
    }

    /// The staged rows as a table, to be checked before they are published.
    pub(crate) fn view(&self, table: &Table) -> Result<Arc<ViewTable>, Failure> {
        let plan = self.plan(table).map_err(failure)?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// A plan that reads the staged rows.
    pub(crate) fn plan(&self, table: &Table) -> PlanResult<LogicalPlan> {
        let mut parts: std::collections::BTreeMap<Vec<Option<String>>, Vec<&Add>> = Default::default();
        for add in &self.adds {
            let values = self.partition_by.iter().map(|name| add.partition_values.get(name).cloned().flatten());
            parts.entry(values.collect()).or_default().push(add);
        }
        let parts = parts.into_iter().map(|(values, adds)| self.part(table, &values, &adds));
        let mut plans = parts.collect::<PlanResult<Vec<_>>>()?.into_iter();
        let Some(first) = plans.next() else {
            let empty = datafusion::datasource::empty::EmptyTable::new(self.schema.clone());
            return LogicalPlanBuilder::scan("staged", provider_as_source(Arc::new(empty)), None)?.build();
        };
        plans.try_fold(LogicalPlanBuilder::from(first), |all, part| all.union(part))?.build()
    }

    /// The files of one partition, its values filled in.
    fn part(&self, table: &Table, values: &[Option<String>], adds: &[&Add]) -> PlanResult<LogicalPlan> {
        let urls = adds.iter().map(|add| ListingTableUrl::parse(table.file_url(&add.path).as_str()));
        let stored = self.schema.fields().iter().filter(|field| !self.partition_by.contains(field.name()));
        let stored = Arc::new(datafusion::arrow::datatypes::Schema::new(stored.cloned().collect::<Vec<_>>()));
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(urls.collect::<PlanResult<Vec<_>>>()?);
        let files = ListingTable::try_new(config.with_listing_options(options).with_schema(stored))?;
        let scan = LogicalPlanBuilder::scan("staged", provider_as_source(Arc::new(files)), None)?;
        let column = |field: &Arc<datafusion::arrow::datatypes::Field>| match self
            .partition_by
            .iter()
            .position(|name| name == field.name())
        {
            None => Ok(ident(field.name())),
            Some(index) => {
                let value = lit(ScalarValue::Utf8(values[index].clone()));
                Ok(value.cast_to(field.data_type(), &datafusion::common::DFSchema::empty())?.alias(field.name()))
            }
        };
        let columns = self.schema.fields().iter().map(column).collect::<PlanResult<Vec<_>>>()?;
        scan.project(columns)?.build()
    }
}
