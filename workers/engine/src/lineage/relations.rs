//! What the nodes of a plan do to columns and rows. Columns are matched by position, never by name.

use std::collections::HashMap;

use datafusion::common::{DFSchema, JoinType, Result, TableReference, not_impl_err, plan_err};
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, DistinctOn, Extension, Filter, Join, Limit, RecursiveQuery, Sort, TableScan, Union, Unnest,
    Values, Window,
};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, LogicalPlan};
use flow::lineage::{Input, Subtype};
use recursive::recursive;

use super::deps::{Deps, Relation, Source};
use super::exprs::Scope;

/// One walk over one plan.
pub struct Walk<'a> {
    name: &'a (dyn Fn(&TableReference) -> Option<String> + Sync),
    sources: Vec<(String, String)>,
    numbers: HashMap<(String, String), Source>,
    /// What is known so far of the recursive queries that the walk is inside of, innermost last.
    working: Vec<(String, Relation)>,
}

impl<'a> Walk<'a> {
    pub fn new(name: &'a (dyn Fn(&TableReference) -> Option<String> + Sync)) -> Self {
        Walk { name, sources: Vec::new(), numbers: HashMap::new(), working: Vec::new() }
    }

    /// The inputs of an output column, given those of its values and those of its rows.
    pub fn inputs(&self, column: &Deps, rows: &Deps) -> Vec<Input> {
        let named = |(source, subtype): (Source, Subtype)| {
            let (dataset, column) = self.sources[source].clone();
            Input { dataset, column, kind: subtype.kind(), subtype }
        };
        let mut inputs: Vec<Input> = column.iter().chain(rows.iter()).map(named).collect();
        inputs.sort();
        inputs.dedup();
        inputs
    }

