//! What attempts publish, keep and reject.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod common;

use common::{Lab, data_files, failure, outcome};
use engine::At;
use flow::wire::Ending;

const SALES: &str = "day,shop,amount\n2024-01-01,a,10\n2024-01-01,b,20\n2024-01-02,a,30\n";

fn flow(tasks: &str) -> String {
    format!("name = \"shop\"\n[sources.sales]\npath = \"sales.csv\"\n{tasks}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_published_once_and_then_cached() {
    let mut lab = Lab::new();
    lab.write("sales.csv", SALES);
    let flow = flow("[tasks.totals]\nsql = \"select shop, sum(amount) as total from sales group by shop\"");
    let first = lab.run(&flow, &[]).await;
    assert!(!outcome(&first, "totals").cached);
    assert_eq!(outcome(&first, "totals").rows_out, Some(2));
    assert_eq!(lab.query("select * from shop.totals order by shop").await, "shop,total\na,40\nb,20\n");
    let layout = flow.replace("select shop,", "SELECT   shop, -- the shop\\n");
    let second = lab.run(&layout, &[]).await;
    assert!(outcome(&second, "totals").cached, "layout does not count");
    assert_eq!(outcome(&second, "totals").version, Some(0));
    lab.write("sales.csv", &SALES.replace("30", "31"));
    let third = lab.run(&flow, &[]).await;
    assert!(!outcome(&third, "totals").cached, "an edit of the same size is noticed");
    assert_eq!(lab.query("select total from shop.totals where shop = 'a'").await, "total\n41\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_blocking_check_publishes_nothing_and_keeps_the_rows_that_broke_it() {
    let mut lab = Lab::new();
    lab.write("sales.csv", SALES);
    let checked = |max: u32| {
        let checks = format!(
            "checks = [{{ between = {{ column = \"amount\", max = {max} }}, name = \"small\" }}, {{ unique = [\"shop\"], severity = \"warn\" }}]"
        );
        flow(&format!("[tasks.all]\nsql = \"select * from sales\"\n{checks}"))
    };
    let good = lab.run(&checked(100), &[]).await;
    assert_eq!(outcome(&good, "all").checks[1].failed_rows, 2, "both rows of shop a");
    assert!(!outcome(&good, "all").checks[1].passed);
    let files = data_files(&lab.path("lake/shop/all"));
    let bad = lab.run(&checked(15), &[]).await;
    let failed = failure(&bad, "all");
    assert!(failed.message.contains("check `small` (2 rows) failed"), "{}", failed.message);
    assert_eq!(failed.checks[0].samples.len(), 2);
    assert_eq!(data_files(&lab.path("lake/shop/all")), files, "no file is left behind");
    let rejected = lab.query("select shop, amount, _check from shop.all__rejected order by amount").await;
    assert_eq!(rejected, "shop,amount,_check\nb,20,small\na,30,small\n");
    assert_eq!(lab.query("select count(*) as n from shop.all").await, "n\n3\n", "the last good version stays");
    lab.run(&checked(99), &[]).await;
    assert_eq!(lab.query("select count(*) as n from shop.all__rejected").await, "n\n0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_doubles_nothing() {
    let mut lab = Lab::new();
    lab.write("sales.csv", SALES);
    let flow = "name = \"shop\"\n[params]\nday = { type = \"date\" }\n[sources.sales]\npath = \"sales.csv\"\n\
        [tasks.log]\nsql = \"select * from sales where day = $day\"\noutput = { mode = \"append\" }";
    lab.run(flow, &[("day", "2024-01-01")]).await;
    lab.run(flow, &[("day", "2024-01-02")]).await;
    assert_eq!(lab.query("select sum(amount) as s from shop.log").await, "s\n60\n");
    let again = lab.run(flow, &[("day", "2024-01-01")]).await;
    assert!(outcome(&again, "log").cached);
    lab.write("sales.csv", &SALES.replace(",20\n", ",25\n"));
    let changed = lab.run(flow, &[("day", "2024-01-01")]).await;
    assert!(!outcome(&changed, "log").cached);
    assert_eq!(lab.query("select sum(amount) as s from shop.log").await, "s\n65\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_where_replaces_the_partitions_of_the_output_or_the_rows_of_its_predicate() {
    let mut lab = Lab::new();
    lab.write("sales.csv", SALES);
    let head = "name = \"shop\"\n[params]\nday = { type = \"date\" }\n[sources.sales]\npath = \"sales.csv\"\n";
    for (task, output) in [("parts", "partition_by = [\"day\"]"), ("rows", "where = \"day = $day\"")] {
        let flow = format!(
            "{head}[tasks.{task}]\nsql = \"select * from sales where day = $day\"\noutput = {{ mode = \"replace_where\", {output} }}"
        );
        lab.write("sales.csv", SALES);
        lab.run(&flow, &[("day", "2024-01-01")]).await;
        lab.run(&flow, &[("day", "2024-01-02")]).await;
        lab.write("sales.csv", &SALES.replace(",20\n", ",25\n"));
        let third = lab.run(&flow, &[("day", "2024-01-01")]).await;
        outcome(&third, task);
        let rows = lab.query(&format!("select shop, amount from shop.{task} order by amount")).await;
        assert_eq!(rows, "shop,amount\na,10\nb,25\na,30\n", "{task}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_go_a_b_a_show_the_data_of_a_again() {
    let head = "name = \"shop\"\n[params]\ntimes = { type = \"int\", default = 1 }\nshop = { type = \"string\", default = \"a\" }\n[sources.sales]\npath = \"sales.csv\"\n";
    for output in [
        "mode = \"overwrite\"",
        "mode = \"replace_where\", where = \"shop = $shop\"",
        "mode = \"replace_where\", partition_by = [\"shop\"]",
    ] {
        let flow = format!(
            "{head}[tasks.t]\nsql = \"select shop, amount * $times as amount from sales where shop = $shop\"\noutput = {{ {output} }}"
        );
        let mut fresh = Lab::new();
        fresh.write("sales.csv", SALES);
        for (times, sum) in [("1", 40), ("2", 80), ("1", 40)] {
            let endings = fresh.run(&flow, &[("times", times)]).await;
            assert!(!outcome(&endings, "t").cached, "{output}");
            assert_eq!(
                fresh.query("select sum(amount) as s from shop.t where shop = 'a'").await,
                format!("s\n{sum}\n"),
                "{output}"
            );
        }
        if output.contains("replace_where") {
            fresh.run(&flow, &[("shop", "b")]).await;
            let again = fresh.run(&flow, &[]).await;
            assert!(outcome(&again, "t").cached, "the rows of b are beside those of a: {output}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn now_is_a_time_and_never_cached() {
    let mut lab = Lab::new();
    let flow = "name = \"shop\"\n[tasks.t]\nsql = \"select now() > timestamp '2024-01-01' as late\"";
    lab.run(flow, &[]).await;
    assert_eq!(lab.query("select late from shop.t").await, "late\ntrue\n");
    assert!(!outcome(&lab.run(flow, &[]).await, "t").cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_updates_and_inserts_by_key() {
    let mut lab = Lab::new();
    let flow = flow(
        "[tasks.shops]\nsql = \"select shop, max(amount) as best from sales group by shop\"\noutput = { mode = \"merge\", keys = [\"shop\"] }",
    );
    lab.write("sales.csv", "day,shop,amount\n2024-01-01,a,10\n2024-01-01,b,20\n");
    lab.run(&flow, &[]).await;
    lab.write("sales.csv", "day,shop,amount\n2024-01-02,b,5\n2024-01-02,c,7\n");
    let second = lab.run(&flow, &[]).await;
    outcome(&second, "shops");
    assert_eq!(lab.query("select * from shop.shops order by shop").await, "shop,best\na,10\nb,5\nc,7\n");
    assert!(outcome(&lab.run(&flow, &[]).await, "shops").cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_can_be_read_by_version_and_by_run() {
    let mut lab = Lab::new();
    let flow = flow("[tasks.n]\nsql = \"select count(*) as n from sales\"");
    lab.write("sales.csv", SALES);
    lab.run(&flow, &[]).await;
    lab.write("sales.csv", "day,shop,amount\n2024-01-01,a,10\n");
    lab.run(&flow, &[]).await;
    assert_eq!(lab.query("select n from shop.n").await, "n\n1\n");
    let version = At::Version { dataset: "shop.n".into(), version: 0 };
    assert_eq!(lab.query_at("select n from shop.n", &[version]).await, "n\n3\n");
    let run = At::Run { run_id: "run-0".into(), ended_ms: 0 };
    assert_eq!(lab.query_at("select n from n", &[run]).await, "n\n3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_inlined_and_commands_exchange_files() {
    let mut lab = Lab::new();
    lab.write("sales.csv", SALES);
    let flow = flow(
        r#"
[tasks.big]
sql = "select * from sales where amount > 15"
output = { as = "view" }
[tasks.count]
sql = "select count(*) as n from big"
[tasks.copy]
command = ["sh", "-c", "cp $FLOWCTL_INPUT_BIG/*.parquet $FLOWCTL_OUTPUT_DIR/"]
inputs = ["big"]
output = { format = "parquet" }
schema = { day = "date", shop = "string", amount = "int" }
[tasks.after]
sql = "select sum(amount) as s from copy"
"#,
    );
    let endings = lab.run(&flow, &[]).await;
    outcome(&endings, "after");
    assert_eq!(lab.query("select n from shop.count").await, "n\n2\n");
    assert_eq!(lab.query("select s from shop.after").await, "s\n50\n");
    assert!(!lab.path("lake/shop/big").exists(), "a view is not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_became_a_view_is_told_of() {
    let mut lab = Lab::new();
    let table = "name = \"f\"\n[tasks.t]\nsql = \"select 1 as n\"\n";
    let view = format!("{table}output = {{ as = \"view\" }}\n");
    assert_eq!(outcome(&lab.run(&view, &[]).await, "t").warnings, Vec::<String>::new());
    lab.run(table, &[]).await;
    let told = outcome(&lab.run(&view, &[]).await, "t").warnings.concat();
    assert!(told.contains("`f.t` was a table before") && told.contains("lake/f/t"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_may_be_called_anything() {
    const STRANGE: [&str; 6] = ["a b", "ü/ö", "50%", "x=y#1", "..", "an 'and' \\\"or\\\""];
    for mode in ["replace_where", "append", "overwrite", "merge"] {
        let keys = if mode == "merge" { ", keys = [\"n\"]" } else { "" };
        let mut lab = Lab::new();
        let flow = format!(
            "name = \"f\"\n[sources.s]\npath = \"s.json\"\n\
            [tasks.t]\nsql = \"select p, n, x from s\"\nchecks = [{{ unique = [\"n\"] }}]\n\
            output = {{ mode = \"{mode}\", partition_by = [\"p\"]{keys} }}"
        );
        for round in 0..3 {
            let row = |(n, p): (usize, &&str)| format!("{{\"p\": \"{p}\", \"n\": {n}, \"x\": {round}}}\n");
            lab.write("s.json", &STRANGE.iter().enumerate().map(row).collect::<String>());
            let ended = lab.run(&flow, &[]).await;
            assert!(!outcome(&ended, "t").cached, "{mode}");
            assert!(outcome(&lab.run(&flow, &[]).await, "t").cached, "{mode}");
            let rows =
                lab.query("select count(distinct p) as p, count(*) as n, min(x) as a, max(x) as b from f.t").await;
            assert_eq!(rows, format!("p,n,a,b\n6,6,{round},{round}\n"), "{mode}");
            assert_eq!(lab.query("select n from f.t where p = 'ü/ö'").await, "n\n1\n", "{mode}");
        }
        assert_eq!(lab.engine.fsck(false, i64::MAX).await.unwrap(), [], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_with_checkpoints_stays_readable() {
    let mut lab = Lab::new();
    let flow = "name = \"f\"\n[params]\nday = { type = \"int\" }\n[tasks.t]\nsql = \"select $day as day\"\noutput = { mode = \"append\" }";
    for day in 0..110 {
        outcome(&lab.run(flow, &[("day", &day.to_string())]).await, "t");
    }
    assert!(outcome(&lab.run(flow, &[("day", "7")]).await, "t").cached, "rows of a day are found behind checkpoints");
    assert_eq!(lab.query("select count(*) as n, sum(day) as s from f.t").await, "n,s\n110,5995\n");
    let past = [At::Version { dataset: "f.t".into(), version: 60 }];
    assert_eq!(lab.query_at("select count(*) as n from f.t", &past).await, "n\n61\n");
    assert_eq!(lab.engine.fsck(false, i64::MAX).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_come_go_and_be_null_later() {
    for output in ["mode = \"append\"", "mode = \"replace_where\", partition_by = [\"day\"]"] {
        let flow = |columns: &str| {
            format!(
                "name = \"f\"\n[params]\nday = {{ type = \"int\" }}\n[tasks.t]\nsql = \"select $day as day, 0 as c{columns}\"\n\
                output = {{ {output} }}"
            )
        };
        let mut lab = Lab::new();
        outcome(&lab.run(&flow(", 1 as a"), &[("day", "1")]).await, "t");
        outcome(&lab.run(&flow(", 2 as a, 3 as b"), &[("day", "2")]).await, "t");
        outcome(&lab.run(&flow(""), &[("day", "3")]).await, "t");
        outcome(&lab.run(&flow(", nullif($day, 4) as a"), &[("day", "4")]).await, "t");
        let rows = lab.query("select day, a, b from f.t order by day").await;
        assert_eq!(rows, "day,a,b\n1,1,\n2,2,3\n3,,\n4,,\n", "{output}");
        assert_eq!(lab.query("select count(*) as n from f.t where a is null").await, "n\n2\n", "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_on_the_table_sees_the_table_as_it_would_be() {
    let flow = |check: &str| {
        format!(
            "name = \"f\"\n[params]\np = {{ type = \"int\" }}\n[tasks.a]\nsql = \"select $p as id, $p - 1 as parent\"\n\
            output = {{ mode = \"append\" }}\nchecks = [{{ {check} }}]"
        )
    };
    let mut lab = Lab::new();
    let few = flow("sql = \"select count(*) as n from a having count(*) > 2\", on = \"table\"");
    for p in ["1", "2"] {
        outcome(&lab.run(&few, &[("p", p)]).await, "a");
    }
    assert_eq!(failure(&lab.run(&few, &[("p", "3")]).await, "a").checks[0].failed_rows, 1);
    let parents = "references = { column = \"parent\", to = \"a.id\" }";
    failure(&lab.run(&flow(parents), &[("p", "3")]).await, "a");
    let parents = flow("sql = \"select * from a where id = 3 and parent not in (select id from a)\", on = \"table\"");
    outcome(&lab.run(&parents, &[("p", "3")]).await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_refuses_keys_that_find_no_row_again() {
    let mut lab = Lab::new();
    let flow = |rows: &str| {
        format!(
            "name = \"f\"\n[tasks.t]\nsql = '''select * from (values {rows}) as r(\"Id\", v)'''\n\
            output = {{ mode = \"merge\", keys = [\"Id\"] }}"
        )
    };
    let refused = |ended: common::Endings| failure(&ended, "t").message.clone();
    assert!(refused(lab.run(&flow("(1, 'a'), (1, 'b')"), &[]).await).contains("one row a key"));
    assert!(refused(lab.run(&flow("(1, 'a'), (null, 'b')"), &[]).await).contains("NULL in the key"));
    outcome(&lab.run(&flow("(1, 'a'), (2, 'b')"), &[]).await, "t");
    outcome(&lab.run(&flow("(2, 'c'), (3, 'd')"), &[]).await, "t");
    assert_eq!(lab.query("select * from f.t order by \"Id\"").await, "Id,v\n1,a\n2,c\n3,d\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_touch_no_files_of_others() {
    let mut lab = Lab::new();
    outcome(&lab.run("name = \"f\"\n[tasks.t]\nsql = \"select 1 as n\"", &[]).await, "t");
    let theirs = ["lake/mine/sales.csv", "lake/mine/t/a.parquet", "lake/f/t/notes.txt"];
    for path in theirs {
        std::fs::create_dir_all(lab.path(path).parent().unwrap()).unwrap();
        lab.write(path, "x");
    }
    lab.write("lake/f/t/part-00000-0b0f7a5e-7a0c-4c39-8a3e-3f2b8f2f2b11-c000.snappy.parquet", "x");
    let found = lab.engine.fsck(true, i64::MAX).await.unwrap();
    assert_eq!(found.iter().map(|it| (it.kind, it.repaired)).collect::<Vec<_>>(), [("orphan", true)]);
    assert!(theirs.iter().all(|path| lab.path(path).exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_two_runs_wins_but_no_attempt_overtakes_a_later_one_of_its_own_task() {
    let lab = Lab::new();
    let attempt = async |run: &str, attempt: u32, token: u64, n: u32| {
        let text = format!("name = \"shop\"\n[tasks.totals]\nsql = \"select {n} as n\"");
        let assignment = lab.assignment(lab.plan(&text, &[]).await, run, attempt, token).await;
        lab.execute(&assignment).await
    };
    let version = |ending: Ending| match ending {
        Ending::Succeeded(outcome) => outcome.version.unwrap(),
        other => panic!("{other:?}"),
    };
    let now = async || lab.query("select n from shop.totals").await;
    // Run b started later and publishes first; then a, which started earlier.
    assert_eq!(version(attempt("b", 1, 5, 50).await), 0);
    assert_eq!(version(attempt("a", 1, 3, 30).await), 1, "another run's token does not fence");
    assert_eq!(now().await, "n\n30\n");
    // c's first attempt lost its lease; the second published, then a run that started before both.
    assert_eq!(version(attempt("c", 2, 8, 80).await), 2);
    assert_eq!(version(attempt("b2", 1, 4, 40).await), 3);
    match attempt("c", 1, 7, 70).await {
        Ending::Failed(failure) => assert!(failure.message.contains("overtaken by a later attempt"), "{failure:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(now().await, "n\n40\n");
    // What an earlier attempt published before its report was lost is adopted, not done again.
    assert_eq!(version(attempt("d", 1, 9, 90).await), 4);
    assert_eq!(version(attempt("e", 1, 11, 110).await), 5);
    assert_eq!(version(attempt("d", 2, 10, 100).await), 4);
    assert_eq!(now().await, "n\n110\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_seldom_repeat_are_stored_without_a_dictionary() {
    let mut lab = Lab::new();
    let flow = r#"
name = "shop"
[tasks.numbers]
sql = """select value as id, value % 7 as day, cast(value as double) / 3 as share, 'shop ' || (value % 5) as shop
from generate_series(1, 50000)"""
checks = [{ not_null = ["id"] }, { between = { column = "day", min = 0, max = 5 }, severity = "warn" }, { rows = { min = 50000, max = 50000 } }]
"#;
    let endings = lab.run(flow, &[]).await;
    let checks = &outcome(&endings, "numbers").checks;
    let found: Vec<_> = checks.iter().map(|check| (check.passed, check.failed_rows, check.observed)).collect();
    assert_eq!(found, [(true, 0, Some(0.0)), (false, 7143, Some(7143.0)), (true, 0, Some(50000.0))]);
    assert_eq!(checks[1].samples[0]["day"], 6);
    let sums = lab
        .query("select sum(id) as ids, round(sum(share)) as shares, count(distinct shop) as shops from shop.numbers");
    assert_eq!(sums.await, "ids,shares,shops\n1250025000,416675000.0,5\n");
    let mut bytes = 0;
    for file in data_files(&lab.path("lake/shop/numbers")) {
        bytes += std::fs::metadata(lab.path("lake/shop/numbers").join(file)).unwrap().len();
    }
    assert!(bytes < 8 * 50_000 + 100_000, "the identifiers take nearly no room beside 8 bytes a share: {bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_knows_its_interval() {
    let lab = Lab::new();
    let flow = |schedule: &str| {
        format!(
            "name = \"f\"\n{schedule}\n[tasks.t]\nsql = \"select $interval_start as a, $interval_end as b, $logical_time as c\""
        )
    };
    let daily = flow("[schedule]\ncron = \"0 6 * * *\"\ntimezone = \"America/New_York\"");
    let given = std::collections::BTreeMap::new();
    let compile = async |text: &str, at: &str| {
        let logical_time = flow::schedule::first(at, &flow::schedule::timezone("UTC").unwrap()).unwrap();
        let options = tasks::Options { given: Some(&given), logical_time: Some(logical_time), ..Default::default() };
        tasks::compile(&lab.engine, &lab.path("flow.toml"), text, options).await
    };
    // The night to 10 March is an hour short.
    let plan = compile(&daily, "2024-03-10T10:00:00Z").await.plan.unwrap();
    let assignment = lab.assignment(plan, "a", 1, 1).await;
    assert!(matches!(lab.execute(&assignment).await, Ending::Succeeded(_)));
    let row = lab.query("select cast(b - a as bigint) / 1000000 as seconds, b = c as same from f.t").await;
    assert_eq!(row, "seconds,same\n82800,true\n");
    let without = compile(&flow(""), "2024-03-10").await;
    let hints: Vec<_> = without.diagnostics.iter().map(|found| (found.code, found.hint.as_deref())).collect();
    assert_eq!(hints, vec![("E307", Some("only a flow with a `[schedule]` has intervals")); 2]);
}
