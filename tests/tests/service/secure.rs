//! Who is let in, over which line, and what happens to everybody else.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::MINUTE;
use crate::authority::Authority;
use crate::world::{Process, World, until};

impl World {
    /// Makes a token and answers its text.
    pub fn token(&self, name: &str, scope: &str, more: &[&str]) -> String {
        let output = self.command(&["token", "create", name, "--scope", scope]).args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// How `serve` ends that cannot begin.
    fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(&["serve", "flows"]).args(args).output().unwrap();
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

impl Process {
    fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.request_with(&format!("Authorization: Bearer {token}\r\n"), method, path, body)
    }

    fn is_closed(&self) -> bool {
        self.get("/v1/flows").0 == 401
    }
}

/// Some of the scopes that routes take, as the manual has them.
const KNOWN: [(&str, &str, &str); 7] = [
    ("read", "GET", "/v1/runs"),
    ("run", "POST", "/v1/runs"),
    ("run", "POST", "/v1/runs/nope/cancel"),
    ("run", "POST", "/v1/flows/nope/pause"),
    ("work", "GET", "/v1/runs/nope/work"),
    ("work", "POST", "/v1/workers"),
    ("work", "POST", "/v1/workers/nope/claim"),
];

/// Every route of the interface by its own description: the scope that it takes (or none), a method and an address, and
/// a body that leaves no trace.
fn routes(world: &World) -> Vec<(String, String, String, &'static str)> {
    let document = world.json(&["schema", "--api"]);
    let mut routes = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        let address: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "nope" } else { part }).collect();
        for (method, told) in methods.as_object().unwrap() {
            let scope = told["security"][0]["token"][0].as_str().unwrap_or("none").to_owned();
            let body = if told["requestBody"].is_object() { "{}" } else { "" };
            routes.push((scope, method.to_uppercase(), address.join("/"), body));
        }
    }
    routes
}

const SCOPES: [&str; 4] = ["read", "run", "work", "admin"];

fn covers(scope: &str, needed: &str) -> bool {
    scope == needed || scope == "admin" || (scope, needed) == ("run", "read")
}

#[test]
fn a_token_opens_what_its_scope_says() {
    let world = World::sqlite();
    let server = world.serve(&[]);
    assert_eq!(server.get("/v1/flows").0, 200, "without any token a service on this machine is open");
    let tokens = SCOPES.map(|scope| (scope, world.token(scope, scope, &[])));
    until("the service is closed", MINUTE, || server.is_closed());
    let routes = routes(&world);
    for (needed, method, path) in KNOWN {
        assert!(routes.iter().any(|it| (&*it.0, &*it.1, &*it.2) == (needed, method, path)), "{needed} {method} {path}");
    }
    let (open, asked): (Vec<_>, Vec<_>) = routes.iter().partition(|it| it.0 == "none");
    assert_eq!(open.iter().map(|it| it.2.as_str()).collect::<Vec<_>>(), ["/health"]);
    for (needed, method, path, body) in asked {
        assert_eq!(server.request(method, path, body).0, 401, "{method} {path}");
        for (scope, token) in &tokens {
            let (status, answer) = server.ask(token, method, path, body);
            let told = answer["detail"].as_str().unwrap_or_default();
            let refused = status == 403 && told.contains(&format!("lacks the scope `{needed}`"));
            assert_eq!(refused, !covers(scope, needed), "{method} {path} with {scope}: {status} {answer}");
            assert!(![401, 500].contains(&status), "{method} {path} with {scope}: {status} {answer}");
        }
    }
    assert_eq!(server.get("/v1/nowhere").0, 401, "what is not there is nobody's business either");
    assert_eq!(server.get("/health").0, 200);
}

