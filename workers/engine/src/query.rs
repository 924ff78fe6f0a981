//! SQL on the lake, as it is or as it was.

use std::io::Write;
use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json;
use datafusion::arrow::util::pretty;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use flow::codes;
use flow::plan::Source;
use flow::spec::Format;
use flow::wire::Failure;
use futures::StreamExt;
use serde_json::{Map, Value};

use crate::error::failure;
use crate::lake::Table;
use crate::place::{Place, places};
use crate::session::Session;
use crate::{Engine, Error, Problem, Query, objects, types};

/// A point in the past.
#[derive(Clone, Debug, PartialEq)]
pub enum At {
    /// A version of one dataset.
    Version { dataset: String, version: u64 },
    /// What every dataset was at a time, in milliseconds since the epoch.
    Time(i64),
    /// What a run published; datasets that it did not publish, as they were when it ended (milliseconds since the epoch).
    Run { run_id: String, ended_ms: i64 },
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    Table,
    Csv,
    /// One object a line.
    Json,
    Parquet,
}

impl Engine {
    /// Parses a query that stands by itself, outside a flow.
    pub fn parse_alone(&self, sql: &str) -> Result<Query, Error> {
        let query = self.parse(sql).map_err(|problem| Error::Sql(vec![problem]))?;
        if let Some((name, span)) = query.parameters.first() {
            let message = format!("the parameter `${name}` has no value here");
            let hint = Some("write the value itself".into());
            let problem = Problem { code: codes::UNDECLARED_PARAM, message, hint, span: span.clone() };
            return Err(Error::Sql(vec![problem]));
        }
        Ok(query)
    }

    /// Runs a query and writes its rows. Tables are those that `session` knows already, `flow.dataset`, `dataset`
    /// where that is unique, or a path in quotes. Returns the number of rows.
    pub async fn query(
        &self,
        session: &Session,
        query: &Query,
        at: &[At],
        format: OutputFormat,
        sink: &mut (dyn Write + Send),
    ) -> Result<u64, Error> {
        for reference in &query.references {
            if session.columns(&reference.name).await.is_none() {
                self.add_reference(session, &reference.name, at).await?;
            }
        }
        self.add_others(session, query).await?;
        let plan = session.analyse(query).await.map_err(Error::Sql)?;
        let physical = session.state.create_physical_plan(&plan).await.map_err(failure)?;
        let stream = datafusion::physical_plan::execute_stream(physical, session.state.task_ctx()).map_err(failure)?;
        write(stream, format, sink).await
    }

    /// Some rows of a dataset as it is now, as objects.
    pub async fn sample(&self, dataset: &str, rows_max: usize) -> Result<Vec<Map<String, Value>>, Error> {
        let Some(version) = self.version_at(dataset, &[]).await? else {
            return Err(Error::NotFound(format!("the lake has no table of `{dataset}`")));
        };
        let session = self.session();
        session.add_dataset("sampled", dataset, version).await?;
        let query = self.parse_alone(&format!("select * from sampled limit {rows_max}"))?;
        let mut lines = vec![];
        self.query(&session, &query, &[], OutputFormat::Json, &mut lines).await?;
        let rows: Result<_, _> = serde_json::Deserializer::from_slice(&lines).into_iter().collect();
        rows.map_err(|error| Error::Failed(Failure::internal(format!("rows are no JSON: {error}"))))
    }

    async fn add_reference(&self, session: &Session, name: &str, at: &[At]) -> Result<(), Error> {
        if name.contains('/') || Path::new(name).exists() {
            return Ok(self.add_path(session, name).await?);
        }
        let Some(dataset) = self.resolve(name).await? else { return Ok(()) };
        if let Some(version) = self.version_at(&dataset, at).await? {
            session.add_dataset(name, &dataset, version).await?;
        }
        Ok(())
    }

