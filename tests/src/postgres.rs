//! A schema of its own for a test, in the PostgreSQL that `tests/with-postgres` starts; or a whole PostgreSQL, to be
//! stopped.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::succeed;

/// The URL of a new, empty schema. `None` where no PostgreSQL was started, which CI does not accept.
pub fn schema() -> Option<String> {
    let (url, schema) = (server()?, name());
    psql(&url, &format!("create schema {schema}"));
    let mark = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{mark}options[search_path]={schema}"))
}

/// The URL of a new, empty database, for what looks at all schemas. `None` where no PostgreSQL was started.
pub fn database() -> Option<String> {
    let (url, database) = (server()?, name());
    psql(&url, &format!("create database {database}"));
    let (address, options) = url.split_once('?').unwrap_or((&url, ""));
    let (host, _) = address.rsplit_once('/').expect("the URL names a database");
    Some(format!("{host}/{database}?{options}"))
}

fn server() -> Option<String> {
    let Ok(url) = std::env::var("FLOWCTL_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "FLOWCTL_TEST_POSTGRES is not set; run tests/with-postgres");
        eprintln!("NOT RUN on PostgreSQL: run the tests through tests/with-postgres");
        return None;
    };
    Some(url)
}

fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a statement.
pub fn psql(url: &str, sql: &str) {
    rows(url, sql);
}

/// The rows of a query, a line each.
pub fn rows(url: &str, sql: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url.trim_end_matches(['?', '&']), "-c", sql]);
    succeed(psql)
}

/// A PostgreSQL that a test may stop. It is gone when it is dropped.
pub struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
}

impl Cluster {
    /// `None` where no PostgreSQL is installed, which CI does not accept.
    pub fn start() -> Option<Cluster> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().filter_map(Result::ok);
        let Some(bin) = versions.map(|version| version.path().join("bin")).max() else {
            assert!(std::env::var_os("CI").is_none(), "there is no PostgreSQL in /usr/lib/postgresql");
            eprintln!("NOT RUN: there is no PostgreSQL in /usr/lib/postgresql");
            return None;
        };
        // The path of a Unix socket is short.
        let folder = tempfile::Builder::new().prefix("flowctl-pg.").tempdir_in("/tmp").expect("a folder");
        let cluster = Cluster { folder, bin };
        if rustix::process::getuid().is_root() {
            let mut chown = Command::new("chown");
            chown.arg("postgres").arg(cluster.folder.path());
            succeed(chown);
        }
        cluster.run("initdb", &["-U", "flowctl", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        cluster.go_on();
        Some(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://flowctl@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Answers nobody from now on, as if it had crashed.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]);
    }

    /// Answers again.
    pub fn go_on(&self) {
        let socket = format!("-k {} -c listen_addresses=", self.folder.path().display());
        self.run("pg_ctl", &["-w", "-t", "60", "-l", "log", "-o", &socket, "start"]);
    }

    /// Runs one of its programs, which refuse to be run by root.
    fn run(&self, program: &str, args: &[&str]) {
        let program = self.bin.join(program);
        let mut command = match rustix::process::getuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.arg("-D").arg(self.folder.path().join("data")).args(args).current_dir(self.folder.path());
        // The server keeps what it inherits.
        let said = fs::File::create(self.folder.path().join("said")).expect("a file");
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("a file")).stderr(said);
        let status = command.status().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
        let said = || fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        assert!(status.success(), "{command:?} ended with {status}:\n{}", said());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        let pid = pid.lines().next().and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?));
        if let Some(pid) = pid {
            // At once: what it holds is of no use any more.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
    }
}
