//! Servers and workers as real processes, on a store of their own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use tests::flowctl;

pub struct World {
    folder: tempfile::TempDir,
    /// The URL of a PostgreSQL; `None`: SQLite in the folder.
    postgres: Option<String>,
    /// What its processes find in their environment besides.
    env: Vec<(String, String)>,
}

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    /// The server's address.
    pub address: String,
    /// What it is asked through: `None` is plain HTTP.
    pub tls: Option<Arc<ClientConfig>>,
    /// What it says on standard error.
    pub log: PathBuf,
}

trait Talk: Read + Write {}
impl<T: Read + Write> Talk for T {}

impl World {
    pub fn sqlite() -> World {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("flows")).unwrap();
        World { folder, postgres: None, env: vec![] }
    }

    pub fn postgres() -> Option<World> {
        let postgres = Some(tests::postgres::schema()?);
        Some(World { postgres, ..World::sqlite() })
    }

    /// On a PostgreSQL of one's own.
    pub fn at(url: String) -> World {
        World { postgres: Some(url), ..World::sqlite() }
    }

    /// The same, with more in its environment.
    pub fn with_env(mut self, env: &[(&str, &str)]) -> World {
        self.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    pub fn is_sqlite(&self) -> bool {
        self.postgres.is_none()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn flow(&self, name: &str, text: &str) {
        fs::write(self.path("flows").join(format!("{name}.toml")), format!("name = \"{name}\"\n{text}")).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = flowctl(self.folder.path());
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(url) = &self.postgres {
            command.env("FLOWCTL_STORE", url);
        }
        command
    }

    /// What a command prints as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
    }

    /// The rows of a query as CSV without its header.
    pub fn rows(&self, sql: &str) -> String {
        let output = self.command(&["query", sql, "--format", "csv"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    pub fn serve(&self, args: &[&str]) -> Process {
        let mut serve = self.command(&["serve", "flows"]);
        serve.args(if args.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] }).args(args);
        Process::server(serve, &self.path(""))
    }

    /// A server that may open so many files.
    pub fn serve_with_files(&self, files: u32) -> Process {
        let ours = self.command(&["serve", "flows", "--listen", "127.0.0.1:0"]);
        let mut limited = tests::clean("sh", self.folder.path());
        limited.current_dir(self.folder.path()).args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        limited.arg(ours.get_program()).args(ours.get_args());
        Process::server(limited, &self.path(""))
    }

    pub fn worker(&self, server: &Process, args: &[&str]) -> Process {
        self.worker_of(&[server], args)
    }

    /// A worker that may turn from one server to the next.
    pub fn worker_of(&self, servers: &[&Process], args: &[&str]) -> Process {
        let url =
            |server: &&Process| format!("{}://{}", if server.tls.is_some() { "https" } else { "http" }, server.address);
        let urls: Vec<String> = servers.iter().map(url).collect();
        let mut command = self.command(&["worker", "--server", &urls.join(",")]);
        command.args(args);
        let log = self.path(&format!("worker-{}.log", args.join("_").replace('/', "-")));
        Process::start(command, &servers[0].address, log)
    }

    /// Asks for a run through the API. Answers its id.
    pub fn submit(&self, server: &Process, body: &str) -> String {
        let (status, answer) = server.post("/v1/runs", body);
        assert_eq!(status, 201, "{answer}");
        answer["run_id"].as_str().unwrap().to_owned()
    }

    pub fn show(&self, run: &str) -> Value {
        self.json(&["show", run])
    }

    pub fn state(&self, run: &str) -> String {
        self.show(run)["state"].as_str().unwrap().to_owned()
    }

    pub fn task(&self, run: &str, task: &str) -> Value {
        let show = self.show(run);
        let tasks = show["tasks"].as_array().unwrap();
        tasks.iter().find(|it| it["name"] == task).unwrap_or_else(|| panic!("{show}")).clone()
    }

    /// Waits until the run is over, and answers how it ended.
    pub fn ended(&self, run: &str, within: Duration) -> Value {
        until(&format!("the end of {run}"), within, || !["queued", "running"].contains(&self.state(run).as_str()));
        self.show(run)
    }

    /// Nothing is wrong with store and lake.
    pub fn is_sound(&self) {
        let output = self.command(&["fsck"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// A file appears when a task has begun.
    pub fn wait_for(&self, name: &str) {
        until(name, Duration::from_secs(60), || self.path(name).exists());
    }
}

impl Process {
    /// Starts what talks to an address or listens there.
    pub fn start(mut command: Command, address: &str, log: PathBuf) -> Process {
        let child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        Process { child, address: address.to_owned(), tls: None, log }
    }

    /// Starts a server, and waits until it has said where it listens. Its log is in the folder.
    pub fn server(mut command: Command, logs: &Path) -> Process {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.split_once("://")?.1.to_owned()));
        let address = address.expect("it listens");
        let log = logs.join(format!("serve-{}.log", child.id()));
        let copied = log.clone();
        std::thread::spawn(move || copy(lines, &copied));
        Process { child, address, tls: None, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has said so.
    pub fn says(&self, text: &str) -> bool {
        fs::read_to_string(&self.log).unwrap_or_default().contains(text)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap()?.code()
    }

    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.request("POST", path, body)
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.request_with("", method, path, body)
    }

    /// With more header lines.
    pub fn request_with(&self, header: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let answer = self.exchange(head.as_bytes(), body.as_bytes());
        let status =
            answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Says something, and listens until the server hangs up.
    pub fn exchange(&self, head: &[u8], body: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(head);
        // A server that has heard enough answers and hangs up.
        let _ = stream.write_all(body);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn connect(&self) -> Box<dyn Talk> {
        let stream = TcpStream::connect(&self.address).unwrap();
        let Some(config) = &self.tls else { return Box::new(stream) };
        let client = ClientConnection::new(config.clone(), "127.0.0.1".try_into().unwrap()).unwrap();
        Box::new(StreamOwned::new(client, stream))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(lines: impl Iterator<Item = String>, log: &Path) {
    let mut file = fs::File::create(log).unwrap();
    for line in lines {
        let _ = writeln!(file, "{line}");
    }
}

/// Polls until `check` holds.
pub fn until(what: &str, within: Duration, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !check() {
        assert!(Instant::now() < deadline, "{what} did not happen within {within:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
