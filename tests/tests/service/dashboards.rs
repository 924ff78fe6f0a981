//! Every query of every dashboard and alert, read out of the files that Grafana and Prometheus get, has data beside a
//! service to which everything happens that they tell of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;
use tests::{outside, postgres, root, succeed};

use crate::MINUTE;
use crate::site::Site;
use crate::world::until;

/// What goes well, with checks of which one warns, a program that says something and has to be tried twice, and a pool.
const SALES: &str = r#"name = "sales"
[schedule]
cron = "* * * * * *"
[tasks.orders]
sql = "select value as id, value % 7 as amount, $logical_time as at from generate_series(1, 500)"
checks = [{ not_null = ["id"] }, { between = { column = "amount", min = 1 }, severity = "warn" }]
[tasks.still]
sql = "select value as n from generate_series(1, 10)"
[tasks.report]
command = ["sh", "-c", "echo reported; test $FLOWCTL_ATTEMPT -gt 1"]
retry = { attempts = 2, delay = "50ms" }
pool = "narrow"
after = ["orders"]
"#;

/// What fails, and is tried twice.
const BROKEN: &str = r#"name = "broken"
[schedule]
cron = "* * * * * *"
[tasks.t]
command = ["sh", "-c", "exit 1"]
retry = { attempts = 2, delay = "50ms" }
"#;

/// What a blocking check holds back.
const SPOILT: &str = r#"name = "spoilt"
[schedule]
cron = "*/2 * * * * *"
[tasks.t]
sql = "select value as n, $logical_time as at from generate_series(1, 3)"
checks = [{ between = { column = "n", max = 2 } }]
"#;

/// What holds a slot of a pool for as long as the test lasts.
const HELD: &str = r#"name = "held"
[tasks.t]
command = ["sh", "-c", "while [ -e ../../tokens ]; do sleep 0.2; done"]
pool = "wide"
"#;

/// What no worker can do.
const LONELY: &str = "name = \"lonely\"\n[tasks.t]\ncommand = [\"true\"]\nrequires = { gpu = \"yes\" }\n";

/// What a worker does that will be killed, and then another.
const DOOMED: &str = r#"name = "doomed"
[tasks.t]
command = ["sh", "-c", "touch ../../begun; while [ -e ../../tokens ]; do sleep 0.2; done"]
requires = { zone = "doomed" }
"#;

fn lay_out(flows: &Path) {
    for text in [SALES, BROKEN, SPOILT, HELD, LONELY, DOOMED] {
        let name = text.split('"').nth(1).unwrap();
        fs::write(flows.join(format!("{name}.toml")), text).unwrap();
    }
    // The server's project is its working folder.
    let server = flows.parent().unwrap().parent().unwrap().join("server");
    fs::write(server.join("flowctl.toml"), "[pools]\nnarrow = 1\nwide = 2\n").unwrap();
}

/// A query that is to have data, and where it stands.
#[derive(Clone)]
struct Asked {
    place: String,
    query: Query,
}

#[derive(Clone)]
enum Query {
    Prometheus(String),
    /// The single values, with their traces, in the histograms of a query.
    Exemplars(String),
    Sql(String),
}

/// The values of a dashboard's variables, each by its name.
type Chosen = Vec<(String, String)>;

fn yaml(name: &str) -> Value {
    serde_json::from_str(&outside::yaml(&root().join("deploy").join(name))).unwrap()
}

fn dashboards() -> Vec<Value> {
    let files = fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    files.map(|entry| serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap()).collect()
}

/// The time that is shown, in seconds since the epoch.
fn window() -> (String, String) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    ((now - 3600).to_string(), (now + 60).to_string())
}

/// What Grafana would put in.
fn filled(text: &str, chosen: &Chosen) -> String {
    let (from, to) = window();
    let ours = [
        ("$__unixEpochFrom()", from.as_str()),
        ("$__unixEpochTo()", &to),
        ("$__rate_interval", "30s"),
        ("$__range", "10m"),
    ];
    let text = ours.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let text = chosen.iter().fold(text, |text, (name, value)| {
        let names = [format!("${{{name}:regex}}"), format!("${{{name}}}"), format!("${name}")];
        names.iter().fold(text, |text, name| text.replace(name, value))
    });
    assert!(!Regex::new(r"\$[a-zA-Z_{]").unwrap().is_match(&text), "what is `$` in {text}");
    text
}

