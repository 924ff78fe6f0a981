//! What a query means, as a hash: two texts that can only give the same result share it, as far as their
//! analysed plans show it.
//!
//! The plan is written as a stream of bytes in which columns are positions, so that aliases of tables, names
//! of common table expressions, layout, comments and the case of keywords leave no trace. The names and types
//! of the output, every literal (bound parameters are literals by then), type, function, join, order, null
//! order and limit do. Texts that differ in more, such as the order of two joins, hash differently even where
//! an optimiser would find them equal: a task then runs once too often, never once too little.

mod bytes;
mod exprs;
mod plans;

use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use self::bytes::Bytes;
use self::plans::Canon;

/// Grows whenever the stream of bytes, or what our own functions compute, changes.
const FORMAT: u64 = 1;

/// The semantic fingerprint of an analysed plan: a BLAKE3 hash in hex.
///
/// `name` gives the dataset that a scanned table stands for; a scanned view that it does not know is looked
/// into. Versions of datasets are not in here, only their names and columns. `None` means that equal plans
/// need not give equal results (the plan is volatile, see [`is_volatile`]) or that the plan holds something
/// without a canonical form: its result must not be reused.
pub fn fingerprint(plan: &LogicalPlan, name: &(dyn Fn(&TableReference) -> Option<String> + Sync)) -> Option<String> {
    let mut canon = Canon::new(name);
    canon.out.number(FORMAT);
    canon.out.text(datafusion::DATAFUSION_VERSION);
    canon.out.text(env!("CARGO_PKG_VERSION"));
    canon.out.fields(plan.schema().fields());
    canon.plan(plan, None)?;
    Some(canon.out.hex())
}

/// Whether the plan asks for something that changes by itself: the time, a random number, a new UUID.
///
/// Views that the planner has not inlined are not looked into.
pub fn is_volatile(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found |= changes_by_itself(part);
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    });
    found || walked.is_err()
}

/// `now()` and its like are stable within a statement, and change between two runs all the same.
fn changes_by_itself(expr: &Expr) -> bool {
    let volatility = match expr {
        Expr::ScalarVariable(..) => return true,
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => call.fun.signature().volatility,
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        _ => return false,
    };
    volatility != Volatility::Immutable
}
