//! Which columns each output column of a query comes from, read off its plan.
//!
//! The plan must be analysed but not optimised: the optimiser folds, merges and drops expressions, and
//! with them the columns that they name. Every node of the plan becomes a [`Relation`]: what each of its
//! columns is made of, and what decides which rows there are. An output column answers for both, so
//! `count(*)` and literals show the filters, joins and groups that their rows went through.
//!
//! The words are OpenLineage's. Along a path a direct subtype only grows (identity, transformation,
//! aggregation); a direct input that is used indirectly takes the subtype of that use; what is indirect
//! keeps the subtype that it got nearest to the source. Where OpenLineage leaves room, this is the choice:
//!
//! - `where`, `having`, an aggregate's `filter`, and `in`/`exists`/`any` inside them are FILTER. Joins of every
//!   kind are JOIN, so are `intersect` and `except` (planned as semi and anti joins), and so is a list that is
//!   unnested (its length decides how often the row appears).
//! - `distinct`, `union`, and the keys of `distinct on` are GROUP_BY: each keeps one row of a group.
//! - Every `order by` is SORT, at the end, below a limit, inside an aggregate, and in `distinct on`. That of a
//!   window is WINDOW, like its partition, and concerns the window's own column only.
//! - Conditions of `case`, and the arguments whose being null (or equal) chooses the result of `coalesce`,
//!   `nvl`, `nvl2` and `nullif`, are CONDITIONAL. Inside a predicate all of this is part of the predicate.
//! - Window functions that are no aggregates (`lag`, `first_value`, …) pass a value on: TRANSFORMATION.
//! - A cast between representations of text is IDENTITY, any other cast TRANSFORMATION.
//! - A node that this module cannot look into makes every output from every input.

mod deps;
mod exprs;
mod relations;

use datafusion::common::{Result, TableReference};
use datafusion::logical_expr::LogicalPlan;
use flow::lineage::Input;

use self::relations::Walk;

/// For each output column of `plan`, in order: every direct and indirect input column one hop up, sorted,
/// without repeats.
///
/// `name` gives the dataset that a scanned table stands for (`source` or `flow.task`). A scanned view that it
/// does not know is looked into; any other table that it does not know is an error, as is a plan that is
/// no query.
pub fn columns(
    plan: &LogicalPlan,
    name: &(dyn Fn(&TableReference) -> Option<String> + Sync),
) -> Result<Vec<Vec<Input>>> {
    let mut walk = Walk::new(name);
    let relation = walk.relation(plan, None)?;
    Ok(relation.columns.iter().map(|column| walk.inputs(column, &relation.rows)).collect())
}
