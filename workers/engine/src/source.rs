//! Data that flows read and do not make: its files, its types, its rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::avro::AvroFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result as PlanResult;
use datafusion::object_store::ObjectStoreExt;
use flow::codes;
use flow::plan::{Column, Source};
use flow::spec::Format;
use flow::wire::{Failure, PinnedFile};
use futures::{StreamExt, TryStreamExt};

use crate::error::{failure, text};
use crate::exact::cuts;
use crate::memory::Memory;
use crate::place::{Place, places};
use crate::textfile::{self, TextFiles};
use crate::{Engine, objects, session, tables, types};

/// Files that are asked at the same time how long they are.
const HEADS_AT_ONCE: usize = 16;

/// What is wrong with a source, and with which of its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceProblem {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// The column whose declaration is wrong; otherwise it is the path.
    pub column: Option<String>,
}

pub(crate) fn problem(code: &'static str, message: String, hint: impl Into<String>) -> SourceProblem {
    SourceProblem { code, message, hint: Some(hint.into()), column: None }
}

impl Engine {
    /// Types a source by reading it. `source.columns` overrides what is inferred; with `strict` it is
    /// the full contract, and no file is needed unless it is about to be `read`.
    pub async fn infer(&self, source: &Source, strict: bool, read: bool) -> Result<Vec<Column>, SourceProblem> {
        let needless = strict && !read && !source.columns.is_empty();
        let inferred = match self.inferred_columns(source).await {
            Err(missing) if missing.code == codes::SOURCE_MISSING && needless => {
                return Ok(source.columns.clone());
            }
            inferred => inferred?,
        };
        declared(source, strict, inferred)
    }

    async fn inferred_columns(&self, source: &Source) -> Result<Vec<Column>, SourceProblem> {
        if source.format == Format::Delta {
            return self.delta_columns(source).await;
        }
        self.columns_inside(source, &places(source).await?).await
    }

    /// The columns that files or objects have, as they tell it themselves.
    async fn columns_inside(&self, source: &Source, places: &[Place]) -> Result<Vec<Column>, SourceProblem> {
        let note = Memory::key(source, places);
        if let Some(columns) = note.as_ref().and_then(|note| self.memory.recall(note)) {
            return Ok(columns);
        }
        let inferred = self.infer_schema(source, places).await.map_err(|message| {
            let hint = match places.first() {
                Some(Place::Object(_)) => "see whether the object is complete and of the format that `format` says, and whether its store answers",
                _ => "see whether the file is complete and of the format that `format` says",
            };
            problem(codes::SOURCE_UNREADABLE, message, hint)
        })?;
        if let Some(twice) = twice(&inferred) {
            let hint = "give each column a name of its own in the header, or read the file with `header = false`";
            return Err(problem(
                codes::SOURCE_UNREADABLE,
                format!("`{}` has two columns called `{twice}`", source.path),
                hint,
            ));
        }
        if inferred.fields().is_empty() {
            let hint = "give it a header line, or set `columns` with `strict = true`";
            return Err(problem(codes::SOURCE_UNREADABLE, format!("`{}` has no columns", source.path), hint));
        }
        let inferred: Vec<Field> = inferred.fields().iter().map(|field| readable(field)).collect();
        let columns = session::columns(&Schema::new(inferred));
        if let Some(note) = note {
            self.memory.keep(note, &columns);
        }
        Ok(columns)
    }

    async fn infer_schema(&self, source: &Source, places: &[Place]) -> Result<Schema, String> {
        let Some(format) = binary_format(source.format) else {
            let (source, places) = (source.clone(), places.to_vec());
            let inferred = tokio::task::spawn_blocking(move || textfile::infer(&source, &places)).await;
            return inferred.map_err(|error| error.to_string())?;
        };
        let found = self.schema_inside(format.as_ref(), places).await;
        found.map_err(|error| format!("`{}` cannot be read: {}", source.path, text(&error)))
    }

    /// The types that files tell of themselves.
    async fn schema_inside(&self, format: &dyn FileFormat, places: &[Place]) -> PlanResult<Schema> {
        let Some(first) = places.first() else { return Ok(Schema::empty()) };
        let head = async |place: &Place| {
            let (store, key, _) = place.stored()?;
            store.head(&key).await
        };
        let heads = futures::stream::iter(places).map(head).buffered(HEADS_AT_ONCE).try_collect::<Vec<_>>().await?;
        let (store, ..) = first.stored()?;
        let schema = format.infer_schema(self.state(), &store, &heads).await?;
        Ok(schema.as_ref().clone())
    }

    async fn delta_columns(&self, source: &Source) -> Result<Vec<Column>, SourceProblem> {
        let hint = "`path` is the folder that holds `_delta_log`";
        let missing = |why: String| {
            problem(codes::SOURCE_MISSING, format!("`{}` is not a Delta table: {why}", source.path), hint)
        };
        let table = open_delta(&source.path, None).await.map_err(|failure| missing(failure.message))?;
        let provider = table.table_provider().await.map_err(|error| missing(error.to_string()))?;
        let fields: Vec<Field> = provider.schema().fields().iter().map(|field| readable(field)).collect();
        Ok(session::columns(&Schema::new(fields)))
    }

