//! Small tables to ask questions about.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Int64Type, Schema};
use datafusion::common::{Result, TableReference};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use flow::lineage::{Input, Subtype};

/// Integer columns of tables that every test knows; `t` has the text `s` and the list `l` besides.
pub const TABLES: &[(&str, &[&str])] = &[("t", &["a", "b"]), ("u", &["k", "v", "w"]), ("x", &["a", "p"])];

pub fn session() -> SessionContext {
    let config = SessionConfig::new()
        .set_str("datafusion.sql_parser.dialect", "postgresql")
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .with_target_partitions(1);
    SessionContext::new_with_config(config)
}

/// A session with every table, each of as many rows as `value` fills; its arguments are the table, the
/// column, and the row.
pub fn filled(rows: usize, value: &mut dyn FnMut(&str, &str, usize) -> Option<i64>) -> Result<SessionContext> {
    let session = session();
    for (table, columns) in TABLES {
        let mut fields: Vec<(&str, ArrayRef)> = Vec::new();
        for column in *columns {
            let values: Int64Array = (0..rows).map(|row| value(table, column, row)).collect();
            fields.push((column, Arc::new(values)));
        }
        if *table == "t" {
            let texts: StringArray = (0..rows).map(|row| value(table, "s", row).map(|n| format!("w{n}"))).collect();
            let lists =
                (0..rows).map(|row| value(table, "l", row).map(|n| (0..n.rem_euclid(3)).map(move |i| Some(n + i))));
            fields.push(("s", Arc::new(texts)));
            fields.push(("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))));
        }
        let schema = fields.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), fields.into_iter().map(|(_, array)| array).collect())?;
        session.register_table(*table, Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
    }
    Ok(session)
}

/// A session whose tables are empty.
pub fn empty() -> SessionContext {
    filled(0, &mut |_, _, _| None).unwrap()
}

pub async fn analysed(session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    let state = session.state();
    let plan = state.create_logical_plan(sql).await?;
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

/// The tables of these tests, each its own dataset.
pub fn dataset(table: &TableReference) -> Option<String> {
    TABLES.iter().find(|(name, _)| *name == table.table()).map(|(name, _)| (*name).to_owned())
}

/// `t.a:I` and the like: the first letter of the subtype, in the order of the inputs.
pub fn short(inputs: &[Input]) -> String {
    let letter = |subtype| match subtype {
        Subtype::Identity => 'I',
        Subtype::Transformation => 'T',
        Subtype::Aggregation => 'A',
        Subtype::Join => 'J',
        Subtype::GroupBy => 'G',
        Subtype::Filter => 'F',
        Subtype::Sort => 'S',
        Subtype::Window => 'W',
        Subtype::Conditional => 'C',
    };
    let one = |input: &Input| format!("{}.{}:{}", input.dataset, input.column, letter(input.subtype));
    inputs.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    pub fn of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}
