//! Mistakes in SQL with what is said about each, and where: the text between `«` and `»`.

use std::ops::Range;

use engine::Problem;
use engine::spans::{Known, diagnose, diagnose_all};

use crate::world::{Dice, TABLES, analysed, empty};

const PLACES: &[(&str, &str, &str)] = &[
    // Syntax.
    ("select a from«»", "E501", "expected identifier, found the end of the text"),
    ("«selec» a from t", "E501", "`selec` is not expected here (did you mean `select`?)"),
    ("select a,«,» b from t", "E501", "expected an expression, found `,`"),
    ("select (a «from» t", "E501", "expected `)`, found `from`"),
    ("select a b «c» from t", "E501", "expected end of statement, found `c`"),
    ("select a «fro» t", "E501", "`fro` is not expected here (did you mean `from`?)"),
    ("select a from t «wher» b > 1", "E501", "`wher` is not expected here (did you mean `where`?)"),
    (
        "select «'abc from t»",
        "E501",
        "this string does not end (close it with `'`; inside a string write `''` for a quote)",
    ),
    (
        "select «\"a from t»",
        "E501",
        "this quoted name does not end (close it with `\"`; strings are written in single quotes)",
    ),
    ("select a «/* open»", "E501", "this comment does not end (close it with `*/`)"),
    ("select 'ä'\n  , a from t\nwhere «)»", "E501", "expected an expression, found `)`"),
    // One query.
    ("«»", "E507", "a task's SQL is one query (write one `select`; `output` says where its rows go)"),
    (
        "select a from t; «select b from t»",
        "E507",
        "a second statement follows the query (make each query a task of its own)",
    ),
    // Columns.
    ("select «z» from t", "E503", "column `z` does not exist (the columns are `a`, `b`, `l`, `s`)"),
    ("select \"DepDelay\",\n  «depht» from deep", "E503", "column `depht` does not exist (did you mean `depth`?)"),
    ("select t.«z» from t", "E503", "`t` has no column `z` (the columns are `a`, `b`, `l`, `s`)"),
    ("select ü.«z» from t as ü", "E503", "`ü` has no column `z` (the columns are `a`, `b`, `l`, `s`)"),
    (
        "select «DepDelay» from deep",
        "E503",
        "column `depdelay` does not exist (the column is written `\"DepDelay\"`, in double quotes because of its capitals)",
    ),
    ("select «\"A\"» from t", "E503", "column `A` does not exist (did you mean `a`?)"),
    ("select «q».a from t", "E502", "the query reads no table called `q` here (it reads `t`)"),
    (
        "select «t».a from t as q, u",
        "E502",
        "the query reads no table called `t` here (join it, or use one of `q`, `u`)",
    ),
    ("select a from t order by «zz»", "E503", "column `zz` does not exist (the columns are `a`, `b`, `l`, `s`)"),
    ("select b from t join x using («zz»)", "E503", "column `zz` does not exist (the columns are `a`, `b`, `l`, `s`)"),
    (
        "select a from t where exists (select «z» from u)",
        "E503",
        "column `z` does not exist (the columns are `k`, `v`, `w`)",
    ),
    ("with q as (select a from t) select «z» from q", "E503", "column `z` does not exist (the columns are `a`)"),
    (
        "select sum(a) over (partition by «zz») from t",
        "E503",
        "column `zz` does not exist (the columns are `a`, `b`, `l`, `s`)",
    ),
    (
        "select a from t order by «5»",
        "E503",
        "there is no output column number 5 (count the columns after `select` from 1, or write the column's name)",
    ),
    (
        "select a from t group by «5»",
        "E503",
        "there is no output column number 5 (count the columns after `select` from 1, or write the column's name)",
    ),
    ("select «a» from t, x", "E504", "several tables have a column `a` (say which one you mean: `t.a`, `x.a`)"),
    // Tables and functions.
    ("select a from «nowhere»", "E502", "table `nowhere` does not exist (expected one of `deep`, `t`, `u`, `x`)"),
    ("select a from «dep»", "E502", "table `dep` does not exist (did you mean `deep`?)"),
    ("select a from «other.t»", "E502", "table `other.t` does not exist (expected one of `deep`, `t`, `u`, `x`)"),
    ("select «q».* from t", "E502", "table `q` does not exist (expected one of `deep`, `t`, `u`, `x`)"),
    (
        "select l.a from t l join x «l» on true",
        "E504",
        "two tables are called `l` here (give one of them another name with `as`)",
    ),
    ("select «sume»(a) from t", "E506", "function `sume` does not exist (did you mean `sum`?)"),
    ("select «frobnicate»(a) from t", "E506", "function `frobnicate` does not exist"),
    ("select a from «read_parquet»('x')", "E506", "function `read_parquet` does not exist"),
    (
        "select «row_number»() from t",
        "E512",
        "the window function `row_number` has no window (write `row_number(…) over (order by …)`)",
    ),
    // Types.
    (
        "select «a + s» from t",
        "E505",
        "bigint + varchar does not fit together (cast one side to the type of the other)",
    ),
    (
        "select b, «s + 1» from t",
        "E505",
        "varchar + bigint does not fit together (cast one side to the type of the other)",
    ),
    (
        "select a from t where «l = 1»",
        "E505",
        "list(bigint) = bigint does not fit together (cast one side to the type of the other)",
    ),
    (
        "select «upper(l)» from t",
        "E505",
        "function `upper` does not take (list(bigint)) (cast the arguments to types that it takes)",
    ),
    (
        "select a, «sum(s)» from t group by a",
        "E505",
        "function `sum` does not take (varchar) (cast the arguments to types that it takes)",
    ),
    ("select not «s» from t", "E505", "`not` cannot be used with varchar (cast it to a type that fits)"),
    (
        "select «case when true then a else l end» from t",
        "E505",
        "the branches of this `case` do not fit together: then (bigint) and else (list(bigint)) (cast the branches to one type)",
    ),
    (
        "select a from t where «a like 'x'»",
        "E505",
        "`like` compares texts, not bigint and varchar (cast both sides to varchar)",
    ),
    (
        "select a from t where «b»",
        "E514",
        "the condition is of type bigint, not boolean (compare it with something, as in `… > 0`)",
    ),
    (
        "select cast(a as «foo») from t",
        "E513",
        "type `foo` does not exist (expected one of `varchar`, `text`, `char`, `smallint`, `int`, `integer`, `bigint`, `real`, `float`, `double`, `decimal`, `numeric` and 4 more)",
    ),
    ("select a::«varchr» from t", "E513", "type `varchr` does not exist (did you mean `varchar`?)"),
    (
        "select a from t union all «select k, v from u»",
        "E505",
        "the sides of this union have 1 and 2 columns (select as many columns on both sides)",
    ),
    (
        "select l from t union all select «k» from u",
        "E505",
        "the sides of this union have list(bigint) and bigint in one column (cast one side to the type of the other)",
    ),
    // Groups and windows.
    (
        "select «a», sum(b) from t",
        "E511",
        "`a` is neither grouped nor aggregated (add `a` to `group by`, or aggregate it, as in `min(a)`)",
    ),
    (
        "select a, count(*) from t group by a having t.«b» > 1",
        "E511",
        "`b` is neither grouped nor aggregated (add `b` to `group by`, or aggregate it, as in `min(b)`)",
    ),
    (
        "select a from t where «sum»(a) > 1",
        "E511",
        "rows are filtered before they are aggregated (filter groups with `having`, or aggregate in an inner query)",
    ),
    (
        "select sum(«sum»(a)) from t",
        "E511",
        "aggregate function calls cannot be nested (compute `sum(…)` in an inner query)",
    ),
    (
        "select lag(«row_number»() over ()) over () from t",
        "E511",
        "window function calls cannot be nested (compute `row_number(…)` in an inner query)",
    ),
    // Output.
    (
        "select a as n, b as «n» from t",
        "E510",
        "two output columns are called `n` (give one of them another name with `as`)",
    ),
    ("select a, «a» from t", "E510", "two output columns are called `a` (give one of them another name with `as`)"),
    (
        "select a, b as «a» from t",
        "E510",
        "two output columns are called `a` (give one of them another name with `as`)",
    ),
    (
        "with q as (select 1), «q» as (select 2) select * from q",
        "E512",
        "this `with` names `q` twice (give one of them another name)",
    ),
    // What has no rule of its own keeps the planner's words.
    ("«select interval 'foo'»", "E512", "parser error: Invalid input syntax for type interval: \"foo\""),
    (
        "«values (1), (2, 3)»",
        "E512",
        "inconsistent data length across values list: got 2 values in row 1 but expected 1",
    ),
];

