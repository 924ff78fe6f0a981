//! Fills a store with a history: 1,000 flows with ten runs each over the last week, and one run of 1,000 tasks. Used by
//! pages.py: `fill STORE FLOWS RUNS` makes so many runs of each of so many flows.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::Time;
use flow::lineage::{Column, Input, Subtype};
use flow::plan::{self, Need, Output, Plan, Task};
use flow::run::{Event, Record, Run, RunState};
use flow::spec::{Mode, Severity};
use flow::wire::{CheckResult, Failure, Outcome, Pins};
use store::{Line, NewRun, Origin, Store};

/// How far back the history goes.
const BACK: Duration = Duration::from_secs(7 * 86_400);
/// Each run of so many fails.
const FAILS: usize = 20;
/// How many tasks the wide run has, and how many lines its last task says.
const WIDE: usize = 1_000;
const LINES: usize = 5_000;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, setting, flows, runs] = &args[..] else { panic!("fill STORE FLOWS RUNS") };
    let (flows, runs): (usize, usize) = (flows.parse().unwrap(), runs.parse().unwrap());
    let store = Store::open(setting).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (begin, step) = ((now - BACK).as_millis() as Time, (BACK.as_millis() / (flows * runs) as u128) as Time);
    for round in 0..runs {
        for number in 0..flows {
            let at = begin + (round * flows + number) as Time * step;
            made(&store, &flow(number, at), at, round as u64, (round + number).is_multiple_of(FAILS)).await;
        }
    }
    let wide = made(&store, &wide(), now.as_millis() as Time, 0, false).await;
    let said = |line| Line {
        task: format!("t{}", WIDE - 1),
        attempt: 1,
        at: now.as_millis() as Time,
        stream: "stdout".to_owned(),
        text: format!("line {line} of what a task has to say about what it does"),
    };
    store.log(&wide, &(0..LINES).map(said).collect::<Vec<_>>()).await.unwrap();
}

/// Five tasks, three of them with tables of twelve columns; reads a table of the flow before it.
fn flow(number: usize, logical_time: Time) -> Plan {
    let name = |number: usize| format!("flow_{number:04}");
    let (own, before) = (name(number), (!number.is_multiple_of(10)).then(|| format!("{}.daily", name(number - 1))));
    let reads = |dataset: &str, subtype: Subtype, at: usize| Input {
        dataset: dataset.to_owned(),
        column: format!("c{at}"),
        kind: subtype.kind(),
        subtype,
    };
    let column = |from: &str, at: usize| Column {
        name: format!("c{at}"),
        kind: "int".to_owned(),
        inputs: [reads(from, Subtype::Identity, at), reads(from, Subtype::Filter, 0)]
            .into_iter()
            .chain(before.iter().map(|before| reads(before, Subtype::Join, 1)))
            .collect(),
    };
    let table = |task: &str, from: &str, needs: &[usize]| Task {
        name: task.to_owned(),
        kind: "sql".to_owned(),
        needs: needs.iter().map(|&task| Need { task, data: true }).collect(),
        output: Some(output(format!("{own}.{task}"), (0..12).map(|at| column(from, at)).collect())),
        with: serde_json::json!({ "sql": "select *\nfrom it\nwhere c0 > 0" }),
        ..Task::default()
    };
    let other = |task: &str, kind: &str, need| Task {
        name: task.to_owned(),
        kind: kind.to_owned(),
        needs: vec![Need { task: need, data: false }],
        ..Task::default()
    };
    let tasks = vec![
        table("clean", "raw", &[]),
        table("joined", &format!("{own}.clean"), &[0]),
        table("daily", &format!("{own}.joined"), &[1]),
        other("report", "command", 2),
        other("done", "noop", 3),
    ];
    let columns = (0..12).map(|at| plan::Column { name: format!("c{at}"), kind: "int".to_owned() }).collect();
    let raw = plan::Source {
        name: "raw".to_owned(),
        path: "/data/raw.csv".to_owned(),
        format: flow::spec::Format::Csv,
        null: vec![],
        delimiter: b',',
        header: true,
        columns,
    };
    let externals = before.clone().into_iter().collect();
    Plan {
        flow: own.clone(),
        logical_time: Some(logical_time),
        sources: vec![raw],
        tasks,
        externals,
        ..Plan::default()
    }
}