#[test]
fn whatever_opens_nothing_gets_one_answer() {
    let world = World::sqlite();
    let server = world.serve(&[]);
    let (good, ended) = (world.token("good", "admin", &[]), world.token("ended", "admin", &["--expires", "1ms"]));
    let revoked = world.token("revoked", "admin", &[]);
    until("the service is closed", MINUTE, || server.is_closed());
    assert_eq!(server.ask(&good, "GET", "/v1/flows", "").0, 200);
    assert_eq!(world.json(&["token", "revoke", "revoked"])["state"], "revoked");
    until("the revocation", Duration::from_secs(5), || server.ask(&revoked, "GET", "/v1/flows", "").0 == 401);
    let other = format!("{}{}", &good[..good.len() - 1], if good.ends_with('0') { '1' } else { '0' });
    let unknown = format!("flowctl_000000000000_{}", "0".repeat(64));
    let plain = server.get("/v1/flows");
    let long = "x".repeat(4000);
    for wrong in [&ended, &revoked, &other, &unknown, &good[..30], "", "flowctl_", "flowctl__", "ø", &long] {
        assert_eq!(server.ask(wrong, "GET", "/v1/flows", ""), plain, "{wrong}");
    }
    assert_eq!(plain.0, 401, "{plain:?}");
    let basic = server.request_with(&format!("Authorization: Basic {good}\r\n"), "GET", "/v1/flows", "");
    assert_eq!(basic, plain);
    let raw = server
        .exchange(b"GET /v1/flows HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: \xff\xfe\r\n\r\n", b"");
    let raw = raw.to_ascii_lowercase();
    assert!(raw.contains("www-authenticate: bearer") && raw.contains("application/problem+json"), "{raw}");
    let huge = format!("GET / HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", "x".repeat(2 << 20));
    assert!(!server.exchange(huge.as_bytes(), b"").contains(" 200 "));
    // The one that is made now counts now.
    let new = world.token("revoked", "read", &[]);
    assert_eq!(server.ask(&new, "GET", "/v1/flows", "").0, 200);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let world = World::sqlite();
    assert_eq!(world.json(&["token", "list"]), Value::Array(vec![]));
    let made = world.json(&["token", "create", "ci", "--scope", "run,work", "--expires", "90d"]);
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("flowctl_") && text.contains(made["id"].as_str().unwrap()), "{made}");
    let listed = world.command(&["token", "list", "--json"]).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(!listed.contains(text.rsplit('_').next().unwrap()), "a secret is shown once");
    let one = &serde_json::from_str::<Value>(&listed).unwrap()[0];
    assert_eq!((&one["name"], &one["state"]), (&"ci".into(), &"live".into()));
    assert_eq!(one["scopes"], serde_json::json!(["run", "work"]));
    let code = |args: &[&str]| world.command(args).output().unwrap().status.code();
    assert_eq!(code(&["token", "create", "ci", "--scope", "read"]), Some(2), "the name is taken");
    assert_eq!(code(&["token", "create", "no name", "--scope", "read"]), Some(2));
    assert_eq!(code(&["token", "create", "x"]), Some(2), "a token without a scope is good for nothing");
    assert_eq!(code(&["token", "revoke", "nobody"]), Some(5));
    assert_eq!(code(&["token", "revoke", made["id"].as_str().unwrap()]), Some(0));
    assert_eq!(code(&["token", "revoke", "ci"]), Some(2), "it is revoked");
    assert_eq!(code(&["token", "create", "ci", "--scope", "read"]), Some(0), "and its name free");
}

/// Its secret is written down nowhere: not in the store, a log, an event, what commands print or find around them.
fn is_nowhere(token: &str, folder: &Path) {
    let secret = token.rsplit('_').next().unwrap().as_bytes();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            is_nowhere(token, &path);
        } else if !path.ends_with("fleet.token") {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{} holds a token", path.display());
        }
    }
}

#[test]
fn a_fleet_works_over_tls_with_tokens() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\ncommand = [\"env\"]\nrequires = { zone = \"a\" }\n");
    let (authority, ca, file) = (Authority::new(), world.path("ca.pem"), world.path("fleet.token"));
    authority.write(&ca);
    let files = authority.certify(&world.path(""));
    let (fleet, ops) = (world.token("fleet", "work", &[]), world.token("ops", "run", &[]));
    let mut server = world.serve(&[&["-vv"][..], &files.args()].concat());
    server.tls = Some(authority.client());
    fs::write(&file, "flowctl_a_b\n").unwrap();
    let (ca, file) = (ca.to_str().unwrap(), file.to_str().unwrap());
    let args = ["--labels", "zone=a", "--ca", ca, "--token-file", file, "--slots", "1", "-vv"];
    let worker = world.worker(&server, &args);
    until("the complaint", MINUTE, || worker.says("with the scope `work` is needed"));
    // It is let in as soon as the file holds a token that is.
    fs::write(file, format!("{fleet}\n")).unwrap();
    let (status, made) = server.ask(&ops, "POST", "/v1/runs", r#"{"flow": "f"}"#);
    assert_eq!(status, 201, "{made}");
    let run = made["run_id"].as_str().unwrap().to_owned();
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    assert!(worker.says("answers again"));
    let url = format!("https://{}", server.address);
    let show = |token: &str| {
        let show = ["show", &run, "--json", "--server", &url, "--ca", ca];
        world.command(&show).env("FLOWCTL_TOKEN", token).output().unwrap()
    };
    let shown: Value = serde_json::from_slice(&show(&ops).stdout).unwrap();
    assert_eq!(shown["state"], "succeeded", "the command line has the same door");
    let refused = show(&fleet);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lacks the scope `read`"), "{refused:?}");
    let doctor = world.command(&["doctor", "-vv"]).env("FLOWCTL_TOKEN", &fleet).output().unwrap();
    fs::write(world.path("doctor"), [doctor.stdout, doctor.stderr].concat()).unwrap();
    drop(server);
    drop(worker);
    [&fleet, &ops].into_iter().for_each(|token| is_nowhere(token, &world.path("")));
    world.is_sound();
}

#[test]
fn a_command_does_not_find_the_token_of_its_worker() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\ncommand = [\"sh\", \"-c\", \"env > ../environment\"]\n");
    let run = world.command(&["run", "flows/f.toml"]).env("FLOWCTL_TOKEN", "canary").status().unwrap();
    assert!(run.success());
    assert!(!fs::read_to_string(world.path("environment")).unwrap().contains("canary"));
}

