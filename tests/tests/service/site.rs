//! What `deploy/` describes, as plain processes: its scripts make secrets and tokens, the commands of its `compose.yaml`
//! start a server, two workers and Prometheus, beside a PostgreSQL. Only the places differ.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tests::{binary, clean, outside, postgres, root, succeed};

use crate::MINUTE;
use crate::authority::trusting;
use crate::world::{Process, until};

pub struct Site {
    /// The URL of the store.
    pub store: String,
    pub server: Process,
    pub workers: Vec<Process>,
    pub prometheus: Process,
    compose: Value,
    /// Goes last, when nothing writes there any more.
    pub folder: tempfile::TempDir,
}

impl Site {
    /// Brings it up with the flows that `lay_out` puts into the folder it is given. `None` without a PostgreSQL.
    pub fn start(lay_out: impl FnOnce(&Path)) -> Option<Site> {
        let store = postgres::database()?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["server", "tokens", "srv/flows", "prometheus/data"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::create_dir(at("srv/examples")).unwrap();
        symlink(root().join("examples/data"), at("srv/examples/data")).unwrap();
        lay_out(&at("srv/flows"));
        let documents: Vec<Value> = serde_json::from_str(&outside::yaml(&root().join("deploy/compose.yaml"))).unwrap();
        let compose = documents.into_iter().next().unwrap();
        let mut secrets = Command::new(root().join("deploy/secrets.sh"));
        secrets.arg(at("secrets"));
        succeed(secrets);
        succeed(command(&compose, "tokens", folder.path(), &store, "", at("server")));
        let server = serve(&compose, folder.path(), &store);
        let work = |n| {
            let own = at(&format!("worker-{n}"));
            fs::create_dir(&own).unwrap();
            let command = command(&compose, "worker", folder.path(), &store, &server.address, own);
            Process::start(command, &server.address, at(&format!("worker-{n}.log")))
        };
        let workers = (1..=compose["services"]["worker"]["deploy"]["replicas"].as_u64().unwrap()).map(work).collect();
        let prometheus = watch(&compose, folder.path(), &server.address);
        Some(Site { store, server, workers, prometheus, compose, folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on the same store and lake.
    pub fn flowctl(&self, args: &[&str]) -> Command {
        let mut command = tests::flowctl(&self.path("server"));
        command.args(args).env("FLOWCTL_STORE", &self.store).env("FLOWCTL_LAKE", self.path("lake"));
        command
    }

    /// Another worker, with more arguments than those of `compose.yaml`.
    pub fn worker(&self, more: &[&str]) -> Process {
        let own = self.path("further-worker");
        fs::create_dir(&own).unwrap();
        let mut command = command(&self.compose, "worker", self.folder.path(), &self.store, &self.server.address, own);
        command.args(more);
        Process::start(command, &self.server.address, self.path("further-worker.log"))
    }

    /// Starts the server again, on whatever store is in force now.
    pub fn serve_again(&mut self) {
        self.server = serve(&self.compose, self.folder.path(), &self.store);
    }

    /// What the server answers the operator.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let token = fs::read_to_string(self.path("tokens/operator.token")).unwrap();
        let header = format!("Authorization: Bearer {}\r\n", token.trim());
        let (status, answer) = self.server.request_with(&header, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// What Prometheus answers: the `data` of <https://prometheus.io/docs/prometheus/latest/querying/api/>.
    pub fn prometheus(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let head = format!("GET /api/v1/{path}?{} HTTP/1.0\r\nHost: prometheus\r\n\r\n", query.join("&"));
        let answer = self.prometheus.exchange(head.as_bytes(), b"");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let answer: Value = serde_json::from_str(body).map_err(|error| format!("{path}: {error}: {answer}"))?;
        match answer["status"] == "success" {
            true => Ok(answer["data"].clone()),
            false => Err(answer.to_string()),
        }
    }

    /// The values that a query has now, those that are no numbers left out.
    pub fn values(&self, query: &str) -> Result<Vec<f64>, String> {
        let found = self.prometheus("query", &[("query", query)])?;
        let value = |it: &Value| it["value"][1].as_str()?.parse().ok();
        let values = found["result"].as_array().into_iter().flatten().filter_map(value);
        Ok(values.filter(|value: &f64| value.is_finite()).collect())
    }
}

fn serve(compose: &Value, folder: &Path, store: &str) -> Process {
    let mut server = Process::server(command(compose, "server", folder, store, "", folder.join("server")), folder);
    let authority = CertificateDer::from_pem_file(folder.join("secrets/ca.pem")).unwrap();
    server.tls = Some(trusting(authority));
    server
}

/// The command of a service in `compose.yaml`, in a folder of its own. `server` is where the server listens.
fn command(compose: &Value, name: &str, folder: &Path, store: &str, server: &str, own: PathBuf) -> Command {
    let service = &compose["services"][name];
    let here = |text: &str| here(text, folder, server);
    let mut command = match &service["entrypoint"][0] {
        Value::Null => clean(binary(), &own),
        // The image has it by this name.
        script => {
            assert_eq!(script, "flowctl-tokens");
            clean(root().join("deploy/tokens.sh"), &own)
        }
    };
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    command.current_dir(&own).env("PATH", path).env("FLOWCTL_LAKE", folder.join("lake"));
    command.args(service["command"].as_array().unwrap().iter().map(|it| here(it.as_str().unwrap())));
    for (key, value) in service["environment"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        command.env(key, if key == "FLOWCTL_STORE" { store.to_owned() } else { here(value) });
    }
    command
}

/// A text of `compose.yaml` or `prometheus.yml` with the places of containers replaced by those of this test.
fn here(text: &str, folder: &Path, server: &str) -> String {
    let places = [
        ("/srv/flowctl/flows", "srv/flows"),
        ("/run/secrets/", "secrets/"),
        ("/tokens/flowctl/", "tokens/"),
        ("/tokens/prometheus/", "tokens/"),
        ("/etc/prometheus/tokens/", "tokens/"),
        ("/etc/prometheus/prometheus.yml", "prometheus/prometheus.yml"),
        ("path=/prometheus", "prometheus/data"),
    ];
    let ours = |option: &str, place: &str| format!("{option}{}/{place}", folder.display());
    let text = places.iter().fold(text.to_owned(), |text, (theirs, place)| {
        let option = theirs.find('=').map_or("", |end| &theirs[..=end]);
        text.replace(theirs, &ours(option, place))
    });
    // Nobody listens for traces, which must not disturb.
    text.replace("0.0.0.0:7300", "127.0.0.1:0").replace("server:7300", server).replace("//traces:4318", "//127.0.0.1:9")
}

/// Starts Prometheus, which looks every second, and waits until it has found the server.
fn watch(compose: &Value, folder: &Path, server: &str) -> Process {
    let configuration = fs::read_to_string(root().join("deploy/prometheus/prometheus.yml")).unwrap();
    let configuration = here(&configuration, folder, server).replace("15s", "1s");
    fs::write(folder.join("prometheus/prometheus.yml"), configuration).unwrap();
    symlink(root().join("deploy/prometheus/rules"), folder.join("prometheus/rules")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = clean("prometheus", folder);
    let args = compose["services"]["prometheus"]["command"].as_array().unwrap();
    command.args(args.iter().map(|it| here(it.as_str().unwrap(), folder, server)));
    command.arg(format!("--web.listen-address={free}"));
    let prometheus = Process::start(command, &free, folder.join("prometheus.log"));
    until("Prometheus listens", MINUTE, || std::net::TcpStream::connect(&free).is_ok());
    prometheus
}

/// For a URL's query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
