//! Plan nodes as bytes: a tag, what the node itself says, then its inputs.

use datafusion::common::TableReference;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, DistinctOn, Extension, Join, RecursiveQuery, TableScan, Unnest, Values,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use recursive::recursive;

use super::Bytes;
use super::exprs::Scope;

/// One plan on its way to bytes. Every step answers `None` where there is no canonical form.
pub struct Canon<'a> {
    pub out: Bytes,
    name: &'a (dyn Fn(&TableReference) -> Option<String> + Sync),
    /// The recursive queries that the walk is inside of, innermost last.
    working: Vec<String>,
}

impl<'a> Canon<'a> {
    pub fn new(name: &'a (dyn Fn(&TableReference) -> Option<String> + Sync)) -> Self {
        Canon { out: Bytes::default(), name, working: Vec::new() }
    }

    #[recursive]
    pub fn plan(&mut self, plan: &LogicalPlan, up: Option<&Scope>) -> Option<()> {
        match plan {
            LogicalPlan::SubqueryAlias(node) => self.plan(&node.input, up),
            LogicalPlan::Subquery(node) => self.plan(&node.subquery, up),
            LogicalPlan::Repartition(node) => self.plan(&node.input, up),
            LogicalPlan::Projection(node) => self.node("project", &node.input, &node.expr, up),
            LogicalPlan::Filter(node) => self.node("filter", &node.input, [&node.predicate], up),
            LogicalPlan::Window(node) => self.node("window", &node.input, &node.window_expr, up),
            LogicalPlan::Aggregate(node) => self.group(node, up),
            LogicalPlan::Sort(node) => {
                self.out.text(&format!("sort {:?}", node.fetch));
                self.sorts(&node.expr, &Scope { parts: &[node.input.schema()], up })?;
                self.plan(&node.input, up)
            }
            LogicalPlan::Limit(node) => {
                self.node("skip", &node.input, node.skip.as_deref(), up)?;
                self.out.text("fetch");
                self.exprs(node.fetch.as_deref(), &Scope { parts: &[node.input.schema()], up })
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.node("distinct", input, [], up),
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node, up),
            LogicalPlan::Join(node) => self.join(node, up),
            LogicalPlan::Union(node) => {
                self.out.text("union");
                self.out.fields(node.schema.fields());
                self.out.size(node.inputs.len());
                node.inputs.iter().try_for_each(|input| self.plan(input, up))
            }
            LogicalPlan::TableScan(node) => self.scan(node, up),
            LogicalPlan::RecursiveQuery(node) => self.recursive_query(node, up),
            LogicalPlan::Unnest(node) => self.unnest(node, up),
            LogicalPlan::Values(node) => self.values(node, up),
            LogicalPlan::EmptyRelation(node) => {
                self.out.text(if node.produce_one_row { "one row" } else { "no row" });
                self.out.fields(node.schema.fields());
                Some(())
            }
            LogicalPlan::Extension(node) => self.opaque(node, plan, up),
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => None,
        }
    }

    fn node<'e>(
        &mut self,
        tag: &str,
        input: &LogicalPlan,
        exprs: impl IntoIterator<Item = &'e Expr, IntoIter: ExactSizeIterator>,
        up: Option<&Scope>,
    ) -> Option<()> {
        self.out.text(tag);
        self.exprs(exprs, &Scope { parts: &[input.schema()], up })?;
        self.plan(input, up)
    }

    fn group(&mut self, node: &Aggregate, up: Option<&Scope>) -> Option<()> {
        self.node("group", &node.input, &node.group_expr, up)?;
        self.exprs(&node.aggr_expr, &Scope { parts: &[node.input.schema()], up })
    }

    fn distinct_on(&mut self, node: &DistinctOn, up: Option<&Scope>) -> Option<()> {
        let scope = Scope { parts: &[node.input.schema()], up };
        self.node("distinct on", &node.input, &node.on_expr, up)?;
        self.exprs(&node.select_expr, &scope)?;
        self.sorts(node.sort_expr.as_deref().unwrap_or_default(), &scope)
    }

    fn join(&mut self, node: &Join, up: Option<&Scope>) -> Option<()> {
        let (left, right) = (node.left.schema().as_ref(), node.right.schema().as_ref());
        self.out.text(&format!("{:?} {:?} {}", node.join_type, node.null_equality, node.null_aware));
        self.exprs(node.on.iter().map(|(expr, _)| expr), &Scope { parts: &[left], up })?;
        self.exprs(node.on.iter().map(|(_, expr)| expr), &Scope { parts: &[right], up })?;
        self.exprs(&node.filter, &Scope { parts: &[left, right], up })?;
        self.plan(&node.left, up)?;
        // The right side of a lateral join names columns of the left side.
        self.plan(&node.right, Some(&Scope { parts: &[left], up }))
    }

    fn scan(&mut self, scan: &TableScan, up: Option<&Scope>) -> Option<()> {
        self.table(scan)?;
        self.out.fields(scan.projected_schema.fields());
        self.out.text(&format!("{:?}", scan.fetch));
        self.exprs(&scan.filters, &Scope { parts: &[&scan.projected_schema], up })
    }

    fn table(&mut self, scan: &TableScan) -> Option<()> {
        if let TableReference::Bare { table } = &scan.table_name {
            if let Some(depth) = self.working.iter().rev().position(|name| **name == **table) {
                self.out.text("working table");
                self.out.size(depth);
                return Some(());
            }
            if table.ends_with("()") {
                // A table function's arguments show only in the description of the table that it made.
                let made = source_as_provider(&scan.source).ok()?;
                self.out.text(table);
                self.out.text(&format!("{made:?}"));
                return Some(());
            }
        }
        if let Some(dataset) = (self.name)(&scan.table_name) {
            self.out.text("table");
            self.out.text(&dataset);
            return Some(());
        }
        self.plan(&*scan.source.get_logical_plan()?, None)
    }

    fn recursive_query(&mut self, node: &RecursiveQuery, up: Option<&Scope>) -> Option<()> {
        self.out.text("recursive");
        self.out.flag(node.is_distinct);
        self.plan(&node.static_term, up)?;
        self.working.push(node.name.clone());
        let term = self.plan(&node.recursive_term, up);
        self.working.pop();
        term
    }

    fn unnest(&mut self, node: &Unnest, up: Option<&Scope>) -> Option<()> {
        self.out.text("unnest");
        self.out.text(&format!("{:?}", node.options.null_handling));
        self.out.size(node.list_type_columns.len());
        for (index, list) in &node.list_type_columns {
            self.out.size(*index);
            self.out.size(list.depth);
        }
        for indices in [&node.struct_type_columns, &node.dependency_indices] {
            self.out.size(indices.len());
            indices.iter().for_each(|index| self.out.size(*index));
        }
        self.plan(&node.input, up)
    }

    fn values(&mut self, node: &Values, up: Option<&Scope>) -> Option<()> {
        self.out.text("values");
        self.out.fields(node.schema.fields());
        self.out.size(node.values.len());
        node.values.iter().try_for_each(|row| self.exprs(row, &Scope { parts: &[], up }))
    }

    /// A node that explains itself: whatever it prints counts.
    fn opaque(&mut self, extension: &Extension, plan: &LogicalPlan, up: Option<&Scope>) -> Option<()> {
        self.out.text("extension");
        self.out.text(&plan.display().to_string());
        let inputs = extension.node.inputs();
        self.out.size(inputs.len());
        inputs.iter().try_for_each(|input| self.plan(input, up))
    }
}