/// Chooses all where that can be, else what `sales` has.
fn choose(site: &Site, reader: &str, dashboard: &Value) -> Result<Chosen, String> {
    let mut chosen = vec![];
    for variable in dashboard["templating"]["list"].as_array().unwrap().iter().filter(|it| it["type"] == "query") {
        let name = variable["name"].as_str().unwrap();
        let values = match variable["query"].as_str() {
            Some(sql) => {
                let rows = rows(reader, &filled(sql, &chosen))?;
                rows.lines().map(|row| row.split('|').next().unwrap_or_default().to_owned()).collect()
            }
            None => label_values(site, variable["query"]["query"].as_str().unwrap())?,
        };
        let value = match (variable["allValue"].as_str(), name) {
            (Some(all), _) if !values.is_empty() => Some(all.to_owned()),
            (None, "flow") => values.into_iter().find(|it| *it == "sales"),
            // The oldest has come furthest.
            (None, _) => values.last().cloned(),
            _ => None,
        };
        let value = value.ok_or_else(|| format!("the variable {name} has no value yet"))?;
        chosen.push((name.to_owned(), value));
    }
    Ok(chosen)
}

/// `label_values(METRIC, LABEL)`, as Grafana asks it.
fn label_values(site: &Site, query: &str) -> Result<Vec<String>, String> {
    let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).expect("label_values(…)");
    let (metric, label) = inside.split_once(", ").expect("a metric and a label");
    let found = site.prometheus(&format!("label/{label}/values"), &[("match[]", metric)])?;
    Ok(found.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect())
}

/// The queries of a dashboard's panels.
fn panels(dashboard: &Value, chosen: &Chosen) -> Vec<Asked> {
    let mut asked = vec![];
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("{}: {}", dashboard["title"].as_str().unwrap(), panel["title"].as_str().unwrap());
            let query = match target["expr"].as_str() {
                Some(expr) => Query::Prometheus(filled(expr, chosen)),
                None => Query::Sql(filled(target["rawSql"].as_str().unwrap(), chosen)),
            };
            if let (Query::Prometheus(query), true) = (&query, target["exemplar"] == true) {
                asked.push(Asked { place: format!("{place}, exemplars"), query: Query::Exemplars(query.clone()) });
            }
            asked.push(Asked { place, query });
        }
    }
    asked
}

/// The queries of rules and autoscaling. An alert's has data where what it compares has: the comparisons are left out.
fn judged() -> Vec<Asked> {
    let compared = Regex::new(r"(==|>=|<=|>|<) [0-9.]+").unwrap();
    let rules = yaml("prometheus/rules/flowctl.yml");
    let groups = rules[0]["groups"].as_array().unwrap();
    let ask = |rule: &Value| {
        let place = [&rule["alert"], &rule["record"]].iter().find_map(|it| it.as_str()).unwrap().to_owned();
        let query = compared.replace_all(rule["expr"].as_str().unwrap(), "").into_owned();
        Asked { place, query: Query::Prometheus(query) }
    };
    let mut asked: Vec<Asked> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).map(ask).collect();
    let scaled = yaml("kubernetes/autoscaling/workers.yaml");
    let query = scaled[0]["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap().to_owned();
    asked.push(Asked { place: "autoscaling".to_owned(), query: Query::Prometheus(query) });
    asked
}

