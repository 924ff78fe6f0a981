//! Schedules fire when an oracle in Python, written from the rules alone, says that they do.

use std::io::Write as _;
use std::process::Stdio;

use flow::schedule::{Schedule, first, timezone};
use flow::spec;
use flow::view::rfc3339;
use serde_json::Value;
use tests::outside::script;
use tests::succeed;

const SEED: &str = "20131101";
const CASES: usize = 600;

/// The oracle takes the zones' history from the same release that flowctl carries.
fn oracle() -> std::process::Command {
    let mut oracle = script("schedule_oracle.py");
    oracle.env("PYTHONTZPATH", "");
    oracle
}

fn answers(cases: &str) -> String {
    let mut oracle = oracle();
    let mut child = oracle.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let given = cases.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(given.as_bytes()));
    let output = child.wait_with_output().expect("it can be waited for");
    writer.join().expect("the writer ends").expect("it can be written to");
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).expect("the answers are text")
}

/// The answer of `flow::schedule` to a case.
fn ours(case: &Value) -> Vec<String> {
    let text = |key: &str| case[key].as_str().expect("a text");
    let file = format!(
        "name = \"f\"\n[schedule]\ncron = \"{}\"\ntimezone = \"{}\"\ndst = {{ skipped = \"{}\", doubled = \"{}\" }}\n\
        [tasks.t]\nkind = \"noop\"",
        text("cron"),
        text("timezone"),
        text("skipped"),
        text("doubled"),
    );
    let (flow, mistakes) = spec::parse(&file);
    assert_eq!(mistakes, [], "{file}");
    let schedule = Schedule::of(flow.unwrap().schedule.unwrap().get_ref()).unwrap_or_else(|| panic!("{file}"));
    let from = first(text("from"), &timezone("UTC").unwrap()).unwrap();
    let n = case["n"].as_u64().expect("a number") as usize;
    schedule.after(from).take(n).map(|time| rfc3339(time).replace(".000Z", "Z")).collect()
}

#[test]
fn schedules_fire_when_the_oracle_says() {
    let mut generate = oracle();
    let cases = succeed({
        generate.args(["--cases", SEED, &CASES.to_string()]);
        generate
    });
    let answers = answers(&cases);
    let (mut zones, mut wrong) = (std::collections::BTreeSet::new(), vec![]);
    for (case, answer) in cases.lines().zip(answers.lines()) {
        let case: Value = serde_json::from_str(case).unwrap();
        let answer: Vec<String> = serde_json::from_str(answer).unwrap();
        zones.insert(case["timezone"].to_string());
        let ours = ours(&case);
        if ours != answer {
            wrong.push(format!("{case}\n  oracle {answer:?}\n  ours   {ours:?}"));
        }
    }
    assert_eq!(answers.lines().count(), CASES);
    assert!(zones.len() >= 45, "{} zones", zones.len());
    assert!(wrong.is_empty(), "{} of {CASES} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}
