//! Shapes of queries with the lineage that a person derives from them: per output column the inputs in
//! order, each with the first letter of its subtype (Identity, Transformation, Aggregation, Join, Group by,
//! Filter, Sort, Window, Conditional).

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use engine::lineage;

use crate::world::{analysed, dataset, empty, short};

pub const SHAPES: &[(&str, &[&str])] = &[
    // Values.
    ("select a, b as c, s from t", &["t.a:I", "t.b:I", "t.s:I"]),
    ("select * from t", &["t.a:I", "t.b:I", "t.s:I", "t.l:I"]),
    ("select x.p, 1, 'k' || s from t, x", &["x.p:I", "", "t.s:T"]),
    ("select a + b, -a, cast(a as text), abs(b), a > 1 from t", &["t.a:T t.b:T", "t.a:T", "t.a:T", "t.b:T", "t.a:T"]),
    ("select cast(s as varchar), upper(s) from t", &["t.s:I", "t.s:T"]),
    (
        "select s like 'a%', a between b and 3, a in (1, b), s is null from t",
        &["t.s:T", "t.a:T t.b:T", "t.a:T t.b:T", "t.s:T"],
    ),
    // Conditions inside a value.
    ("select case when a > 1 then b else k end from t, u", &["t.a:C t.b:T u.k:T"]),
    ("select case a when 1 then b end from t", &["t.a:C t.b:T"]),
    (
        "select coalesce(a, b), nullif(a, b), nvl(a, b), nvl2(a, b, 1) from t",
        &["t.a:T t.a:C t.b:T", "t.a:T t.a:C t.b:C", "t.a:T t.a:C t.b:T", "t.a:C t.b:T"],
    ),
    // Rows.
    ("select a from t where b > 1", &["t.a:I t.b:F"]),
    ("select 1 from t where case when a = 1 then b = 2 else true end", &["t.a:F t.b:F"]),
    ("select a from t order by b", &["t.a:I t.b:S"]),
    ("select a from t order by b limit 3", &["t.a:I t.b:S"]),
    ("select count(*) from (select a from t order by b limit 3)", &["t.b:S"]),
    ("select distinct a from t", &["t.a:I t.a:G"]),
    ("select distinct on (a) a, b from t order by a, s", &["t.a:I t.a:G t.a:S t.s:S", "t.a:G t.a:S t.b:I t.s:S"]),
    // Groups.
    ("select a, sum(b), count(*) from t group by a", &["t.a:I t.a:G", "t.a:G t.b:A", "t.a:G"]),
    ("select a + 1 from t group by a + 1", &["t.a:T t.a:G"]),
    ("select sum(a + b) * 2 from t", &["t.a:A t.b:A"]),
    ("select a from t group by a having sum(b) > 3", &["t.a:I t.a:G t.b:F"]),
    ("select sum(a) filter (where b > 1), count(*) from t", &["t.a:A t.b:F", ""]),
    ("select array_agg(a order by b), first_value(a order by b) from t", &["t.a:A t.b:S", "t.a:A t.b:S"]),
    ("select count(distinct a), sum(case when s = 'x' then b end) from t", &["t.a:A", "t.b:A t.s:C"]),
    ("select a, b, sum(1) from t group by rollup (a, b)", &["t.a:I t.a:G t.b:G", "t.a:G t.b:I t.b:G", "t.a:G t.b:G"]),
    ("select a, b from t group by cube (a, b)", &["t.a:I t.a:G t.b:G", "t.a:G t.b:I t.b:G"]),
    ("select a, grouping(a) from t group by grouping sets ((a), ())", &["t.a:I t.a:G", "t.a:G"]),
    // Joins.
    ("select a, v from t join u on a = k", &["t.a:I t.a:J u.k:J", "t.a:J u.k:J u.v:I"]),
    ("select 1 from t left join u on a = k and b > v", &["t.a:J t.b:J u.k:J u.v:J"]),
    (
        "select * from t full join u on a = k where w = 1",
        &[
            "t.a:I t.a:J u.k:J u.w:F",
            "t.a:J t.b:I u.k:J u.w:F",
            "t.a:J t.s:I u.k:J u.w:F",
            "t.a:J t.l:I u.k:J u.w:F",
            "t.a:J u.k:I u.k:J u.w:F",
            "t.a:J u.k:J u.v:I u.w:F",
            "t.a:J u.k:J u.w:I u.w:F",
        ],
    ),
    ("select b, p from t join x using (a)", &["t.a:J t.b:I x.a:J", "t.a:J x.a:J x.p:I"]),
    ("select l.a from t l join t r on l.a = r.b", &["t.a:I t.a:J t.b:J"]),
    ("select a from t left semi join u on a = k", &["t.a:I t.a:J u.k:J"]),
    ("select a from t left anti join u on a = k", &["t.a:I t.a:J u.k:J"]),
    ("select count(*) from t cross join u", &[""]),
    (
        "select a, m from t cross join lateral (select max(v) as m from u where k = t.a) q",
        &["t.a:I t.a:F u.k:F", "t.a:F u.k:F u.v:A"],
    ),
    // Sets.
    ("select a from t union all select v from u where w > 0", &["t.a:I u.v:I u.w:F"]),
    ("select a, 1 from t union select k, v from u", &["t.a:I t.a:G u.k:I u.k:G u.v:G", "t.a:G u.k:G u.v:I u.v:G"]),
    ("select a from t intersect select k from u", &["t.a:I t.a:J t.a:G u.k:J"]),
    ("select a from t except select k from u where v = 1", &["t.a:I t.a:J t.a:G u.k:J u.v:F"]),
    // Subqueries.
    ("select (select max(v) from u where w = 1) from t", &["u.v:A u.w:F"]),
    ("select (select max(v) from u where k = t.a), b from t", &["t.a:F u.k:F u.v:A", "t.b:I"]),
    ("select b from t where a in (select k from u where v = t.b)", &["t.a:F t.b:I t.b:F u.k:F u.v:F"]),
    ("select b from t where exists (select 1 from u where k = a)", &["t.a:F t.b:I u.k:F"]),
    ("select exists (select w from u where k = a) from t", &["t.a:F u.k:F"]),
    ("select a = any (select k from u) from t", &["t.a:T u.k:T"]),
    ("select a in (select k from u where v = 1) from t", &["t.a:T u.k:T u.v:F"]),
    ("select b from t where a > (select avg(v) from u group by w limit 1)", &["t.a:F t.b:I u.v:F u.w:G"]),
    (
        "select a from t where exists (select 1 from u where k = t.a and exists (select 1 from x where p = t.b and x.a = v))",
        &["t.a:I t.a:F t.b:F u.k:F u.v:F x.a:F x.p:F"],
    ),
    // Named queries.
    ("with q as (select a + 1 as n, b from t where s = 'x') select n, b from q", &["t.a:T t.s:F", "t.b:I t.s:F"]),
    ("with q as (select a from t), t as (select k as a from u) select q.a, t.a from q, t", &["t.a:I", "u.k:I"]),
    (
        "with recursive r as (select k, 0 as depth from u where w = 0 union all select u.k, depth + 1 from u join r on u.v = r.k where depth < 3) select k, depth from r",
        &["u.k:I u.k:J u.v:J u.w:F", "u.k:J u.v:J u.w:F"],
    ),
    (
        "with recursive r as (select k, v, w from u union select v, w, k from r) select k from r",
        &["u.k:I u.k:G u.v:I u.v:G u.w:I u.w:G"],
    ),
    ("select n from v", &["t.a:T t.b:F"]),
    ("select q.n from v q where exists (select 1 from v)", &["t.a:T t.b:F"]),
    // Windows.
    ("select sum(a) over (partition by b order by s), a from t", &["t.a:A t.b:W t.s:W", "t.a:I"]),
    ("select lag(a) over (order by b), row_number() over (order by a) from t", &["t.a:T t.b:W", "t.a:W"]),
    (
        "select a from (select a, row_number() over (partition by b order by s) as n from t) where n = 1",
        &["t.a:I t.b:W t.s:W"],
    ),
    ("select a - avg(a) over () from t", &["t.a:T t.a:A"]),
    ("select sum(a) filter (where b > 0) over (order by s) from t", &["t.a:A t.b:F t.s:W"]),
    ("select rank() over (order by sum(b)) from t group by a", &["t.a:G t.b:W"]),
    // Lists, constants, functions that make tables.
    ("select a, unnest(l) from t", &["t.a:I t.l:J", "t.l:T t.l:J"]),
    ("select count(*) from (select unnest(l) from t)", &["t.l:J"]),
    ("select a, e from t cross join unnest(t.l) as q(e)", &["t.a:I t.l:J", "t.l:T t.l:J"]),
    ("select * from (values (1, 'a'), (2, 'b')) as q(n, s)", &["", ""]),
    ("select 1, 'a'", &["", ""]),
    ("select value, a from generate_series(1, 3) join t on a = value", &["t.a:J", "t.a:I t.a:J"]),
];