    /// The rows of a source's pinned files.
    pub(crate) async fn source_table(
        &self,
        source: &Source,
        pinned: &[PinnedFile],
    ) -> Result<Arc<dyn TableProvider>, Failure> {
        let schema = self.schema(session::pairs(&source.columns)).map_err(Failure::user)?;
        if source.format == Format::Delta {
            let version = pinned.first().and_then(|file| file.hash.split(':').next()?.parse().ok());
            let table = open_delta(&source.path, version).await?;
            let provider = table.table_provider().await.map_err(failure)?;
            return tables::as_declared(provider, &schema).map_err(failure);
        }
        let places: Vec<Place> = pinned.iter().map(Place::of).collect();
        let Some(format) = binary_format(source.format) else {
            return Ok(Arc::new(TextFiles::new(source, places, schema)));
        };
        // What is wrong with the files is told when they are read.
        let found = self.columns_inside(source, &places).await.unwrap_or_default();
        let found = self.schema(session::pairs(&found)).map_err(Failure::user)?;
        self.listing(format, &places, &found, &schema).map_err(failure)
    }

    /// A table over exactly these files, in which types were `found`, as `schema` wants it. Readers cast while they read,
    /// and cut: what they would cut is read as it is, and cast then.
    fn listing(
        &self,
        format: Arc<dyn FileFormat>,
        places: &[Place],
        found: &Schema,
        schema: &SchemaRef,
    ) -> PlanResult<Arc<dyn TableProvider>> {
        let options = ListingOptions::new(format).with_file_extension("");
        let urls = places.iter().map(|place| {
            let (store, _, url) = place.stored()?;
            let url = ListingTableUrl::parse(url)?;
            self.state().runtime_env().register_object_store(url.object_store().as_ref(), store);
            Ok(url)
        });
        let urls = urls.collect::<PlanResult<Vec<_>>>()?;
        let read = schema.fields().iter().map(|field| match found.field_with_name(field.name()) {
            Ok(found) if cuts(found.data_type(), field.data_type()) => Arc::new(found.clone()),
            _ => field.clone(),
        });
        let read = Arc::new(Schema::new(read.collect::<Vec<_>>()));
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
        let table = Arc::new(ListingTable::try_new(config.with_schema(read.clone()))?);
        if read == *schema { Ok(table) } else { tables::as_declared(table, schema) }
    }
}

/// The reader of files that are not text.
fn binary_format(format: Format) -> Option<Arc<dyn FileFormat>> {
    match format {
        Format::Csv | Format::Json => None,
        Format::Avro => Some(Arc::new(AvroFormat)),
        Format::Parquet | Format::Delta => Some(Arc::new(ParquetFormat::default())),
    }
}

async fn open_delta(path: &str, version: Option<u64>) -> Result<deltalake::DeltaTable, Failure> {
    let fault = |error: deltalake::DeltaTableError| crate::error::delta(&format!("failed to open `{path}`"), &error);
    if let Some(url) = objects::url(path) {
        objects::open(&url).map_err(Failure::external)?;
    }
    let url = deltalake::ensure_table_uri(path).map_err(fault)?;
    let mut builder = deltalake::DeltaTableBuilder::from_url(url).map_err(fault)?;
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    builder.load().await.map_err(fault)
}

/// The version of a Delta source, and which table it is one of: `7:` and the table's id.
pub(crate) async fn delta_version(path: &str) -> Result<String, Failure> {
    let table = open_delta(path, None).await?;
    let state = table.snapshot().map_err(|error| crate::error::delta(&format!("failed to open `{path}`"), &error))?;
    Ok(format!("{}:{}", table.version().unwrap_or_default(), state.metadata().id()))
}

/// The type that a column is read as: of what was inferred, what a table can hold.
fn readable(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Null => DataType::Utf8,
        kind => types::published(kind).unwrap_or(DataType::Utf8),
    };
    Field::new(field.name(), kind, true)
}

/// A name that several columns have.
fn twice(schema: &Schema) -> Option<&str> {
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// What was inferred, overridden by what is declared.
fn declared(source: &Source, strict: bool, mut inferred: Vec<Column>) -> Result<Vec<Column>, SourceProblem> {
    let names =
        |columns: &[Column]| columns.iter().map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(", ");
    for column in &source.columns {
        let Some(found) = inferred.iter_mut().find(|found| found.name == column.name) else {
            let message = format!("`{}` has no column `{}`", source.path, column.name);
            let problem = problem(codes::SOURCE_COLUMN, message, format!("it has {}", names(&inferred)));
            return Err(SourceProblem { column: Some(column.name.clone()), ..problem });
        };
        found.kind.clone_from(&column.kind);
    }
    let extra: Vec<Column> = inferred
        .iter()
        .filter(|found| !source.columns.iter().any(|column| column.name == found.name))
        .cloned()
        .collect();
    if strict && !extra.is_empty() {
        let message = format!("`{}` has columns that the strict source does not list: {}", source.path, names(&extra));
        return Err(problem(codes::SOURCE_EXTRA, message, "list them in `columns`, or drop `strict`"));
    }
    Ok(inferred)
}
