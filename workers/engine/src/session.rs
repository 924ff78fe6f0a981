//! A set of named tables that SQL is planned against.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, TableProvider,
};
use datafusion::datasource::{ViewTable, empty::EmptyTable};
use datafusion::execution::session_state::SessionState;
use flow::plan::{Column, Source};
use flow::wire::Failure;

use crate::error::failure;
use crate::spans::Known;
use crate::sql::Query;
use crate::textfile::RowsRead;
use crate::{Engine, types};

const CATALOG: &str = "datafusion";
const SCHEMA: &str = "public";

/// A set of named tables. SQL names them bare, or `flow.dataset` for those of other flows.
#[derive(Clone)]
pub struct Session {
    pub(crate) engine: Engine,
    pub(crate) state: SessionState,
    catalog: Arc<MemoryCatalogProvider>,
}

impl Engine {
    /// A session without tables.
    pub fn session(&self) -> Session {
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let schema = Arc::new(MemorySchemaProvider::new());
        let list = Arc::new(MemoryCatalogProviderList::new());
        // A memory catalogue never refuses a schema.
        let _ = catalog.register_schema(SCHEMA, schema);
        list.register_catalog(CATALOG.into(), catalog.clone());
        let mut state = self.state().clone();
        state.register_catalog_list(list);
        state.config_mut().set_extension(Arc::<RowsRead>::default());
        // What `now()` stands for in this session's queries.
        state.mark_start_execution();
        Session { engine: self.clone(), state, catalog }
    }

    /// The columns as an Arrow schema; every column may be NULL.
    pub(crate) fn schema<'a>(
        &self,
        columns: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<SchemaRef, String> {
        let field = |(name, kind): (&str, &str)| Ok::<_, String>(Field::new(name, self.arrow_type(kind)?, true));
        let fields = columns.into_iter().map(field).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }
}

impl Session {
    /// A table that is known by its type only: enough to plan queries, not to run them.
    pub fn add_type<'a>(
        &self,
        name: &str,
        columns: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), String> {
        let schema = self.engine.schema(columns)?;
        self.add(name, Arc::new(EmptyTable::new(schema)));
        Ok(())
    }

    /// A source, read from its pinned files.
    pub async fn add_source(
        &self,
        name: &str,
        source: &Source,
        files: &[flow::wire::PinnedFile],
    ) -> Result<(), Failure> {
        let provider = self.engine.source_table(source, files).await?;
        self.add(name, provider);
        Ok(())
    }

    /// A version of a dataset.
    pub async fn add_dataset(&self, name: &str, dataset: &str, version: u64) -> Result<(), Failure> {
        let provider = self.engine.lake.table(dataset)?.provider(version).await?;
        self.add(name, provider);
        Ok(())
    }

    /// The columns of the latest version of another flow's dataset, or `None` if nothing was ever published.
    pub async fn published_columns(&self, dataset: &str) -> Result<Option<Vec<Column>>, Failure> {
        let table = self.engine.lake.table(dataset)?;
        let Some(latest) = table.latest().await? else { return Ok(None) };
        Ok(Some(columns(&table.provider(latest).await?.schema())))
    }

    /// A view on tables of this session: its query is inlined into the plans that read it.
    pub async fn add_view(&self, name: &str, query: &Query) -> Result<(), Failure> {
        self.add_view_of(name, self, query).await
    }

    /// A view on tables of another session.
    pub async fn add_view_of(&self, name: &str, other: &Session, query: &Query) -> Result<(), Failure> {
        let plan = other.plan_to_run(query).await?;
        let plan = crate::stage::as_published(plan).map_err(failure)?;
        self.add(name, Arc::new(ViewTable::new(plan, Some(query.text.clone()))));
        Ok(())
    }

    /// A table whose name is not to be taken apart, such as a path.
    pub(crate) fn add_bare(&self, name: &str, table: Arc<dyn TableProvider>) {
        if let Some(schema) = self.catalog.schema(SCHEMA) {
            let _ = schema.register_table(name.to_string(), table);
        }
    }

    pub(crate) fn add(&self, name: &str, table: Arc<dyn TableProvider>) {
        let (schema, name) = name.split_once('.').unwrap_or((SCHEMA, name));
        if self.catalog.schema(schema).is_none() {
            let _ = self.catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()));
        }
        if let Some(schema) = self.catalog.schema(schema) {
            let _ = schema.deregister_table(name);
            let _ = schema.register_table(name.to_string(), table);
        }
    }

    /// What queries of this session may name.
    pub(crate) fn known(&self) -> Known {
        let mut known = Known::default();
        for schema_name in self.catalog.schema_names() {
            let Some(schema) = self.catalog.schema(&schema_name) else { continue };
            for table in schema.table_names() {
                let provider = futures::FutureExt::now_or_never(schema.table(&table)).and_then(Result::ok).flatten();
                let columns = provider
                    .map(|provider| provider.schema().fields().iter().map(|field| field.name().clone()).collect());
                // `flow.table` only says again what the bare name says, where both are there.
                if schema_name != SCHEMA && known_bare(&self.catalog, &table) {
                    continue;
                }
                let name = if schema_name == SCHEMA { table } else { format!("{schema_name}.{table}") };
                known.tables.insert(name, columns.unwrap_or_default());
            }
        }
        let functions = self.state.scalar_functions().keys().chain(self.state.aggregate_functions().keys());
        known.functions = functions.chain(self.state.window_functions().keys()).cloned().collect();
        known.functions.sort();
        known
    }
}

fn known_bare(catalog: &MemoryCatalogProvider, table: &str) -> bool {
    catalog.schema(SCHEMA).is_some_and(|schema| schema.table_exist(table))
}

/// Columns of the flow file as name and type.
pub(crate) fn pairs(columns: &[Column]) -> impl Iterator<Item = (&str, &str)> {
    columns.iter().map(|column| (column.name.as_str(), column.kind.as_str()))
}

/// The columns of an Arrow schema, in the words of the flow file.
pub(crate) fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &Arc<Field>| Column { name: field.name().clone(), kind: types::word(field.data_type()) };
    schema.fields().iter().map(column).collect()
}