fn rows(reader: &str, sql: &str) -> Result<String, String> {
    let mut psql = Command::new("psql");
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", reader, "-c", sql]);
    let output = psql.output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// What a query lacks.
fn lack(site: &Site, reader: &str, asked: &Asked) -> Option<String> {
    let (text, found) = match &asked.query {
        Query::Prometheus(query) => (query, site.values(query).map(|values| !values.is_empty())),
        Query::Exemplars(query) => (query, exemplars(site, query).map(|found| found > 0)),
        Query::Sql(query) => (query, rows(reader, query).map(|rows| !rows.trim().is_empty())),
    };
    match found {
        Ok(true) => None,
        Ok(false) => Some(format!("{}: no data: {text}", asked.place)),
        Err(error) => Some(format!("{}: {error}: {text}", asked.place)),
    }
}

fn exemplars(site: &Site, query: &str) -> Result<usize, String> {
    let (from, to) = window();
    let found = site.prometheus("query_exemplars", &[("query", query), ("start", &from), ("end", &to)])?;
    Ok(found.as_array().map_or(0, Vec::len))
}

/// The role of the dashboards, made as `compose.yaml` does, and the URL that it reads the store by.
fn reader(site: &Site) -> String {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--variable=password=of-a-test"]);
    psql.arg(format!("--file={}", root().join("deploy/grafana/reader.sql").display())).arg(&site.store);
    succeed(psql);
    let (scheme, rest) = site.store.split_once("://").unwrap();
    format!("{scheme}://flowctl_reader@{}", rest.split_once('@').unwrap().1)
}

/// Lets everything happen that dashboards tell of.
fn let_things_happen(site: &Site) {
    for flow in ["held", "held", "held", "lonely", "doomed"] {
        site.ask("POST", "/v1/runs", &format!("{{\"flow\": \"{flow}\"}}"));
    }
    let doomed = site.worker(&["--labels", "zone=doomed"]);
    until("work for the worker that is to be killed", MINUTE, || site.path("begun").exists());
    doomed.signal(Signal::KILL);
    doomed.wait();
}

#[test]
fn every_query_of_dashboards_and_alerts_has_data() {
    let Some(site) = Site::start(lay_out) else { return };
    let reader = reader(&site);
    let_things_happen(&site);
    let asked = ask_all(&site, &reader);
    assert!(asked.len() > 80, "only {} queries were found", asked.len());
    let (mut open, deadline) = (asked.clone(), Instant::now() + 2 * MINUTE);
    while !open.is_empty() {
        let lacking: Vec<(Asked, String)> =
            open.into_iter().filter_map(|it| lack(&site, &reader, &it).map(|told| (it, told))).collect();
        let told: Vec<&str> = lacking.iter().map(|(_, told)| told.as_str()).collect();
        assert!(lacking.is_empty() || Instant::now() < deadline, "of {} queries:\n{}", asked.len(), told.join("\n"));
        open = lacking.into_iter().map(|(it, _)| it).collect();
        std::thread::sleep(Duration::from_millis(200));
    }
    exist(&site, &asked);
    alerts_are_up(&site);
    reads_no_secrets(&reader);
}

/// All queries, once the dashboards' variables have values.
fn ask_all(site: &Site, reader: &str) -> Vec<Asked> {
    let mut asked = judged();
    for dashboard in dashboards() {
        let mut chosen = Err(String::new());
        until(&format!("values of the variables of {}", dashboard["title"]), MINUTE, || {
            chosen = choose(site, reader, &dashboard);
            chosen.is_ok()
        });
        asked.extend(panels(&dashboard, &chosen.unwrap()));
    }
    asked
}

/// Of a sum with `or` the other half may have data: each metric must be there.
fn exist(site: &Site, asked: &[Asked]) {
    let names = site.prometheus("label/__name__/values", &[]).unwrap();
    let known: BTreeSet<&str> = names.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let metric = Regex::new(r"\b(flow:)?(flowctl|process)[_:][a-z0-9_:]+").unwrap();
    for asked in asked {
        let Query::Prometheus(query) = &asked.query else { continue };
        for name in metric.find_iter(query).map(|it| it.as_str()) {
            assert!(known.contains(name), "{}: there is no {name}", asked.place);
        }
    }
}

/// What goes wrong here is told, and Prometheus can work out every rule.
fn alerts_are_up(site: &Site) {
    let expected = ["FlowctlRunFailed", "FlowctlCheckFailed", "FlowctlErrorBudgetBurnsFast", "FlowctlErrorBudgetBurns"];
    until("the alerts", MINUTE, || {
        let alerts = site.prometheus("alerts", &[]).unwrap();
        let up: BTreeSet<&str> =
            alerts["alerts"].as_array().unwrap().iter().map(|it| it["labels"]["alertname"].as_str().unwrap()).collect();
        expected.iter().all(|it| up.contains(it))
    });
    let rules = site.prometheus("rules", &[]).unwrap();
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// The dashboards' role reads what they show and nothing else.
fn reads_no_secrets(reader: &str) {
    for sql in ["select * from access_tokens", "select * from plans", "delete from runs", "create table x (n int)"] {
        assert!(rows(reader, sql).is_err(), "it may {sql}");
    }
    assert!(postgres::rows(reader, "select count(*) from runs").trim().parse::<u64>().unwrap() > 0);
}