#[tokio::test]
async fn every_shape_has_the_lineage_derived_by_hand() {
    let session = empty();
    session.sql("create view v as select a * 2 as n from t where b = 1").await.unwrap();
    let mut wrong = Vec::new();
    for (sql, expected) in SHAPES {
        let found = match analysed(&session, sql).await.and_then(|plan| lineage::columns(&plan, &dataset)) {
            Ok(columns) => columns.iter().map(|inputs| short(inputs)).collect(),
            Err(error) => vec![format!("error: {error}")],
        };
        if found != *expected {
            wrong.push(format!("{sql}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_table_that_nobody_knows_is_an_error() {
    let plan = analysed(&empty(), "select a from t").await.unwrap();
    let error = lineage::columns(&plan, &|_| None).unwrap_err();
    assert!(error.to_string().contains("no dataset is known for the table t"), "{error}");
}

#[tokio::test]
async fn a_view_is_a_hop_of_its_own_only_if_it_is_known() {
    let session = empty();
    let view = session.sql("select a * 2 as n from t where b = 1").await.unwrap().into_view();
    let scan = TableScanBuilder::new("doubled", provider_as_source(view)).build().unwrap();
    let plan = LogicalPlan::TableScan(scan);
    let known = |table: &TableReference| Some(table.to_string());
    assert_eq!(short(&lineage::columns(&plan, &known).unwrap()[0]), "doubled.n:I");
    assert_eq!(short(&lineage::columns(&plan, &dataset).unwrap()[0]), "t.a:T t.b:F");
}

#[tokio::test]
async fn long_and_deep_queries_are_walked() {
    let session = empty();
    let nested = (0..10).fold("t".to_owned(), |inner, level| format!("(select a, b from {inner} where b > {level}) q"));
    for (sql, expected) in [
        (vec!["select a from t"; 400].join(" union all "), "t.a:I"),
        (format!("select {} from t", vec!["a"; 100].join(" + ")), "t.a:T"),
        (format!("select a from {nested}"), "t.a:I t.b:F"),
    ] {
        let plan = analysed(&session, &sql).await.unwrap();
        assert_eq!(short(&lineage::columns(&plan, &dataset).unwrap()[0]), expected);
    }
}
