//! Who is kept out although no token closes the service, who is sent away once theirs is over, and what happens when
//! too many come.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::world::{Process, World, until};
use crate::{GATED, MINUTE};

/// A flow that may be run by whoever is let in.
const FLOW: &str = "[tasks.t]\nkind = \"noop\"\n";

impl Process {
    /// Asks under a name of the server, with more header lines. Answers the status and all that was said.
    pub fn called(&self, host: &str, header: &str, method: &str, path: &str) -> (u16, String) {
        let body = if method == "POST" { r#"{"flow": "f"}"# } else { "" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.exchange(head.as_bytes(), body.as_bytes());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer}")), answer)
    }
}

/// A stream that somebody reads in the background.
struct Stream {
    heard: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn open(server: &Process, path: &str, header: &str) -> Stream {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n", server.address).unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let told = heard.clone();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut part) {
                told.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..read]));
            }
        });
        Stream { heard, reader }
    }

    fn has(&self, text: &str) -> bool {
        self.heard.lock().unwrap().contains(text)
    }

    fn is_over(&self) -> bool {
        self.reader.is_finished()
    }
}

#[test]
fn a_stream_ends_with_the_token_that_opened_it() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    let (api, page) = (format!("/v1/runs/{run}/live"), format!("/runs/{run}/live"));
    let open = Stream::open(&server, &api, "");
    until("the stream that everybody may open", MINUTE, || open.has("run_started"));
    let [gone, kept] = ["gone", "kept"].map(|name| world.token(name, "read", &[]));
    let short = world.token("short", "read", &["--expires", "10s"]);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let [gone_here, kept, short] = [&gone, &kept, &short].map(|token| Stream::open(&server, &api, &bearer(token)));
    let gone_there = Stream::open(&server, &page, &format!("Cookie: flowctl_session={gone}\r\n"));
    for stream in [&gone_here, &gone_there, &kept, &short] {
        until("the stream", MINUTE, || stream.has("run_started"));
    }
    until("the end of what was open to all", Duration::from_secs(6), || open.is_over());
    assert!(!gone_here.is_over() && !gone_there.is_over());
    assert_eq!(world.json(&["token", "revoke", "gone"])["state"], "revoked");
    until("its end", Duration::from_secs(6), || gone_here.is_over() && gone_there.is_over());
    until("the other's", Duration::from_secs(16), || short.is_over());
    assert!(!kept.is_over(), "whose token is good listens on");
    fs::write(world.path("go"), "").unwrap();
    until("the end of the run", MINUTE, || kept.is_over());
    assert!(kept.has("run_closed") && !gone_here.has("run_closed") && !short.has("run_closed"));
}

#[test]
fn a_name_that_somebody_pointed_here_opens_nothing() {
    let world = World::sqlite();
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    let port = server.address.rsplit(':').next().unwrap();
    for host in ["evil.example", &format!("evil.example:{port}"), "localhost.evil.example", "192.0.2.1", ""] {
        for (method, path) in [("GET", "/v1/runs"), ("POST", "/v1/runs"), ("GET", "/"), ("POST", "/flows/f/run")] {
            let (status, said) = server.called(host, "", method, path);
            assert_eq!(status, 403, "{method} {path} of {host}: {said}");
            assert!(said.contains(&format!("not to `{host}`")) && said.contains("token create"), "{said}");
        }
    }
    let (status, page) = server.called("evil.example", "Accept: text/html\r\n", "GET", "/");
    assert!(status == 403 && page.contains("<h1>You may not do that") && page.contains("evil.example"), "{page}");
    assert_eq!(server.called("localhost", "", "GET", "http://evil.example/v1/runs").0, 403, "the address counts");
    assert!(world.json(&["runs"]).as_array().unwrap().is_empty(), "nothing has changed");
    for host in [server.address.as_str(), "localhost", &format!("LOCALHOST:{port}"), "[::1]:1", "127.0.0.1"] {
        assert_eq!(server.called(host, "", "GET", "/v1/runs").0, 200, "{host}");
    }
    // With a token, which no browser shows by itself, a proxy may call it as it likes.
    let token = world.token("t", "read", &[]);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    until("the service is closed", MINUTE, || server.called("etl.example", &bearer, "GET", "/v1/runs").0 == 200);
    assert_eq!(server.called("etl.example", "", "GET", "/v1/runs").0, 401);
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let world = World::sqlite();
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    let host = server.address.as_str();
    let strangers = [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Origin: http://localhost\r\nSec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
    ];
    for header in strangers {
        for path in ["/v1/runs", "/v1/runs/latest/cancel", "/v1/flows/f/pause", "/v1/workers", "/flows/f/run", "/login"]
        {
            let (status, said) = server.called(host, header, "POST", path);
            assert!(status == 403 && said.contains("a page of another site"), "{path} with {header}: {said}");
        }
    }
    assert!(world.json(&["runs"]).as_array().unwrap().is_empty(), "nothing has changed");
    // Links from elsewhere lead here, and change nothing.
    assert_eq!(server.called(host, "Sec-Fetch-Site: cross-site\r\n", "GET", "/runs").0, 200);
    let ours = [String::new(), "Sec-Fetch-Site: same-origin\r\n".to_owned(), format!("Origin: http://{host}\r\n")];
    for header in ours {
        assert_eq!(server.called(host, &header, "POST", "/v1/runs").0, 201, "{header}");
    }
    assert_eq!(world.json(&["runs"]).as_array().unwrap().len(), 3);
}

#[test]
fn too_many_followers_are_told_to_come_back() {
    let world = World::sqlite();
    world.flow("f", GATED);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    world.wait_for("begun");
    let live = format!("/v1/runs/{run}/live");
    let open: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            write!(stream, "GET {live} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    for path in [&live, &format!("/runs/{run}/live")] {
        let (status, said) = server.called(&server.address, "", "GET", path);
        assert!(status == 503 && said.to_ascii_lowercase().contains("retry-after: 5"), "{said}");
        assert!(said.contains("200 streams of events are open"), "{said}");
    }
    assert_eq!(server.get("/v1/runs").0, 200, "others are served");
    drop(open);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    until("room for another", MINUTE, || server.called(&server.address, "", "GET", &live).0 == 200);
}

#[test]
fn connections_are_bounded_by_the_files_that_may_be_open() {
    let world = World::sqlite();
    let server = world.serve_with_files(256);
    let mut idle: Vec<TcpStream> = (0..128).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    let refused = || {
        let answer = server.exchange(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"");
        answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: 5") && answer.contains("ulimit -n")
    };
    until("no room", MINUTE, refused);
    until("it is told", MINUTE, || server.says("128 connections are open, as many as may be"));
    // Floods do not bring it down.
    let flood: Vec<_> = (0..300).map_while(|_| TcpStream::connect(&server.address).ok()).collect();
    drop(flood);
    idle.clear();
    until("room again", MINUTE, || server.exchange(b"GET /health HTTP/1.0\r\n\r\n", b"").contains(" 200 "));
    assert!(!server.says("failed to take a connection"), "it never ran out of files");
}