    /// The version of a dataset at a point in the past, the latest where none is given. `None` if nothing was ever
    /// published.
    pub async fn version_at(&self, dataset: &str, at: &[At]) -> Result<Option<u64>, Error> {
        let table = self.lake.table(dataset)?;
        match table.latest().await? {
            Some(latest) => Ok(Some(version_at(&table, latest, at).await?)),
            None => Ok(None),
        }
    }

    /// `flow.dataset`, or the one dataset of this name. `None` if there is none.
    pub async fn resolve(&self, name: &str) -> Result<Option<String>, Error> {
        if name.contains('.') {
            return Ok(Some(name.to_string()));
        }
        let all = self.lake.datasets().await?;
        let mut found =
            all.into_iter().filter(|dataset| dataset.rsplit_once('.').is_some_and(|(_, last)| last == name));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(Error::NotFound(format!(
                "`{name}` could be `{first}` or `{second}`; write the flow's name before it"
            ))),
            (first, _) => Ok(first),
        }
    }

    /// Makes the names of other datasets known, for the sake of hints, where a name of the query is not.
    async fn add_others(&self, session: &Session, query: &Query) -> Result<(), Error> {
        let known = session.known();
        if query.references.iter().all(|reference| known.tables.contains_key(&reference.name)) {
            return Ok(());
        }
        for dataset in self.lake.datasets().await? {
            if session.columns(&dataset).await.is_none() {
                // Known by its name only: no query of ours reads it.
                let _ = session.add_type(&dataset, []);
            }
        }
        Ok(())
    }

    /// A file or folder, its format told by the name.
    async fn add_path(&self, session: &Session, path: &str) -> Result<(), Failure> {
        let format = Format::of_name(path).unwrap_or(Format::Parquet);
        let mut source = Source {
            name: path.to_string(),
            path: whole(path),
            format,
            null: vec![],
            delimiter: if path.contains(".tsv") { b'\t' } else { b',' },
            header: true,
            columns: vec![],
        };
        let user = |problem: crate::SourceProblem| Failure::user(problem.message);
        source.columns = self.infer(&source, false, true).await.map_err(user)?;
        let found = places(&source).await.map_err(user)?;
        let table = self.source_table(&source, &found.iter().map(Place::unpinned).collect::<Vec<_>>()).await?;
        session.add_bare(path, table);
        Ok(())
    }
}

/// The path from the root, or the URL.
fn whole(path: &str) -> String {
    match objects::url(path) {
        Some(_) => path.to_owned(),
        None => std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string()),
    }
}

/// The version of a table that the past points at.
async fn version_at(table: &Table, latest: u64, at: &[At]) -> Result<u64, Error> {
    for point in at {
        match point {
            At::Version { dataset, version } if *dataset == table.dataset => {
                return there(table, latest, *version).await;
            }
            At::Version { .. } => {}
            At::Time(time) => return before(table, latest, *time).await,
            At::Run { run_id, ended_ms } => {
                let mine = |mark: &crate::log::Mark| mark.run_id == *run_id;
                if let Some(commit) = table.last_commit(latest, mine, |_| false).await? {
                    return Ok(commit.version);
                }
                return before(table, latest, *ended_ms).await;
            }
        }
    }
    Ok(latest)
}

/// The version, if it is one and still kept.
async fn there(table: &Table, latest: u64, version: u64) -> Result<u64, Error> {
    let dataset = &table.dataset;
    if version > latest {
        return Err(Error::NotFound(format!("`{dataset}` has no version {version}; the latest is {latest}")));
    }
    match table.oldest().await? {
        Some(oldest) if version < oldest => {
            let message =
                format!("version {version} of `{dataset}` has been removed by retention; the oldest is {oldest}");
            Err(Error::NotFound(message))
        }
        _ => Ok(version),
    }
}