#[test]
fn a_worker_says_why_it_trusts_no_server() {
    let world = World::sqlite();
    let authority = Authority::new();
    let files = authority.certify(&world.path(""));
    let mut server = world.serve(&files.args());
    server.tls = Some(authority.client());
    let stranger = world.path("stranger.pem");
    Authority::new().write(&stranger);
    let worker = world.worker(&server, &["--ca", stranger.to_str().unwrap()]);
    until("the complaint", MINUTE, || worker.says("--ca FILE names the authority"));
    let wrong: [(&[&str], &str); 4] = [
        (&["--ca", "nowhere.pem"], "No such file"),
        (&["--ca", "flows"], "failed to trust `flows`"),
        (&["--token-file", "nowhere"], "failed to read the token"),
        (&["--server", "ftp://x"], "is not the URL of a server"),
    ];
    for (args, told) in wrong {
        let server: &[&str] = if args[0] == "--server" { &[] } else { &["--server", "https://127.0.0.1:1"] };
        let output = world.command(&["worker"]).args(server).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.contains(told)), (Some(2), true), "{args:?}: {said}");
    }
}

#[test]
fn beyond_this_machine_it_takes_tokens_and_tls() {
    let world = World::sqlite();
    let files = Authority::new().certify(&world.path(""));
    let everywhere = ["--listen", "0.0.0.0:0"];
    let secure = [&everywhere[..], &files.args()].concat();
    let (code, said) = world.refused(&everywhere);
    assert!(code == Some(2) && said.contains("token create") && said.contains("--tls-cert"), "{said}");
    let (code, said) = world.refused(&secure);
    assert!(code == Some(2) && said.contains("token create") && !said.contains("takes TLS"), "{said}");
    world.token("ended", "admin", &["--expires", "1ms"]);
    assert_eq!(world.refused(&secure).0, Some(2), "a token that is over protects nobody");
    world.token("ops", "admin", &[]);
    let (code, said) = world.refused(&everywhere);
    assert!(code == Some(2) && said.contains("--tls-cert") && !said.contains("token create"), "{said}");
    assert_eq!(world.refused(&["--tls-cert", "cert.pem"]).0, Some(2), "a certificate has a key");
    assert!(world.serve(&secure).address.starts_with("0.0.0.0:"));
    assert!(world.serve(&["--listen", "0.0.0.0:0", "--insecure"]).address.starts_with("0.0.0.0:"));
}

#[test]
fn a_certificate_that_cannot_be_used_says_why() {
    let world = World::sqlite();
    let files = Authority::new().certify(&world.path(""));
    fs::create_dir(world.path("other")).unwrap();
    let other = Authority::new().certify(&world.path("other"));
    fs::write(world.path("empty.pem"), "").unwrap();
    fs::write(world.path("half.pem"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    let (cert, key, strange) =
        (files.certificate.to_str().unwrap(), files.key.to_str().unwrap(), other.key.to_str().unwrap());
    let wrong = [
        ("nowhere.pem", key, "failed to read `nowhere.pem`: No such file"),
        ("empty.pem", key, "failed to find a certificate in `empty.pem`"),
        (key, key, "failed to find a certificate"),
        ("half.pem", key, "it ends in the middle"),
        (cert, cert, "failed to find a private key"),
        (cert, strange, "does not belong to the certificate"),
    ];
    for (cert, key, told) in wrong {
        let (code, said) = world.refused(&["--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
        assert_eq!((code, said.contains(told)), (Some(2), true), "{cert} {key}: {said}");
    }
}

#[test]
fn a_new_certificate_counts_and_a_broken_one_does_not() {
    let world = World::sqlite();
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.certify(&world.path(""));
    let mut server = world.serve(&files.args());
    let lives = |server: &Process| server.exchange(b"GET /health HTTP/1.0\r\n\r\n", b"").contains("200 OK");
    server.tls = Some(old.client());
    assert!(lives(&server));
    fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\n").unwrap();
    until("the complaint", MINUTE, || server.says("the certificate in force stays"));
    assert!(lives(&server));
    new.certify(&world.path(""));
    server.tls = Some(new.client());
    until("the new certificate", MINUTE, || lives(&server));
    server.tls = Some(old.client());
    assert!(!lives(&server), "the old one is gone");
}

#[test]
fn who_says_nothing_holds_nobody_up() {
    let world = World::sqlite();
    let authority = Authority::new();
    let files = authority.certify(&world.path(""));
    let mut server = world.serve(&files.args());
    let mut silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    let plain = Instant::now();
    let (status, told) = server.get("/health");
    assert!(status == 400 && told["detail"].as_str().unwrap().contains("https://"), "{status} {told}");
    assert!(plain.elapsed() < Duration::from_secs(5), "it took {:?}", plain.elapsed());
    server.tls = Some(authority.client());
    assert_eq!(server.get("/health").0, 200);
    assert!(plain.elapsed() < Duration::from_secs(5), "it took {:?}", plain.elapsed());
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "who does not even begin is sent away");
    }
}
