//! CSV and JSON as they come: compressed, with holes, and wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::{Lab, failure, outcome};

fn flow(source: &str) -> String {
    format!("name = \"f\"\n[sources.s]\n{source}\n[tasks.t]\nsql = \"select * from s\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_stand_for_null_are_null_in_every_type() {
    let mut lab = Lab::new();
    lab.write("s.csv", "a,b,c,d\n1,x,2.5,2024-01-01\nNA,NA,n/a,NA\n,,,\n");
    let ended = lab.run(&flow("path = \"s.csv\"\nnull = [\"NA\", \"n/a\"]"), &[]).await;
    assert_eq!(outcome(&ended, "t").rows_out, Some(3));
    let counts = lab.query("select count(a) as a, count(b) as b, count(c) as c, count(d) as d from f.t").await;
    assert_eq!(counts, "a,b,c,d\n1,1,1,1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_contradicts_its_type_is_told_with_file_row_and_column() {
    let mut lab = Lab::new();
    let rows: String = (0..20_000).map(|n| format!("{n},2024-01-01\n")).collect();
    lab.write("s.csv", &format!("n,day\n{rows}"));
    lab.write("t.csv", &format!("n,day\n{rows}7,\"1, May\"\n8,soon\n"));
    let source = "path = \"*.csv\"\ncolumns = { day = \"date\" }";
    let ended = lab.run(&flow(source), &[]).await;
    let said = &failure(&ended, "t").message;
    assert!(said.contains("t.csv`, row 20001 (line 20002), column `day`: `1, May` is not of type date"), "{said}");
    lab.write("t.csv", "n,day\nseven,2024-01-01\n");
    let ended = lab.run(&flow(&format!("{source}\n").replace("{ day", "{ n = \"int\", day")), &[]).await;
    let said = &failure(&ended, "t").message;
    assert!(said.contains("t.csv`, row 1 (line 2), column `n`: `seven` is not of type int"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_contradicts_its_type_is_told_with_file_and_row() {
    let mut lab = Lab::new();
    lab.write("s.json", "{\"n\": 1}\n\n{\"n\": 2}\n{\"n\": \"three\"}\n");
    let ended = lab.run(&flow("path = \"s.json\"\ncolumns = { n = \"int\" }"), &[]).await;
    let said = &failure(&ended, "t").message;
    assert!(said.contains("s.json`, row 3 (line 4): ") && said.contains("`n`: `three` is not of type int"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_source_may_bring_wider_types_but_no_other_columns() {
    let mut lab = Lab::new();
    lab.write("a.csv", "n,m\n1,NA\n");
    lab.write("b.csv", "n,m\n2.5,3\n");
    let source = flow("path = \"*.csv\"\nnull = [\"NA\"]");
    lab.run(&source, &[]).await;
    assert_eq!(lab.query("select sum(n) as n, sum(m) as m from f.t").await, "n,m\n3.5,3\n");
    lab.write("b.csv", "m,n\n2,3\n");
    let compiled = lab.compile(&source, &[]).await;
    let said = &compiled.diagnostics[0].message;
    assert!(said.contains("b.csv` are `m`, `n`, but those of") && said.contains("a.csv` are `n`, `m`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_told_with_its_name() {
    let lab = Lab::new();
    lab.write("s.csv.gz", "not gzip");
    let compiled = lab.compile(&flow("path = \"s.csv.gz\""), &[]).await;
    let diagnostic = &compiled.diagnostics[0];
    assert_eq!(diagnostic.code, "E702");
    assert!(diagnostic.message.contains("s.csv.gz` cannot be read: "), "{}", diagnostic.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_array_of_objects_is_told_from_an_object_a_line() {
    let lab = Lab::new();
    lab.write("s.json", &format!("\n[{}]", vec!["{\"secret\": 1}"; 1000].join(",\n")));
    let compiled = lab.compile(&flow("path = \"s.json\""), &[]).await;
    let said = &compiled.diagnostics[0].message;
    assert!(said.contains("one JSON array, but one object a line is expected"), "{said}");
    assert!(!said.contains("secret"), "what is in the file stays there: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_leaves_no_file_publishes_nothing() {
    let mut lab = Lab::new();
    let flow = |command: &str| {
        format!(
            "name = \"f\"\n[tasks.t]\ncommand = [\"sh\", \"-c\", '''{command}''']\n\
             output = {{ format = \"csv\" }}\nschema = {{ n = \"int\" }}\n"
        )
    };
    lab.run(&flow("printf 'n\\n1\\n' > $FLOWCTL_OUTPUT_DIR/a.csv"), &[]).await;
    let ended = lab.run(&flow("true"), &[]).await;
    assert!(failure(&ended, "t").message.contains("left no file in FLOWCTL_OUTPUT_DIR"));
    assert_eq!(lab.query("select n from f.t").await, "n\n1\n", "the last good version stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_without_reading_a_column() {
    let mut lab = Lab::new();
    lab.write("s.csv", "a,b\n1,2\n3,4\n");
    lab.write("s.json", "{\"a\": 1}\n{\"a\": 2}\n{\"b\": 3}\n");
    let text = "name = \"f\"\n[sources.c]\npath = \"s.csv\"\n[sources.j]\npath = \"s.json\"\n\
        [tasks.t]\nsql = \"select (select count(*) from c) as c, (select count(*) from j) as j\"";
    lab.run(text, &[]).await;
    assert_eq!(lab.query("select * from f.t").await, "c,j\n2,3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_cut_to_fit_its_type() {
    let mut lab = Lab::new();
    let run = |lab: &mut Lab, format: &str, kind: &str, value: &str| {
        let text = match format {
            "json" => format!("{{\"v\": {value}}}\n"),
            _ => format!("v\n{value}\n"),
        };
        lab.write(&format!("s.{format}"), &text);
        flow(&format!("path = \"s.{format}\"\ncolumns = {{ v = \"{kind}\" }}"))
    };
    for (format, kind, value) in
        [("json", "int", "1.5"), ("json", "date", "19723"), ("json", "timestamp", "1704067200"), ("csv", "int", "1.5")]
    {
        let text = run(&mut lab, format, kind, value);
        let ended = lab.run(&text, &[]).await;
        let said = &failure(&ended, "t").message;
        assert!(said.contains(&format!("`{value}` is not of type {kind}")), "{format} {kind}: {said}");
    }
    for (format, kind, value, read) in [
        ("json", "decimal(20,2)", "2.675", "2.68"),
        ("csv", "decimal(20,2)", "2.675", "2.68"),
        ("json", "string", "1.50", "1.50"),
        ("json", "int", "-7", "-7"),
        ("json", "date", "\"2024-01-31\"", "2024-01-31"),
    ] {
        let text = run(&mut lab, format, kind, value);
        outcome(&lab.run(&text, &[]).await, "t");
        assert_eq!(lab.query("select v from f.t").await, format!("v\n{read}\n"), "{format} {kind}");
    }
}
