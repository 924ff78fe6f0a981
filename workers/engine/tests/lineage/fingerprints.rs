//! Which texts mean the same. Equal fingerprints promise equal results, so the pairs that must differ matter
//! most; the pairs that must be equal are what reformatting a flow does to its SQL.

use datafusion::common::{ParamValues, ScalarValue};
use engine::canonical::{fingerprint, is_volatile};

use crate::world::{analysed, dataset, empty};

async fn of(sql: &str) -> Option<String> {
    let session = empty();
    session.sql("create view now_view as select now() as n, a from t").await.unwrap();
    let plan = analysed(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    fingerprint(&plan, &dataset)
}

const EQUAL: &[(&str, &str)] = &[
    ("select a, b from t where a > 1", "SELECT  a,\n\tb -- both\nFROM t /* the table */ WHERE ((a > (1)))"),
    ("select a + b * 2 as n from t", "select (a + (b * 2)) n from t"),
    ("select a, v from t join u on a = k", "select l.a, r.v from t l inner join u as r on l.a = r.k"),
    ("with q as (select a from t) select a from q", "with other as (select a from t) select other.a from other"),
    ("select a from (select a from t) q", "with q as (select a from t) select a from q"),
    ("select a from (select a as n from t) q(a)", "select a from (select a as other from t) z(a)"),
    (
        "with recursive r as (select k from u union all select v from u join r on w = r.k) select k from r",
        "with recursive deep as (select k from u union all select v from u join deep z on w = z.k) select k from deep",
    ),
    (
        "select b from t where exists (select 1 from u where k = t.a)",
        "select b from t z where exists (select 1 from u y where y.k = z.a)",
    ),
    ("select a from t order by b asc nulls last", "select a from t order by b"),
    ("select sum(a) as n from t group by b", "select sum(q.a) as n from t as q group by q.b"),
    ("select a from t union all select k from u", "(select a from t) union all (select k from u)"),
    ("select a from t where b <> 1", "select a from t where b != 1"),
];

const DIFFERENT: &[(&str, &str)] = &[
    ("select a from t where a > 1", "select a from t where a > 2"),
    ("select a from t where a > 1", "select a from t where a >= 1"),
    ("select a from t where s = 'x'", "select a from t where s = 'X'"),
    ("select 0.0::double as n", "select -0.0::double as n"),
    ("select 1 as n", "select '1' as n"),
    ("select 1::int as n", "select 1::bigint as n"),
    ("select a, b from t", "select b, a from t"),
    ("select a as x, b as y from t", "select b as x, a as y from t"),
    ("select a as n from t", "select a as m from t"),
    ("select a from t", "select a from x"),
    ("select a from t", "select distinct a from t"),
    ("select distinct on (a) a, b from t order by a, b", "select distinct on (a) a, b from t order by a, b desc"),
    ("select a from t limit 1", "select a from t limit 2"),
    ("select a from t limit 1", "select a from t limit 1 offset 1"),
    ("select a from t order by b limit 1", "select a from t order by b desc limit 1"),
    ("select a from t order by b limit 1", "select a from t order by b nulls first limit 1"),
    ("select a from t join u on a = k", "select a from t left join u on a = k"),
    ("select a from t join u on a = k", "select a from t join u on a = v"),
    ("select a from t join u on a = k and b = v", "select a from t join u on a = v and b = k"),
    ("select a from t left semi join u on a = k", "select a from t left anti join u on a = k"),
    ("select l.b from t l join t r on l.a = r.a", "select r.b from t l join t r on l.a = r.a"),
    ("select sum(a) as n from t", "select min(a) as n from t"),
    ("select sum(a) as n from t", "select sum(distinct a) as n from t"),
    ("select sum(a) as n from t", "select sum(a) filter (where b > 0) as n from t"),
    ("select array_agg(a order by b) as n from t", "select array_agg(a order by b desc) as n from t"),
    ("select sum(a) as n from t group by b", "select sum(a) as n from t group by s"),
    ("select a, count(*) as n from t group by rollup (a)", "select a, count(*) as n from t group by a"),
    ("select a, b from t group by rollup (a, b)", "select a, b from t group by cube (a, b)"),
    (
        "select sum(a) over (order by b rows between 1 preceding and current row) as n from t",
        "select sum(a) over (order by b rows between 2 preceding and current row) as n from t",
    ),
    ("select sum(a) over (partition by b) as n from t", "select sum(a) over (order by b) as n from t"),
    ("select a from t union all select k from u", "select a from t union select k from u"),
    ("select a from t intersect select k from u", "select a from t except select k from u"),
    ("select a from t where a in (1, 2)", "select a from t where a in (1, 3)"),
    ("select a from t where a in (1, 2)", "select a from t where a not in (1, 2)"),
    ("select a from t where a in (select k from u)", "select a from t where a in (select v from u)"),
    (
        "select a from t where exists (select 1 from u where k = t.a)",
        "select a from t where not exists (select 1 from u where k = t.a)",
    ),
    (
        "select a from t where exists (select 1 from u where k = t.a)",
        "select a from t where exists (select 1 from u where k = t.b)",
    ),
    ("select a from t where a > any (select k from u)", "select a from t where a > all (select k from u)"),
    ("select case when a = 1 then b else 0 end as n from t", "select case when a = 1 then 0 else b end as n from t"),
    ("select cast(a as int) as n from t", "select try_cast(a as int) as n from t"),
    ("select s like 'a%' as n from t", "select s ilike 'a%' as n from t"),
    ("select upper(s) as n from t", "select lower(s) as n from t"),
    ("select a - b as n from t", "select b - a as n from t"),
    ("select value from generate_series(1, 3)", "select value from generate_series(1, 4)"),
    ("select [1, 2, 3] as n", "select [1, 2, 4] as n"),
    ("select * from (values (1), (2)) q(n)", "select * from (values (1), (3)) q(n)"),
    ("select interval '1 day' as n", "select interval '2 days' as n"),
    ("select unnest(l) as n from t", "select l as n from t"),
    (
        "with recursive r as (select k from u union all select v from u join r on w = r.k) select k from r",
        "with recursive r as (select k from u union select v from u join r on w = r.k) select k from r",
    ),
];

#[tokio::test]
async fn what_means_the_same_has_one_fingerprint() {
    for (one, other) in EQUAL {
        let fingerprint = of(one).await;
        assert!(fingerprint.is_some(), "{one}");
        assert_eq!(fingerprint, of(other).await, "{one}\n{other}");
    }
}

#[tokio::test]
async fn what_may_differ_has_another() {
    for (one, other) in DIFFERENT {
        let (one_hash, other_hash) = (of(one).await, of(other).await);
        assert!(one_hash.is_some() && other_hash.is_some(), "{one}\n{other}");
        assert_ne!(one_hash, other_hash, "{one}\n{other}");
    }
}

#[tokio::test]
async fn long_lists_are_told_apart_in_the_middle() {
    let list = |middle: i64| (0..200).map(|i| if i == 100 { middle } else { i }.to_string()).collect::<Vec<_>>();
    let bound = async |middle| {
        let values = list(middle).iter().map(|n| ScalarValue::Int64(n.parse().ok())).collect::<Vec<_>>();
        let value =
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &datafusion::arrow::datatypes::DataType::Int64));
        let plan = empty().state().create_logical_plan("select $numbers as n").await.unwrap();
        let plan = plan.with_param_values(ParamValues::from(vec![("numbers", value)])).unwrap();
        fingerprint(&plan, &dataset).unwrap()
    };
    assert_eq!(bound(1).await, bound(1).await);
    assert_ne!(bound(1).await, bound(2).await);
}

