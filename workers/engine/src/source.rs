//! Data that flows read and do not make: its files, its types, its rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::avro::AvroFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::{self, ObjectStoreExt};
use flow::codes;
use flow::plan::{Column, Source};
use flow::spec::Format;
use flow::wire::{Failure, PinnedFile};

use crate::error::{failure, text};
use crate::memory::Memory;
use crate::textfile::{self, TextFiles};
use crate::{Engine, session, tables, types};

/// What is wrong with a source, and with which of its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceProblem {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// The column whose declaration is wrong; otherwise it is the path.
    pub column: Option<String>,
}

fn problem(code: &'static str, message: String, hint: impl Into<String>) -> SourceProblem {
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
        let files = files(source)?;
        let note = Memory::key(source, &files);
        if let Some(columns) = note.as_ref().and_then(|note| self.memory.recall(note)) {
            return Ok(columns);
        }
        let inferred = self.infer_schema(source, &files).await.map_err(|message| {
            let hint = "see whether the file is complete and of the format that `format` says";
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

    async fn infer_schema(&self, source: &Source, files: &[PathBuf]) -> Result<Schema, String> {
        let Some(format) = binary_format(source.format) else {
            let (source, files) = (source.clone(), files.to_vec());
            let inferred = tokio::task::spawn_blocking(move || textfile::infer(&source, &files)).await;
            return inferred.map_err(|error| error.to_string())?;
        };
        let unreadable = |error| format!("`{}` cannot be read: {}", source.path, text(&error));
        let store: Arc<dyn object_store::ObjectStore> = Arc::new(object_store::local::LocalFileSystem::new());
        let mut objects = vec![];
        for file in files {
            let path = object_store::path::Path::from_absolute_path(file).map_err(|error| unreadable(error.into()))?;
            objects.push(store.head(&path).await.map_err(|error| unreadable(error.into()))?);
        }
        let schema = format.infer_schema(self.state(), &store, &objects).await.map_err(unreadable)?;
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
        let files: Vec<PathBuf> = pinned.iter().map(|file| PathBuf::from(&file.path)).collect();
        listing(source, files, schema).map_err(failure)
    }
}

/// A table over exactly these files.
fn listing(
    source: &Source,
    files: Vec<PathBuf>,
    schema: SchemaRef,
) -> datafusion::error::Result<Arc<dyn TableProvider>> {
    let Some(format) = binary_format(source.format) else {
        return Ok(Arc::new(TextFiles::new(source, files, schema)));
    };
    let options = ListingOptions::new(format).with_file_extension("");
    let urls = files.iter().map(|file| {
        let path = object_store::path::Path::from_absolute_path(file)?;
        ListingTableUrl::parse(format!("{}{path}", ObjectStoreUrl::local_filesystem().as_str()))
    });
    let urls = urls.collect::<Result<Vec<_>, _>>()?;
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
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

/// The files that a source's path stands for, sorted.
pub(crate) fn files(source: &Source) -> Result<Vec<PathBuf>, SourceProblem> {
    let path = Path::new(&source.path);
    let missing = |message: String, hint: String| Err(problem(codes::SOURCE_MISSING, message, hint));
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if path.exists() && !path.is_dir() {
        let message = format!("`{}` is neither a file nor a folder", source.path);
        return missing(message, "a pipe or device cannot be read twice; write it to a file first".into());
    }
    let pattern =
        if path.is_dir() { format!("{}/**/*", glob::Pattern::escape(&source.path)) } else { source.path.clone() };
    let matches = glob::glob(&pattern);
    let matches = matches.map_err(|error| {
        problem(
            codes::SOURCE_MISSING,
            format!("`{}`: {}", source.path, error.msg),
            "`*`, `**`, `?` and `[a-z]` are special",
        )
    })?;
    let visible = |file: &PathBuf| {
        let inside = file.strip_prefix(path).unwrap_or(Path::new(file.file_name().unwrap_or_default()));
        !inside.iter().any(|part| part.to_string_lossy().starts_with(['.', '_']))
    };
    let mut files: Vec<PathBuf> =
        matches.filter_map(Result::ok).filter(|file| file.is_file() && visible(file)).collect();
    files.sort();
    if files.is_empty() && pattern == source.path && !pattern.contains(['*', '?', '[']) {
        return missing(format!("`{}` does not exist", source.path), near_file(path));
    }
    if files.is_empty() {
        return missing(format!("no file matches `{}`", source.path), near_file(path));
    }
    Ok(files)
}

/// What stands where the file was looked for.
fn near_file(path: &Path) -> String {
    let Some(folder) = path.ancestors().find(|folder| folder.is_dir()) else {
        return "paths are relative to the flow file".into();
    };
    let names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let shown: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    match shown.is_empty() {
        true => format!("the folder `{}` is empty", folder.display()),
        false => format!("`{}` holds {}{more}", folder.display(), shown.join(", ")),
    }
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
