//! Proof by perturbation: when the values of one source column change, only output columns that lineage
//! reaches from it may differ. The columns that it does not reach are compared together, as whole rows in any
//! order, so that no row may come, go, or pair up differently either.
//!
//! `LINEAGE_WORLDS=50` tries that many tables per shape, and fifteen times as many generated queries.

use std::collections::HashMap;
use std::ops::Range;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::prelude::SessionContext;
use engine::{canonical, lineage};
use flow::lineage::{Input, Kind};

use crate::generator::query;
use crate::shapes::SHAPES;
use crate::world::{Dice, TABLES, analysed, dataset, filled, short};

const ROWS: usize = 9;

fn tried() -> u64 {
    std::env::var("LINEAGE_WORLDS").ok().and_then(|worlds| worlds.parse().ok()).unwrap_or(2)
}

/// A table and one of its columns.
type Source = (&'static str, &'static str);

/// Columns of the tables that a query seems to read, the text and the list included.
fn sources(sql: &str) -> Vec<Source> {
    let of_table = |(table, columns): &(&'static str, &'static [&'static str])| {
        let table = *table;
        columns.iter().map(move |&column| (table, column)).collect::<Vec<_>>()
    };
    let all = TABLES.iter().flat_map(of_table).chain([("t", "s"), ("t", "l")]);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    all.filter(|(table, _)| sql.split(|c| !is_word(c)).any(|word| word == *table || word == "v")).collect()
}

/// Small numbers with some NULLs, so that keys meet and conditions hold now and then. The values of the
/// column `changed` are drawn anew.
async fn world(seed: u64, changed: Option<(&str, &str)>) -> SessionContext {
    let session = filled(ROWS, &mut |table, column, row| {
        let anew = changed == Some((table, column));
        let name =
            table.bytes().chain(column.bytes()).fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut dice = Dice::new(name.wrapping_mul(1_000_003).wrapping_add(row as u64 * 2 + u64::from(anew)));
        (dice.below(8) > 0).then(|| dice.below(5) as i64)
    })
    .unwrap();
    session.sql("create view v as select a * 2 as n from t where b = 1").await.unwrap();
    session
}

type Row = Vec<String>;

async fn rows(session: &SessionContext, sql: &str) -> Result<Vec<Row>> {
    let batches = session.sql(sql).await?.collect().await?;
    batches.iter().try_fold(Vec::new(), |mut rows, batch| {
        rows.extend(texts(batch)?);
        Ok(rows)
    })
}

fn texts(batch: &RecordBatch) -> Result<Vec<Row>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<ArrayFormatter> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<std::result::Result<_, _>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect())
}

/// The rows with only some of their columns, in an order of their own.
fn part(rows: &[Row], columns: &[usize]) -> Vec<Row> {
    let mut part: Vec<Row> =
        rows.iter().map(|row| columns.iter().map(|&column| row[column].clone()).collect()).collect();
    part.sort();
    part
}

fn reaches(inputs: &[Input], (table, column): (&str, &str)) -> bool {
    inputs.iter().any(|input| input.dataset == table && input.column == column)
}

/// Worlds by seed and changed column, made once.
#[derive(Default)]
struct Worlds(HashMap<(u64, Option<Source>), SessionContext>);

impl Worlds {
    async fn get(&mut self, seed: u64, changed: Option<Source>) -> SessionContext {
        if let Some(session) = self.0.get(&(seed, changed)) {
            return session.clone();
        }
        let session = world(seed, changed).await;
        self.0.insert((seed, changed), session.clone());
        session
    }