#[tokio::test]
async fn the_value_of_a_parameter_counts() {
    let bound = async |month: &str| {
        let plan = empty().state().create_logical_plan("select a from t where s = $month").await.unwrap();
        let plan = plan.with_param_values(ParamValues::from(vec![("month", ScalarValue::from(month))])).unwrap();
        fingerprint(&plan, &dataset).unwrap()
    };
    assert_eq!(bound("2013-01").await, bound("2013-01").await);
    assert_ne!(bound("2013-01").await, bound("2013-02").await);
}

#[tokio::test]
async fn what_changes_by_itself_has_none() {
    for sql in [
        "select now() as n",
        "select current_date as n",
        "select current_time as n",
        "select random() as n",
        "select uuid() as n",
        "select a from t where random() > 0.5",
        "select a from t where exists (select 1 from u where now() > to_timestamp(v))",
        "select a from t order by random()",
        "select a from now_view",
        "select sum(a) over (order by random()) from t",
    ] {
        assert_eq!(of(sql).await, None, "{sql}");
    }
    let session = empty();
    let plan = analysed(&session, "select a from t where b in (select k from u where random() > 0.1)").await.unwrap();
    assert!(is_volatile(&plan));
    let plan = analysed(&session, "select a from t where b in (select k from u)").await.unwrap();
    assert!(!is_volatile(&plan));
}