/// The latest version that was there at a time.
async fn before(table: &Table, latest: u64, time: i64) -> Result<u64, Error> {
    let (dataset, oldest) = (&table.dataset, table.oldest().await?.unwrap_or_default());
    for version in (oldest..=latest).rev() {
        if let Some(commit) = table.commit(version).await?
            && commit.at <= time
        {
            return Ok(version);
        }
    }
    Err(Error::NotFound(match oldest {
        0 => format!("nothing was published as `{dataset}` at that time"),
        _ => format!("`{dataset}` as of that time has been removed by retention; its oldest version is {oldest}"),
    }))
}

async fn write(
    mut stream: SendableRecordBatchStream,
    format: OutputFormat,
    sink: &mut (dyn Write + Send),
) -> Result<u64, Error> {
    let schema = stream.schema();
    let mut rows = 0;
    let mut writer = Writer::new(format, sink, &schema)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(failure)?;
        rows += batch.num_rows() as u64;
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(rows)
}

enum Writer<'a> {
    Table(&'a mut (dyn Write + Send), Vec<RecordBatch>, datafusion::arrow::datatypes::SchemaRef),
    Csv(Box<csv::Writer<&'a mut (dyn Write + Send)>>),
    Json(json::LineDelimitedWriter<&'a mut (dyn Write + Send)>),
    Parquet(Box<ArrowWriter<&'a mut (dyn Write + Send)>>),
}

impl<'a> Writer<'a> {
    fn new(
        format: OutputFormat,
        sink: &'a mut (dyn Write + Send),
        schema: &datafusion::arrow::datatypes::SchemaRef,
    ) -> Result<Writer<'a>, Error> {
        Ok(match format {
            OutputFormat::Table => Writer::Table(sink, vec![], schema.clone()),
            OutputFormat::Csv => {
                if let Some(nested) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
                    let kind = types::word(nested.data_type());
                    let message = format!("column `{}` is {kind}, which CSV cannot hold", nested.name());
                    return Err(Error::Setting(format!("{message}; write it as json or parquet")));
                }
                let mut writer = csv::WriterBuilder::new().with_header(true).build(sink);
                // The header is there even when no row is.
                writer.write(&RecordBatch::new_empty(schema.clone())).map_err(arrow)?;
                Writer::Csv(Box::new(writer))
            }
            OutputFormat::Json => Writer::Json(json::WriterBuilder::new().with_explicit_nulls(true).build(sink)),
            OutputFormat::Parquet => {
                let writer = ArrowWriter::try_new(sink, schema.clone(), None);
                Writer::Parquet(Box::new(writer.map_err(|error| arrow(error.into()))?))
            }
        })
    }

    fn write(&mut self, batch: RecordBatch) -> Result<(), Error> {
        match self {
            Writer::Table(_, batches, _) => {
                batches.push(batch);
                Ok(())
            }
            Writer::Csv(writer) => writer.write(&batch).map_err(arrow),
            Writer::Json(writer) => writer.write(&batch).map_err(arrow),
            Writer::Parquet(writer) => writer.write(&batch).map_err(|error| arrow(error.into())),
        }
    }

    fn finish(self) -> Result<(), Error> {
        match self {
            Writer::Table(sink, batches, schema) => {
                let batches = if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches };
                let table = pretty::pretty_format_batches(&batches).map_err(arrow)?;
                writeln!(sink, "{table}").map_err(|error| arrow(error.into()))
            }
            Writer::Csv(_) => Ok(()),
            Writer::Json(mut writer) => writer.finish().map_err(arrow),
            Writer::Parquet(writer) => writer.close().map(drop).map_err(|error| arrow(error.into())),
        }
    }
}

/// A fault while rows are written. A closed pipe keeps its kind, so that the caller can end quietly.
fn arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) if error.kind() == std::io::ErrorKind::BrokenPipe => Error::BrokenPipe,
        // The writers of CSV and Parquet tell the system's error in texts of their own.
        error if error.to_string().contains("(os error 32)") => Error::BrokenPipe,
        error => Error::Failed(Failure::external(error.to_string())),
    }
}