    #[recursive]
    pub fn relation(&mut self, plan: &LogicalPlan, up: Option<&Scope>) -> Result<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, up),
            LogicalPlan::Projection(node) => {
                let input = self.relation(&node.input, up)?;
                self.project(&node.expr, node.input.schema(), input, up)
            }
            LogicalPlan::Filter(node) => self.filter(node, up),
            LogicalPlan::Window(node) => self.window_node(node, up),
            LogicalPlan::Aggregate(node) => self.group(node, up),
            LogicalPlan::Sort(node) => self.sort(node, up),
            LogicalPlan::Join(node) => self.join(node, up),
            LogicalPlan::Union(node) => self.union(node, up),
            LogicalPlan::Distinct(Distinct::All(input)) => Ok(distinct(self.relation(input, up)?)),
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node, up),
            LogicalPlan::Limit(node) => self.limit(node, up),
            LogicalPlan::RecursiveQuery(node) => self.recursive_query(node, up),
            LogicalPlan::Unnest(node) => self.unnest(node, up),
            LogicalPlan::Values(node) => self.values_node(node, up),
            LogicalPlan::EmptyRelation(node) => Ok(constants(&node.schema)),
            LogicalPlan::Extension(node) => self.opaque(node, up),
            LogicalPlan::SubqueryAlias(node) => self.relation(&node.input, up),
            LogicalPlan::Subquery(node) => self.relation(&node.subquery, up),
            LogicalPlan::Repartition(node) => self.relation(&node.input, up),
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => not_impl_err!("column lineage of a statement that is no query"),
        }
    }

    fn scan(&mut self, scan: &TableScan, up: Option<&Scope>) -> Result<Relation> {
        let whole = self.table(scan)?;
        let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        let mut rows = whole.rows;
        let scope = Scope { parts: &[(&schema, &whole.columns)], up };
        self.gather_all(&scan.filters, Subtype::Filter, &scope, &mut rows)?;
        let columns = match &scan.projection {
            Some(kept) => kept.iter().map(|&index| whole.columns[index].clone()).collect(),
            None => whole.columns,
        };
        Ok(Relation { columns, rows })
    }

    /// All columns of a scanned table: of a dataset, of the recursive query it belongs to, or of a view.
    fn table(&mut self, scan: &TableScan) -> Result<Relation> {
        let schema = scan.source.schema();
        if let TableReference::Bare { table } = &scan.table_name {
            if let Some((_, relation)) = self.working.iter().rev().find(|(name, _)| **name == **table) {
                return Ok(relation.clone());
            }
            // The planner names the scan of a table function `generate_series()`. Its arguments are constants.
            if table.ends_with("()") {
                return Ok(Relation { columns: vec![Deps::default(); schema.fields().len()], rows: Deps::default() });
            }
        }
        if let Some(dataset) = (self.name)(&scan.table_name) {
            let columns = schema.fields().iter().map(|field| Deps::source(self.number(&dataset, field.name())));
            return Ok(Relation { columns: columns.collect(), rows: Deps::default() });
        }
        match scan.source.get_logical_plan() {
            Some(view) => self.relation(&view, None),
            None => plan_err!("no dataset is known for the table {}", scan.table_name),
        }
    }

    fn number(&mut self, dataset: &str, column: &str) -> Source {
        let source = (dataset.to_owned(), column.to_owned());
        *self.numbers.entry(source).or_insert_with_key(|source| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        })
    }

    fn project(&mut self, exprs: &[Expr], schema: &DFSchema, input: Relation, up: Option<&Scope>) -> Result<Relation> {
        let scope = Scope { parts: &[(schema, &input.columns)], up };
        let columns = exprs.iter().map(|expr| self.expr(expr, Subtype::Identity, &scope));
        Ok(Relation { columns: columns.collect::<Result<_>>()?, rows: input.rows })
    }

    /// The input with rows that also depend on these expressions.
    fn decide<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        usage: Subtype,
        input: &LogicalPlan,
        up: Option<&Scope>,
    ) -> Result<Relation> {
        let Relation { columns, mut rows } = self.relation(input, up)?;
        let scope = Scope { parts: &[(input.schema(), &columns)], up };
        self.gather_all(exprs, usage, &scope, &mut rows)?;
        Ok(Relation { columns, rows })
    }

    fn filter(&mut self, node: &Filter, up: Option<&Scope>) -> Result<Relation> {
        self.decide([&node.predicate], Subtype::Filter, &node.input, up)
    }

    fn sort(&mut self, node: &Sort, up: Option<&Scope>) -> Result<Relation> {
        self.decide(node.expr.iter().map(|sort| &sort.expr), Subtype::Sort, &node.input, up)
    }

    fn limit(&mut self, node: &Limit, up: Option<&Scope>) -> Result<Relation> {
        let bounds = node.skip.iter().chain(&node.fetch).map(AsRef::as_ref);
        self.decide(bounds, Subtype::Filter, &node.input, up)
    }

    fn window_node(&mut self, node: &Window, up: Option<&Scope>) -> Result<Relation> {
        let input = self.relation(&node.input, up)?;
        let computed = self.project(&node.window_expr, node.input.schema(), input.clone(), up)?;
        Ok(Relation { columns: [input.columns, computed.columns].concat(), rows: input.rows })
    }

    fn group(&mut self, node: &Aggregate, up: Option<&Scope>) -> Result<Relation> {
        let keys = grouping_set_to_exprlist(&node.group_expr)?;
        let input = self.decide(keys.iter().copied(), Subtype::GroupBy, &node.input, up)?;
        let scope = Scope { parts: &[(node.input.schema(), &input.columns)], up };
        let mut columns = Vec::with_capacity(node.schema.fields().len());
        for key in keys {
            columns.push(self.expr(key, Subtype::Identity, &scope)?);
        }
        // Grouping sets add a column of their own, which says only which set a row belongs to.
        columns.resize(node.schema.fields().len().saturating_sub(node.aggr_expr.len()), Deps::default());
        for aggregate in &node.aggr_expr {
            columns.push(self.expr(aggregate, Subtype::Identity, &scope)?);
        }
        Ok(Relation { columns, rows: input.rows })
    }

    fn distinct_on(&mut self, node: &DistinctOn, up: Option<&Scope>) -> Result<Relation> {
        let mut input = self.decide(&node.on_expr, Subtype::GroupBy, &node.input, up)?;
        let order = node.sort_expr.iter().flatten().map(|sort| &sort.expr);
        let scope = Scope { parts: &[(node.input.schema(), &input.columns)], up };
        self.gather_all(order, Subtype::Sort, &scope, &mut input.rows)?;
        self.project(&node.select_expr, node.input.schema(), input, up)
    }

    fn join(&mut self, node: &Join, up: Option<&Scope>) -> Result<Relation> {
        let left = self.relation(&node.left, up)?;
        let of_left = (node.left.schema().as_ref(), left.columns.as_slice());
        // The right side of a lateral join names columns of the left side.
        let right = self.relation(&node.right, Some(&Scope { parts: &[of_left], up }))?;
        let of_right = (node.right.schema().as_ref(), right.columns.as_slice());
        let mut by = Deps::default();
        let (ons_left, ons_right): (Vec<&Expr>, Vec<&Expr>) = node.on.iter().map(|(left, right)| (left, right)).unzip();
        self.gather_all(ons_left, Subtype::Join, &Scope { parts: &[of_left], up }, &mut by)?;
        self.gather_all(ons_right, Subtype::Join, &Scope { parts: &[of_right], up }, &mut by)?;
        self.gather_all(&node.filter, Subtype::Join, &Scope { parts: &[of_left, of_right], up }, &mut by)?;
        Ok(joined(node.join_type, left, right, by))
    }

    fn union(&mut self, node: &Union, up: Option<&Scope>) -> Result<Relation> {
        let mut whole = constants(&node.schema);
        for input in &node.inputs {
            whole.merge(&self.relation(input, up)?);
        }
        Ok(whole)
    }

    /// Goes around until nothing is added: the recursive term reads what the terms have given so far.
    fn recursive_query(&mut self, node: &RecursiveQuery, up: Option<&Scope>) -> Result<Relation> {
        let mut known = self.relation(&node.static_term, up)?;
        loop {
            self.working.push((node.name.clone(), known.clone()));
            let step = self.relation(&node.recursive_term, up);
            self.working.pop();
            let mut next = known.clone();
            next.merge(&step?);
            if node.is_distinct {
                next = distinct(next);
            }
            if next == known {
                return Ok(known);
            }
            known = next;
        }
    }

    fn unnest(&mut self, node: &Unnest, up: Option<&Scope>) -> Result<Relation> {
        let input = self.relation(&node.input, up)?;
        let lists: Vec<usize> = node.list_type_columns.iter().map(|(index, _)| *index).collect();
        let mut rows = input.rows;
        lists.iter().for_each(|&index| rows.add(&input.columns[index], Subtype::Join));
        let columns = node.dependency_indices.iter().map(|index| {
            let opened = lists.contains(index) || node.struct_type_columns.contains(index);
            let mut column = Deps::default();
            column.add(&input.columns[*index], if opened { Subtype::Transformation } else { Subtype::Identity });
            column
        });
        Ok(Relation { columns: columns.collect(), rows })
    }

    fn values_node(&mut self, node: &Values, up: Option<&Scope>) -> Result<Relation> {
        let mut relation = constants(&node.schema);
        for row in &node.values {
            for (column, expr) in relation.columns.iter_mut().zip(row) {
                column.merge(&self.expr(expr, Subtype::Identity, &Scope { parts: &[], up })?);
            }
        }
        Ok(relation)
    }

    fn opaque(&mut self, extension: &Extension, up: Option<&Scope>) -> Result<Relation> {
        let (mut column, mut rows) = (Deps::default(), Deps::default());
        for input in extension.node.inputs() {
            let all = self.relation(input, up)?.all();
            column.add(&all, Subtype::Transformation);
            rows.add(&all, Subtype::Filter);
        }
        Ok(Relation { columns: vec![column; extension.node.schema().fields().len()], rows })
    }
}

fn constants(schema: &DFSchema) -> Relation {
    Relation { columns: vec![Deps::default(); schema.fields().len()], rows: Deps::default() }
}

/// One row of each group of equal rows is kept, so all columns decide.
fn distinct(mut input: Relation) -> Relation {
    for column in &input.columns {
        input.rows.add(column, Subtype::GroupBy);
    }
    input
}

fn joined(kind: JoinType, left: Relation, right: Relation, by: Deps) -> Relation {
    // A mark says whether a row found a partner: a column made of what decides on partners, and no rows lost.
    let marked = |kept: Relation, other: Relation| {
        let mut mark = by.clone();
        mark.merge(&other.rows);
        Relation { columns: [kept.columns, vec![mark]].concat(), rows: kept.rows }
    };
    let mut rows = by.clone();
    rows.merge(&left.rows);
    rows.merge(&right.rows);
    match kind {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Relation { columns: [left.columns, right.columns].concat(), rows }
        }
        JoinType::LeftSemi | JoinType::LeftAnti => Relation { columns: left.columns, rows },
        JoinType::RightSemi | JoinType::RightAnti => Relation { columns: right.columns, rows },
        JoinType::LeftMark => marked(left, right),
        JoinType::RightMark => marked(right, left),
    }
}