    async fn lineage(&mut self, sql: &str) -> Vec<Vec<Input>> {
        let session = self.get(0, None).await;
        let plan = analysed(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        lineage::columns(&plan, &dataset).unwrap()
    }

    /// The first change of a source column that shows where `claimed` says that it cannot.
    async fn violation(
        &mut self,
        sql: &str,
        claimed: &[Vec<Input>],
        changes: &[Source],
        seeds: Range<u64>,
    ) -> Result<Option<String>> {
        for seed in seeds {
            let before = rows(&self.get(seed, None).await, sql).await?;
            for &source in changes {
                let unreached: Vec<usize> =
                    (0..claimed.len()).filter(|&column| !reaches(&claimed[column], source)).collect();
                if unreached.is_empty() {
                    continue;
                }
                let after = rows(&self.get(seed, Some(source)).await, sql).await?;
                if part(&before, &unreached) != part(&after, &unreached) {
                    let claims: Vec<String> = claimed.iter().map(|inputs| short(inputs)).collect();
                    let change = format!("{}.{} in world {seed} shows in columns {unreached:?}", source.0, source.1);
                    return Ok(Some(format!("{sql}\n  {change}\n  {claims:?}\n  {before:?}\n  {after:?}")));
                }
            }
        }
        Ok(None)
    }
}

#[tokio::test]
async fn nothing_that_lineage_leaves_out_shows_in_the_shapes() {
    let mut worlds = Worlds::default();
    let mut proven = 0;
    for (sql, _) in SHAPES {
        let claimed = worlds.lineage(sql).await;
        match worlds.violation(sql, &claimed, &sources(sql), 0..tried()).await {
            Ok(violation) => assert_eq!(violation, None, "{}", violation.as_deref().unwrap_or_default()),
            // A few shapes can be planned but not executed.
            Err(error) => {
                println!("{sql}: {error}");
                continue;
            }
        }
        proven += 1;
    }
    assert!(proven + 5 >= SHAPES.len(), "only {proven} of {} shapes can be executed", SHAPES.len());
}

#[tokio::test]
async fn nothing_that_lineage_leaves_out_shows_in_generated_queries() {
    let mut worlds = Worlds::default();
    let mut proven = 0;
    for seed in 0..tried() * 15 {
        let sql = query(&mut Dice::new(seed));
        let claimed = worlds.lineage(&sql).await;
        match worlds.violation(&sql, &claimed, &sources(&sql), seed % 4..seed % 4 + 1).await {
            Ok(violation) => assert_eq!(violation, None, "seed {seed}: {}", violation.as_deref().unwrap_or_default()),
            Err(error) => {
                println!("seed {seed}: {sql}: {error}");
                continue;
            }
        }
        proven += 1;
    }
    assert!(proven * 10 >= tried() * 15 * 8, "only {proven} generated queries can be executed");
}

/// One input column of each subtype: were it missing from the lineage, its changes would be noticed.
#[tokio::test]
async fn a_missing_edge_is_noticed() {
    let mut worlds = Worlds::default();
    for (sql, source) in [
        ("select a, b from t", ("t", "a")),
        ("select a + b from t", ("t", "b")),
        ("select a, sum(b) from t group by a", ("t", "b")),
        ("select 1 from t join u on a = k", ("u", "k")),
        ("select count(*) from t group by a", ("t", "a")),
        ("select v from u where w > 1", ("u", "w")),
        ("select b from t where exists (select 1 from u where k = a)", ("t", "a")),
        ("select v from u order by w, k, v limit 3", ("u", "w")),
        ("select count(*) over (partition by w) from u", ("u", "w")),
        ("select case when w > 1 then 1 else 0 end from u", ("u", "w")),
        ("select count(*) from (select unnest(l) from t)", ("t", "l")),
        ("select 1 from (select distinct v from u) q", ("u", "v")),
        ("select 1 from (select k from u except select a from t) q", ("t", "a")),
    ] {
        let whole = worlds.lineage(sql).await;
        assert_eq!(worlds.violation(sql, &whole, &[source], 0..12).await.unwrap(), None);
        let mut lacking = whole;
        lacking
            .iter_mut()
            .for_each(|inputs| inputs.retain(|input| (input.dataset.as_str(), input.column.as_str()) != source));
        assert!(worlds.violation(sql, &lacking, &[source], 0..12).await.unwrap().is_some(), "{sql} without {source:?}");
    }
}

/// Lineage that names everything would pass every test above; this one counts what it leaves out.
#[tokio::test]
async fn lineage_leaves_out_what_it_can() {
    let mut worlds = Worlds::default();
    let (mut direct, mut possible) = (0, 0);
    for seed in 0..60 {
        let sql = query(&mut Dice::new(seed));
        for inputs in worlds.lineage(&sql).await {
            let mut columns: Vec<_> = inputs.iter().filter(|input| input.kind == Kind::Direct).collect();
            columns.dedup_by_key(|input| (&input.dataset, &input.column));
            direct += columns.len();
            possible += sources(&sql).len();
        }
    }
    assert!(direct * 3 < possible, "{direct} direct inputs of {possible} that could be");
}

/// Equal fingerprints promise equal results: queries that give different rows must not share one.
#[tokio::test]
async fn queries_with_different_results_have_different_fingerprints() {
    let mut worlds = Worlds::default();
    let session = worlds.get(1, None).await;
    let mut seen: HashMap<String, (String, Vec<Row>)> = HashMap::new();
    for seed in 0..80 {
        let sql = query(&mut Dice::new(seed));
        let plan = analysed(&session, &sql).await.unwrap();
        let fingerprint = canonical::fingerprint(&plan, &dataset).unwrap();
        let Ok(rows) = rows(&session, &sql).await else { continue };
        let rows = part(&rows, &(0..plan.schema().fields().len()).collect::<Vec<_>>());
        let (other, expected) = seen.entry(fingerprint).or_insert_with(|| (sql.clone(), rows.clone()));
        assert_eq!(rows, *expected, "one fingerprint for\n{sql}\n{other}");
    }
}
