//! Delta tables as queries see them: in the types of flow files, and of as many rows as a query asks for.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, ident};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use crate::exact::exactly;
use crate::types;

/// The table with its columns in the types that published tables have: Delta's reader gives partition columns as
/// dictionaries.
pub(crate) fn as_published(table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let fields = table.schema();
    let fields = fields.fields().iter().map(|field| {
        let kind = types::published(field.data_type()).unwrap_or_else(|| field.data_type().clone());
        field.as_ref().clone().with_data_type(kind)
    });
    as_declared(table, &Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// The columns of `schema` of a table, each cast to its type there, [exactly].
pub(crate) fn as_declared(table: Arc<dyn TableProvider>, schema: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let table: Arc<dyn TableProvider> = Arc::new(Narrow(table));
    let there = table.schema();
    let fits = |field: &FieldRef| {
        there.field_with_name(field.name()).is_ok_and(|found| is_read_as(found.data_type(), field.data_type()))
    };
    if there.fields().len() == schema.fields().len() && schema.fields().iter().all(fits) {
        return Ok(table);
    }
    let column = |field: &FieldRef| match there.field_with_name(field.name()) {
        Ok(found) if !fits(field) => exactly(field.name(), found.data_type(), field.data_type()).alias(field.name()),
        _ => ident(field.name()),
    };
    let columns: Vec<Expr> = schema.fields().iter().map(column).collect();
    let rows = LogicalPlanBuilder::scan("table", provider_as_source(table.clone()), None)?;
    Ok(Arc::new(ViewTable::new(rows.project(columns)?.build()?, None)))
}

/// Whether queries read values of one type as they do those of the other: text and bytes however they lie in memory.
fn is_read_as(kind: &DataType, wanted: &DataType) -> bool {
    let text = kind.is_string() || kind.is_binary() || kind.is_nested();
    kind == wanted || text && types::word(kind) == types::word(wanted)
}

/// A table that is never read without any column: Delta's reader then takes a limit as kept that it does not keep.
#[derive(Debug)]
struct Narrow(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for Narrow {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if projection.is_none_or(|columns| !columns.is_empty()) {
            return self.0.scan(state, projection, filters, limit).await;
        }
        let schema = self.schema();
        let cheap = schema.fields().iter().position(|field| field.data_type().primitive_width().is_some());
        let rows = self.0.scan(state, Some(&vec![cheap.unwrap_or_default()]), filters, limit).await?;
        Ok(Arc::new(ProjectionExec::try_new(Vec::<ProjectionExpr>::new(), rows)?))
    }
}
