//! A lake in an object store: SeaweedFS, which checks signatures and knows conditional writes, read by others, too.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::outside::{script, tool};
use tests::{flowctl, succeed};

const FLOW: &str = r#"
name = "f"
[tasks.a]
sql = "select * from (values (1, 'de'), (2, 'fr'), (3, 'de')) t(id, country)"
output = { partition_by = ["country"] }
checks = [{ unique = ["id"] }]
[tasks.b]
sql = "select country, count(*) as n from a group by country"
[tasks.m]
sql = "select id, country from a"
output = { mode = "merge", keys = ["id"] }
[tasks.c]
command = ["sh", "-c", "cat $FLOWCTL_INPUT_A/*.parquet | wc -c"]
inputs = ["a"]
"#;

const SECRETS: &str = r#"{"identities": [{"name": "me", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    "credentials": [{"accessKey": "me", "secretKey": "secret"}]}]}"#;

/// One for all tests of this process, each with a bucket of its own.
static STORE: LazyLock<ObjectStore> = LazyLock::new(ObjectStore::start);

struct ObjectStore {
    endpoint: String,
    /// A shell that ends the store and removes its folder when this process has gone, however.
    _keeper: Child,
}

impl ObjectStore {
    fn start() -> ObjectStore {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::write(folder.join("s3.json"), SECRETS).unwrap();
        // Held together, so that they differ.
        let free: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|port| port.local_addr().unwrap().port()).collect();
        drop(free);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "\"$@\" > log 2>&1 & read -r _; kill -9 $!; wait; rm -r \"$PWD\"", "sh"])
            .current_dir(&folder);
        shell.arg(tool("weed").get_program());
        shell.args(["server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.config=s3.json"]);
        shell.args(["-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let names = ["master.port", "volume.port", "filer.port", "s3.port"];
        let grpc = names.map(|name| format!("{name}.grpc"));
        let all = names.map(str::to_owned).into_iter().chain(grpc);
        shell.args(all.zip(&ports).map(|(name, port)| format!("-{name}={port}")));
        let keeper = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        ObjectStore { endpoint: format!("http://127.0.0.1:{}", ports[3]), _keeper: keeper }
    }

    fn env(&self, command: &mut Command) {
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "me").env("AWS_SECRET_ACCESS_KEY", "secret");
    }
}

/// A project with a bucket of its own.
struct Project {
    folder: tempfile::TempDir,
    bucket: &'static str,
}

impl Project {
    fn new(bucket: &'static str, flow: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f.toml"), flow).unwrap();
        let made = Instant::now() + Duration::from_secs(60);
        while !outside(&["bucket", bucket]).output().unwrap().status.success() {
            assert!(Instant::now() < made, "the object store does not answer");
            sleep(Duration::from_millis(200));
        }
        Project { folder, bucket }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = flowctl(self.folder.path());
        STORE.env(&mut command);
        command.args(args).env("FLOWCTL_LAKE", format!("s3://{}/lake", self.bucket));
        command
    }

    fn said(&self, args: &[&str]) -> String {
        succeed(self.command(args))
    }
}

fn outside(args: &[&str]) -> Command {
    let mut command = script("s3.py");
    STORE.env(&mut command);
    command.args(args);
    command
}

fn rows(url: &str) -> Value {
    serde_json::from_str(&succeed(outside(&["rows", url]))).unwrap()
}

#[test]
fn a_lake_in_an_object_store_does_what_one_in_a_folder_does() {
    let project = Project::new("whole", FLOW);
    project.said(&["run", "f.toml"]);
    let again = project.said(&["run", "f.toml"]);
    assert!(again.contains("3 cached"), "{again}");
    assert_eq!(rows("s3://whole/lake/f/b"), json!([{"country": "de", "n": 2}, {"country": "fr", "n": 1}]));
    assert_eq!(rows("s3://whole/lake/f/m").as_array().unwrap().len(), 3);
    let other = "name = \"g\"\n[tasks.t]\nsql = \"select max(id) as id from f.a\"\n";
    fs::write(project.folder.path().join("g.toml"), other).unwrap();
    project.said(&["run", "g.toml"]);
    let changed = FLOW.replace("(3, 'de')", "(4, 'de'), (5, 'it')");
    fs::write(project.folder.path().join("f.toml"), changed).unwrap();
    project.said(&["run", "f.toml"]);
    let count =
        |args: &[&str]| project.said(&[&["query", "select count(*) as n from f.m", "--format", "csv"], args].concat());
    assert_eq!((count(&[]), count(&["--at", "f.m=0"])), ("n\n5\n".to_owned(), "n\n3\n".to_owned()));
    assert!(project.said(&["datasets"]).contains("g.t"));
}