/// Tasks in twenty rows.
fn wide() -> Plan {
    let task = |id: usize| Task {
        name: format!("t{id}"),
        kind: "command".to_owned(),
        needs: id.checked_sub(20).map(|task| Need { task, data: false }).into_iter().collect(),
        ..Task::default()
    };
    Plan { flow: "wide".to_owned(), tasks: (0..WIDE).map(task).collect(), ..Plan::default() }
}

fn output(dataset: String, columns: Vec<Column>) -> Output {
    let (keys, partition_by) = (vec![], vec![]);
    Output { dataset, view: false, mode: Mode::Overwrite, keys, predicate: None, partition_by, columns }
}

/// Records a run that is over. Answers its id.
async fn made(store: &Store, plan: &Plan, at: Time, version: u64, fails: bool) -> String {
    // As the product makes them: later ones sort behind.
    let run_id = format!("{:08x}-{:04x}-7000-8000-{:012x}", at >> 16, at & 0xffff, rand(at ^ plan.flow.len() as u64));
    let mut run = Run::new(Arc::new(plan.clone()), run_id.as_str());
    let mut records: Vec<Record> = vec![];
    for (seq, event) in (1..).zip(facts(plan, version, fails)) {
        let record = Record { run_id: run_id.clone(), seq, at: at + seq * 100, event };
        run.apply(&record).unwrap_or_else(|stale| panic!("{stale:?}: {record:?}"));
        records.push(record);
    }
    let pins = Pins::default();
    let origin = if plan.logical_time.is_some() { Origin::Schedule } else { Origin::Service };
    let new = NewRun::of(&pins, at, origin);
    store.create(&new, &run, records).await.unwrap();
    run_id
}

fn facts(plan: &Plan, version: u64, fails: bool) -> Vec<Event> {
    let mut facts = vec![Event::RunCreated, Event::RunStarted];
    for task in &plan.tasks {
        let name = task.name.clone();
        if !task.is_noop() {
            facts.push(Event::TaskStarted { task: name.clone(), attempt: 1, worker: "w".to_owned(), token: 0 });
        }
        let checks = vec![check("not_null c0", true), check("unique c0, c1", !fails || name != "joined")];
        if fails && name == "joined" {
            let failure = Box::new(Failure { checks, ..Failure::user("check `unique c0, c1` failed") });
            facts.push(Event::TaskFailed { task: name, attempt: 1, failure });
            facts.push(Event::RunClosed { state: RunState::Failed, error: Some("joined failed".to_owned()) });
            return facts;
        }
        let dataset = task.output.as_ref().map(|output| output.dataset.clone());
        let outcome = match dataset.is_some() {
            true => Outcome {
                rows_out: Some(26_483),
                bytes_out: Some(415_437),
                version: Some(version),
                location: Some("/lake/table".to_owned()),
                dataset,
                checks,
                ..Outcome::default()
            },
            false => Outcome::default(),
        };
        facts.push(Event::TaskSucceeded { task: name, attempt: 1, outcome: Box::new(outcome) });
    }
    facts.push(Event::RunClosed { state: RunState::Succeeded, error: None });
    facts
}

fn check(name: &str, passed: bool) -> CheckResult {
    CheckResult {
        name: name.to_owned(),
        kind: name.split(' ').next().unwrap_or_default().to_owned(),
        columns: vec!["c0".to_owned()],
        severity: Severity::Error,
        passed,
        failed_rows: u64::from(!passed) * 3,
        observed: Some(0.0),
        samples: vec![],
    }
}

/// Twelve hexadecimal digits that look like chance.
fn rand(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}
