//! Datasets for programs that read files: a folder of Parquet, and back.

use std::path::{Path, PathBuf};

use datafusion::dataframe::DataFrameWriteOptions;
use flow::plan::{Column, Source};
use flow::spec::Format;
use flow::wire::{Failure, PinnedFile};

use crate::error::{failure, io};
use crate::session::{Session, pairs};
use crate::{Query, durable, stage};

/// The name under which a command's files are read.
const FILES: &str = "__files";

impl Session {
    /// Writes a table as a folder of Parquet files, its partition columns inside.
    pub async fn export(&self, name: &str, folder: &Path) -> Result<(), Failure> {
        durable::make_folder(folder).map_err(|error| io("failed to make the folder", folder, &error))?;
        let rows = self.table(name).await?;
        let schema = rows.schema().as_arrow().clone();
        let plan = stage::as_published(rows.into_unoptimized_plan()).map_err(failure)?;
        let rows = datafusion::prelude::DataFrame::new(self.state.clone(), plan);
        let target = format!("{}/", folder.display());
        rows.write_parquet(&target, DataFrameWriteOptions::new(), None).await.map_err(failure)?;
        let written = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if written { Ok(()) } else { empty_file(&schema, folder) }
    }

    /// A query over the files that a command left, whose columns must be those that the task declares.
    pub async fn files_query(&self, format: Format, columns: Vec<Column>, files: &[PathBuf]) -> Result<Query, Failure> {
        let name = |column: &Column| format!("\"{}\"", column.name.replace('"', "\"\""));
        let list: Vec<String> = columns.iter().map(name).collect();
        let text = format!("select {} from {FILES}", list.join(", "));
        if files.is_empty() {
            self.add_type(FILES, pairs(&columns)).map_err(Failure::user)?;
        } else {
            self.add_files(format, columns, files).await?;
        }
        self.engine.parse(&text).map_err(|problem| Failure::internal(problem.message))
    }

    async fn add_files(&self, format: Format, columns: Vec<Column>, files: &[PathBuf]) -> Result<(), Failure> {
        let source = |path: String, columns| Source {
            name: FILES.into(),
            path,
            format,
            null: vec![],
            delimiter: b',',
            header: true,
            columns,
        };
        let mut pinned = vec![];
        for file in files {
            let path = file.display().to_string();
            let found = self
                .engine
                .infer(&source(path.clone(), vec![]), false, true)
                .await
                .map_err(|problem| Failure::user(problem.message))?;
            self.keeps_schema(format, &columns, &found, file)?;
            pinned.push(PinnedFile { path, bytes: 0, stamp: String::new(), hash: String::new() });
        }
        self.add_source(FILES, &source(String::new(), columns), &pinned).await
    }

    /// Whether a file has the declared columns, no others, and their types. Text formats are read as declared.
    fn keeps_schema(&self, format: Format, declared: &[Column], found: &[Column], file: &Path) -> Result<(), Failure> {
        let shown = file.file_name().unwrap_or_default().to_string_lossy();
        for column in declared {
            let Some(actual) = found.iter().find(|actual| actual.name == column.name) else {
                return Err(Failure::user(format!(
                    "the file `{shown}` lacks the column `{}` of the task's `schema`",
                    column.name
                )));
            };
            let typed = matches!(format, Format::Parquet | Format::Avro);
            if typed && !self.engine.keeps_promise(&actual.kind, &column.kind) {
                let message = format!(
                    "column `{}` of the file `{shown}` is {}, and `schema` says {}",
                    column.name, actual.kind, column.kind
                );
                return Err(Failure::user(message));
            }
        }
        match found.iter().find(|actual| !declared.iter().any(|column| column.name == actual.name)) {
            Some(extra) => Err(Failure::user(format!(
                "the file `{shown}` has a column `{}` that the task's `schema` does not list",
                extra.name
            ))),
            None => Ok(()),
        }
    }
}

/// A table without rows still tells its columns.
fn empty_file(schema: &datafusion::arrow::datatypes::Schema, folder: &Path) -> Result<(), Failure> {
    use datafusion::parquet::arrow::ArrowWriter;
    let path = folder.join("empty.parquet");
    let file = std::fs::File::create(&path).map_err(|error| io("failed to write", &path, &error))?;
    let write = ArrowWriter::try_new(file, std::sync::Arc::new(schema.clone()), None).and_then(ArrowWriter::close);
    write.map(drop).map_err(|error| Failure::internal(error.to_string()))
}