const READERS: &str = r#"
name = "r"
[sources.days]
path = "s3://raw/days/*.csv.gz"
[sources.planes]
path = "s3://raw/planes.parquet"
[sources.events]
path = "s3://raw/events"
format = "json"
[sources.big]
path = "s3://raw/big.csv"
[sources.published]
path = "s3://raw/lake/f/a"
format = "delta"
[tasks.counts]
sql = """select (select sum(n) from days) as days, (select count(*) from planes) as planes,
  (select max(kind) from events) as kind, (select count(*) from published) as published,
  (select sum(n) from big) as big"""
"#;

#[test]
fn sources_in_an_object_store_are_read_and_pinned() {
    let project = Project::new("raw", FLOW);
    let folder = project.folder.path();
    let put = |key: &str, content: &[u8]| {
        fs::write(folder.join("put"), content).unwrap();
        succeed(outside(&["put", &format!("raw/{key}"), &folder.join("put").display().to_string()]));
    };
    let gz = |text: &str| {
        let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        gzip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        gzip.wait_with_output().unwrap().stdout
    };
    put("days/1 +?.csv.gz", &gz("n\n1\n2\n"));
    put("days/2.csv.gz", &gz("n\n3\n"));
    put("days/_part.csv.gz", b"half");
    put("days/more/3.csv.gz", &gz("n\n100\n"));
    let planes = format!("select * from '{}'", tests::root().join("examples/data/nycflights13/planes.csv").display());
    put("planes.parquet", &project.command(&["query", &planes, "--format", "parquet"]).output().unwrap().stdout);
    put("events/empty.json", b"");
    put("big.csv", &[b"n\n".to_vec(), b"1234567\n".repeat(1_200_000)].concat());
    put("events/2013/a.json", b"{\"kind\": \"departed\"}\n");
    project.said(&["run", "f.toml"]);
    fs::write(folder.join("r.toml"), READERS).unwrap();
    let counts = || {
        project.said(&["run", "r.toml"]);
        project.said(&[
            "query",
            "select days, planes > 3000 as planes, kind, published, big from r.counts",
            "--format",
            "csv",
        ])
    };
    assert_eq!(counts(), "days,planes,kind,published,big\n6,true,departed,3,1481480400000\n");
    assert!(project.said(&["run", "r.toml"]).contains("1 cached"));
    put("days/2.csv.gz", &gz("n\n4\n"));
    assert_eq!(counts(), "days,planes,kind,published,big\n7,true,departed,3,1481480400000\n");
    assert_eq!(
        project.said(&["query", "select sum(n) as n from 's3://raw/days/*.csv.gz'", "--format", "csv"]),
        "n\n7\n"
    );
    fs::write(folder.join("r.toml"), READERS.replace("planes.parquet", "planets.parquet")).unwrap();
    let told = String::from_utf8(project.command(&["check", "r.toml"]).output().unwrap().stdout).unwrap();
    assert!(told.contains("`s3://raw/planets.parquet` does not exist"), "{told}");
    assert!(told.contains("holds `big.csv`, `days`, `events`, `lake`, `planes.parquet`"), "{told}");
}

#[test]
fn what_is_in_no_version_is_found_and_removed() {
    let project = Project::new("litter", &FLOW.replace("'fr'", "'côte d''ivoire: 1/2'"));
    project.said(&["run", "f.toml"]);
    project.said(&["fsck"]);
    let name = "part-00000-01a21ef6-7497-7696-88eb-551347eb2da2-c000.snappy.parquet";
    for table in ["f/a/country=de", "f/a/country=a%20b", "never/published"] {
        succeed(outside(&["put", &format!("litter/lake/{table}/{name}")]));
    }
    let fsck = |args: &[&str]| -> (Option<i32>, usize) {
        let Output { status, stdout, .. } = project.command(&[&["fsck", "--json"], args].concat()).output().unwrap();
        let found: Value = serde_json::from_slice(&stdout).unwrap();
        (status.code(), found["findings"].as_array().unwrap().len())
    };
    assert_eq!(fsck(&[]), (Some(1), 3));
    assert_eq!(fsck(&["--repair"]), (Some(1), 3));
    assert_eq!(fsck(&[]), (Some(0), 0));
    assert_eq!(rows("s3://litter/lake/f/a").as_array().unwrap().len(), 3, "what is in one stays");
}

#[test]
fn what_is_old_goes_and_what_is_new_is_read_on() {
    let version = |n: usize| {
        let rows = format!("select timestamp '2013-01-01 10:0{n}:00' as at, {n} as n");
        format!("name = \"f\"\nkeep = \"1s\"\n[tasks.t]\nsql = \"{rows}\"\noutput = {{ partition_by = [\"at\"] }}\n")
    };
    let project = Project::new("old", &version(0));
    for n in 0..4 {
        fs::write(project.folder.path().join("f.toml"), version(n)).unwrap();
        project.said(&["run", "f.toml"]);
    }
    let prune = || -> Value { serde_json::from_str(&project.said(&["prune", "--json"])).unwrap() };
    let pruned = std::iter::repeat_with(prune).take(200).find(|pruned| pruned["tables"][0].is_object()).unwrap();
    let gone = &pruned["tables"][0];
    assert!(gone["oldest"].as_u64() >= Some(1) && gone["files"] == gone["oldest"], "{pruned}");
    assert_eq!(project.said(&["query", "select n from f.t", "--format", "csv"]), "n\n3\n");
    project.said(&["fsck", "--repair"]);
    fs::write(project.folder.path().join("f.toml"), version(5)).unwrap();
    project.said(&["run", "f.toml"]);
    let rows = rows("s3://old/lake/f/t");
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(project.said(&["query", "select n from f.t", "--format", "csv"]), "n\n5\n");
}

