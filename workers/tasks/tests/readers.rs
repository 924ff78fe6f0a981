//! What those see who read a table or a file: other flows, other systems' tables, single queries.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::{Lab, failure, outcome};

const ORDERS: &str = "name = \"shop\"\n[tasks.orders]\n\
    sql = \"select * from (values (1, 'de'), (2, 'fr'), (3, 'de')) t(id, country)\"\n\
    output = { partition_by = [\"country\"] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_text_partitions_is_read_by_another_flow_and_as_a_source() {
    let mut lab = Lab::new();
    lab.run(ORDERS, &[]).await;
    let count = "select country, count(*) as n from TABLE where country <> 'xx' group by country";
    let mart = format!("name = \"mart\"\n[tasks.t]\nsql = \"{}\"", count.replace("TABLE", "shop.orders"));
    outcome(&lab.run(&mart, &[]).await, "t");
    assert_eq!(lab.query("select * from mart.t order by n").await, "country,n\nfr,1\nde,2\n");
    let path = lab.path("lake/shop/orders").display().to_string();
    let source = format!("[sources.s]\npath = \"{path}\"\nformat = \"delta\"\ncolumns = {{ id = \"string\" }}\n");
    let task = "[tasks.t]\nsql = \"select id, country from s\"\ncontract = { columns = { id = \"string\" } }";
    outcome(&lab.run(&format!("name = \"copy\"\n{source}{task}"), &[]).await, "t");
    let kinds = lab.query("select distinct arrow_typeof(id) as a, arrow_typeof(country) as b from copy.t").await;
    assert_eq!(kinds.replace("Utf8View", "Utf8"), "a,b\nUtf8,Utf8\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_declared_type_would_cut_is_refused() {
    let mut lab = Lab::new();
    let values = "select * from (values (1.0, 7), (1.5, 300)) t(price, pieces)";
    lab.run(&format!("name = \"f\"\n[tasks.t]\nsql = \"{values}\"\n"), &[]).await;
    let table = lab.path("lake/f/t").display().to_string();
    for path in [format!("path = \"{table}/*.parquet\""), format!("path = \"{table}\"\nformat = \"delta\"")] {
        let read = |columns: &str, of: &str| {
            let source = format!("[sources.s]\n{path}\ncolumns = {{ {columns} }}");
            format!("name = \"g\"\n{source}\n[tasks.t]\nsql = \"select max({of}) as m from s\"")
        };
        let cut = failure(&lab.run(&read("price = \"int\"", "price"), &[]).await, "t").message.clone();
        assert!(cut.contains("column `price`: `1.5` is not of type int"), "{cut}");
        outcome(&lab.run(&read("price = \"int\"", "pieces"), &[]).await, "t");
        outcome(&lab.run(&read("pieces = \"float\"", "pieces"), &[]).await, "t");
        assert_eq!(lab.query("select m from g.t").await, "m\n300.0\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nested_is_read_by_another_flow() {
    let mut lab = Lab::new();
    let nested = "select map(['a'], [1]) as m, [timestamp '2024-01-01 12:00:00'] as times";
    lab.run(&format!("name = \"f\"\n[tasks.t]\nsql = \"{nested}\"\n"), &[]).await;
    let reader = "select m['a'] as a, times[1] as first from f.t";
    outcome(&lab.run(&format!("name = \"g\"\n[tasks.t]\nsql = \"{reader}\"\n"), &[]).await, "t");
    assert_eq!(lab.query("select * from g.t").await, "a,first\n1,2024-01-01T12:00:00\n");
}

/// An open end is often written so; counted in nanoseconds it would be beyond the end of time.
#[tokio::test(flavor = "multi_thread")]
async fn times_reach_to_the_end_of_9999() {
    let mut lab = Lab::new();
    lab.write("in.csv", "id,since,until\n1,2013-01-01T00:00:00,9999-12-31T00:00:00\n2,2013-06-01T00:00:00,\n");
    let flow = r#"
        name = "f"
        [params]
        end = { type = "timestamp", default = "9999-12-31" }
        [sources.raw]
        path = "in.csv"
        [tasks.spans]
        sql = """select id, since, coalesce(until, timestamp '9999-12-31') as until, cast('9999-12-31' as timestamp) as c,
                 '9999-12-31T23:59:59.999999'::timestamp as last, cast(id as timestamp) as early, $end as p from raw"""
        checks = [{ sql = "select * from spans where until <> timestamp '9999-12-31' or p <> until or c <> until" }]
        [tasks.open]
        sql = """select count(*) as n from spans join (select date '2013-01-15' as day) d on d.day < until and since < d.day
                 where until = $end and since < '2013-02-01' and until between since and '9999-12-31'
                 and until in ('9999-12-31', '2014-01-01') and exists (select 1 from spans s where s.until > date '9999-01-01')"""
    "#;
    let ended = lab.run(flow, &[]).await;
    assert_eq!((outcome(&ended, "spans").rows_out, outcome(&ended, "open").rows_out), (Some(2), Some(1)));
    // Whole numbers are seconds since 1970.
    let far = "9999-12-31T00:00:00,9999-12-31T23:59:59.999999,1970-01-01T00:00:0";
    let spans = lab.query("select id, until, last, early from f.spans order by id").await;
    assert_eq!(spans, format!("id,until,last,early\n1,{far}1\n2,{far}2\n"));
    assert_eq!(lab.query("select n from f.open").await, "n\n1\n");
    let nested = "select count(*) filter (where since < '2013-02-01') as a, max(since) > '2013-05-01' as b, \
                  sum(case when until in ('9999-12-31') then id end) as c from f.spans having min(since) < date '2014-01-01'";
    assert_eq!(lab.query(nested).await, "a,b,c\n1,true,3\n");
    let days =
        "select count(*) as n from generate_series(timestamp '2013-01-01', timestamp '2013-01-31', interval '1 day')";
    assert_eq!(lab.query(days).await, "n\n31\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_where_no_column_is_read() {
    let mut lab = Lab::new();
    let limited = "[tasks.one]\nsql = \"select 'x' as x from orders limit 1\"\n\
        [tasks.last]\nsql = \"select 'y' as y from orders limit 2 offset 2\"\n";
    let ended = lab.run(&format!("{ORDERS}{limited}"), &[]).await;
    assert_eq!((outcome(&ended, "one").rows_out, outcome(&ended, "last").rows_out), (Some(1), Some(1)));
    assert_eq!(lab.query("select count(*) as n from (select 1 from shop.orders limit 2)").await, "n\n2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_may_name_a_table_long_and_short() {
    let mut lab = Lab::new();
    lab.run(ORDERS, &[]).await;
    let both = "select id from shop.orders where id = (select max(id) from orders)";
    assert_eq!(lab.query(both).await, "id\n3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_readers_would_take_for_null_is_refused() {
    let mut lab = Lab::new();
    for text in ["", "__HIVE_DEFAULT_PARTITION__"] {
        let ended = lab.run(&ORDERS.replace("'fr'", &format!("'{text}'")), &[]).await;
        let said = &failure(&ended, "orders").message;
        assert!(said.contains(&format!("nullif(country, '{text}')")), "{said}");
    }
    let ended = lab.run(&ORDERS.replace("'fr'", "null"), &[]).await;
    assert_eq!(outcome(&ended, "orders").rows_out, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_go_when_what_was_good_is_back() {
    let mut lab = Lab::new();
    let flow = "name = \"f\"\n[sources.s]\npath = \"s.csv\"\n[tasks.t]\nsql = \"select * from s\"\nchecks = [{ not_null = [\"k\"] }]";
    let (good, bad) = ("k,v\na,1\n", "k,v\n,1\n");
    for text in [good, bad] {
        lab.write("s.csv", text);
        lab.run(flow, &[]).await;
    }
    assert_eq!(lab.query("select count(*) as n from f.t__rejected").await, "n\n1\n");
    lab.write("s.csv", good);
    let ended = lab.run(flow, &[]).await;
    assert!(outcome(&ended, "t").cached);
    assert_eq!(lab.query("select count(*) as n from f.t__rejected").await, "n\n0\n");
}

const TWO: &str =
    "name = \"f\"\n[tasks.a]\nsql = \"select 1 as k, 2 as x\"\n[tasks.b]\nsql = \"select 3 as k, 4 as y\"\n";

/// What is said of a query that reads `a` and `b`.
async fn told(lab: &Lab, sql: &str) -> Vec<String> {
    let compiled = lab.compile(&format!("{TWO}[tasks.t]\nsql = \"{sql}\"\n"), &[]).await;
    compiled.diagnostics.iter().map(|found| found.message.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_that_cannot_be_run_does_not_compile() {
    let lab = Lab::new();
    for wrong in [
        "select k not in (select k from b where k > 1) as is_new from a",
        "select k, (select max(b.y) from b where b.k = a.k and b.y < a.x) as m from a",
    ] {
        let told = told(&lab, wrong).await;
        assert!(told.len() == 1 && told[0].starts_with("a subquery of this query cannot be run: "), "{told:?}");
    }
    for right in [
        "select k from a where k not in (select k from b)",
        "select k from a where exists (select 1 from b where b.k = a.k)",
        "select k, (select max(y) from b) as m, (select sum(y) from b where b.k = a.k) as s from a",
    ] {
        assert_eq!(told(&lab, right).await, Vec::<String>::new(), "{right}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_column_that_would_be_null_is_refused() {
    let lab = Lab::new();
    for wrong in [
        "select k, y from a full join b using (k)",
        "select x from a right join b using (k) where K > 1",
        "select * from a full join b using (k)",
        "select y from (select * from a natural right join b) t",
        "select k from a c cross join (a full join b using (k))",
        "select 1 as k union all select k from a full outer join b using (k)",
    ] {
        let told = told(&lab, wrong).await;
        assert!(told.len() == 1 && told[0].contains("would be NULL"), "{wrong}: {told:?}");
    }
    for right in [
        "select coalesce(a.k, b.k) as k, x, y from a full join b using (k) order by k",
        "select k from (select coalesce(a.k, b.k) as k from a full join b using (k)) t",
        "select k, x, y from a left join b using (k)",
        "select b.k from a right join b using (k)",
    ] {
        assert_eq!(told(&lab, right).await, Vec::<String>::new(), "{right}");
    }
    assert_eq!(told(&lab, "from a").await, ["the query returns no columns"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_uneven_streams_have_written_holds_each_row_once() {
    let mut lab = Lab::new();
    // Three of four rows are in one window, the rest in many.
    let sql = "select id, row_number() over (partition by k order by id) as n from \
        (select value as id, case when value % 4 < 3 then 0 else value end as k from generate_series(1, 600000))";
    let endings = lab.run(&format!("name = \"f\"\n[tasks.t]\nsql = \"{sql}\"\n"), &[]).await;
    assert_eq!(outcome(&endings, "t").rows_out, Some(600_000));
    let sums = lab.query("select count(*) as rows, count(distinct id) as ids, sum(id) as sum, max(n) as n from f.t");
    assert_eq!(sums.await, "rows,ids,sum,n\n600000,600000,180000300000,450000\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_may_be_cut_and_ordered_by_any_expression() {
    let lab = Lab::new();
    let words = "(values ('a', 1), ('bb', 2), ('cc', 3), ('d', 4)) t(word, n)";
    // What DuckDB says.
    for (window, expected) in [
        ("row_number() over (partition by length(word) > 1 order by n desc)", "2,2,1,1"),
        ("row_number() over (order by length(word) > 1, n)", "1,3,4,2"),
        ("row_number() over (partition by case when n % 4 < 3 then 0 else 1 end order by n)", "1,2,1,3"),
        ("sum(n) over (partition by length(word) > 1)", "5,5,5,5"),
        ("sum(n) over (order by n % 3 < 2, n rows between 1 preceding and current row)", "3,2,4,7"),
        ("sum(n) over (order by n * 2 range between 2 preceding and current row)", "1,3,5,7"),
        ("lag(word) over (partition by length(word) > 1 order by n) = 'a'", ",,false,true"),
    ] {
        let rows = lab.query(&format!("select {window} as x, word from {words} order by word")).await;
        let found: Vec<_> = rows.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
        assert_eq!(found.join(","), expected, "{window}");
    }
    let two = "select word, count(*) over (partition by length(word) > 1) as a, \
        count(*) over (partition by length(word) > 1 order by n) as b from ";
    let nested = format!(
        "select max(a) as a, sum(b) over (partition by length(word) > 1) as s from ({two} {words}) u \
         group by b, word order by s limit 1"
    );
    assert_eq!(lab.query(&nested).await, "a,s\n2,3\n");
}