fn known() -> Known {
    let mut tables: Vec<(&str, &[&str])> = TABLES.to_vec();
    tables.push(("deep", &["depth", "DepDelay"]));
    let owned = |columns: &[&str]| columns.iter().map(|&column| column.to_owned()).collect();
    Known {
        tables: tables.into_iter().map(|(table, columns)| (table.to_owned(), owned(columns))).collect(),
        functions: ["sum", "upper", "lower", "count"].map(String::from).to_vec(),
    }
}

/// The text without its marks, and the place between them.
fn unmarked(marked: &str) -> (String, Range<usize>) {
    let start = marked.find('«').unwrap();
    let end = marked.find('»').unwrap() - '«'.len_utf8();
    (marked.replace(['«', '»'], ""), start..end)
}

fn told(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{} ({hint})", problem.message),
        None => problem.message.clone(),
    }
}

#[tokio::test]
async fn every_mistake_is_found_where_it_stands() {
    let session = empty();
    session.sql("create table deep (depth bigint, \"DepDelay\" bigint)").await.unwrap();
    let mut wrong = Vec::new();
    for (marked, code, expected) in PLACES {
        let (sql, span) = unmarked(marked);
        let error = match analysed(&session, &sql).await {
            Ok(_) => panic!("no mistake is found in {sql}"),
            Err(error) => error,
        };
        let found = diagnose(&error, &sql, &known());
        if (found.code, told(&found).as_str(), &found.span) != (*code, *expected, &span) {
            let place = format!("{}«{}»", &sql[..found.span.start], &sql[found.span.clone()]);
            wrong.push(format!(
                "{marked}\n  expected {code} {expected}\n  found    {} {}\n  at {place}",
                found.code,
                told(&found)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn several_mistakes_are_told_apart_and_none_is_told_twice() {
    let sql = "select zz, yy from t union all select zz, k from u";
    let error = analysed(&empty(), sql).await.unwrap_err();
    let spans: Vec<Range<usize>> =
        diagnose_all(&error, sql, &known()).into_iter().map(|problem| problem.span).collect();
    assert_eq!(spans, [7..9, 11..13, 38..40]);
}

#[tokio::test]
async fn damaged_queries_have_a_place_inside_the_text() {
    let (session, known) = (empty(), known());
    let mut dice = Dice::new(7);
    for (marked, ..) in PLACES.iter().cycle().take(1_500) {
        let mut letters: Vec<char> = unmarked(marked).0.chars().collect();
        for _ in 0..=dice.below(3) {
            let at = dice.below(letters.len() + 1);
            match dice.below(3) {
                0 => letters.insert(at, ['(', '\'', ',', 'ß', '.', '\n', ')', '"', '$'][dice.below(9)]),
                1 => letters.truncate(at.max(1)),
                _ => drop((at < letters.len()).then(|| letters.remove(at))),
            }
        }
        let sql: String = letters.into_iter().collect();
        let Err(error) = analysed(&session, &sql).await else { continue };
        for problem in diagnose_all(&error, &sql, &known) {
            assert!(sql.get(problem.span.clone()).is_some(), "{sql}: {problem:?}");
            assert!(!problem.message.is_empty(), "{sql}");
        }
    }
}