/// The commit of a table is one conditional write, whoever else commits.
#[test]
fn of_many_who_append_at_once_each_adds_its_row() {
    let flow = "name = \"f\"\n[params]\nn = { type = \"int\" }\n[tasks.t]\nsql = \"select $n as n\"\n\
        output = { mode = \"append\" }\n";
    let project = Project::new("race", flow);
    let runs = (0..6).map(|n| {
        let mut run = project.command(&["run", "f.toml", "--store", &format!("{n}.db"), "-p", &format!("n={n}")]);
        run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    let runs: Vec<Child> = runs.collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    let all: Vec<Value> = (0..6).map(|n| json!({ "n": n })).collect();
    assert_eq!(rows("s3://race/lake/f/t"), Value::from(all));
}

/// Whether a commit came through whose answer was lost, its author finds out: it is made once, and its files stay.
#[test]
fn a_commit_whose_answer_is_lost_is_made_once() {
    for mode in ["append", "merge"] {
        let keys = if mode == "merge" { ", keys = [\"n\"]" } else { "" };
        let flow = |n: usize| {
            let output =
                format!("output = {{ mode = \"{mode}\"{keys} }}\nretry = {{ attempts = 3, delay = \"10ms\" }}\n");
            format!(
                "name = \"{mode}\"\n[params]\nn = {{ type = \"int\", default = {n} }}\n[tasks.t]\nsql = \"select $n as n\"\n{output}"
            )
        };
        let project = Project::new("cut", &flow(1));
        project.said(&["run", "f.toml"]);
        let cut = Cut::before(&STORE.endpoint, "_delta_log/00000000000000000001.json");
        let mut run = project.command(&["run", "f.toml", "-p", "n=2"]);
        succeed({
            run.env("AWS_ENDPOINT_URL", &cut.endpoint);
            run
        });
        assert!(cut.is_done.load(Ordering::Relaxed), "the answer was let through");
        assert_eq!(rows(&format!("s3://cut/lake/{mode}/t")), json!([{"n": 1}, {"n": 2}]));
        let sets: Value = serde_json::from_str(&project.said(&["datasets", "--json"])).unwrap();
        let set = sets.as_array().unwrap().iter().find(|set| set["dataset"] == format!("{mode}.t")).unwrap();
        assert_eq!(set["version"], 1, "{set}");
        project.said(&["fsck"]);
    }
}

/// A way to the store on which the answer to one request is lost.
struct Cut {
    endpoint: String,
    is_done: Arc<AtomicBool>,
}

impl Cut {
    /// The first request to write what is called so comes through, its answer does not.
    fn before(endpoint: &str, name: &'static str) -> Cut {
        let store = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let is_done = Arc::new(AtomicBool::new(false));
        let done = is_done.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&store).unwrap();
                let (is_next, done) = (Arc::new(AtomicBool::new(false)), done.clone());
                let (asked, asks, answered) =
                    (is_next.clone(), client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    pass(asks, answered, |text| {
                        let is_write =
                            text.starts_with("PUT ") && text.lines().next().unwrap_or_default().contains(name);
                        asked.fetch_or(is_write, Ordering::Relaxed);
                        true
                    });
                });
                std::thread::spawn(move || {
                    pass(server, client, |_| !is_next.load(Ordering::Relaxed) || done.swap(true, Ordering::Relaxed));
                });
            }
        });
        Cut { endpoint, is_done }
    }
}

/// Passes on what comes, as long as it may; then nothing goes either way.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(&str) -> bool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !may(&String::from_utf8_lossy(&bytes[..count])) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_store_that_does_not_let_us_in_is_told() {
    let project = Project::new("closed", FLOW);
    let refused = |name: &str, value: &str| {
        let mut command = project.command(&["run", "f.toml"]);
        command.env(name, value);
        let began = Instant::now();
        let Output { status, stderr, .. } = command.output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(4), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
        said
    };
    let wrong = refused("AWS_SECRET_ACCESS_KEY", "wrong");
    assert!(wrong.contains("s3://closed/lake"), "{wrong}");
    let away = refused("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    assert!(away.contains("s3://closed/lake"), "{away}");
    let mut unknown = project.command(&["run", "f.toml", "--lake", "hdfs://there/lake"]);
    let output = unknown.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let mut doctor = project.command(&["doctor"]);
    let doctor = doctor.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    assert_eq!(doctor.status.code(), Some(4), "{doctor:?}");
}
