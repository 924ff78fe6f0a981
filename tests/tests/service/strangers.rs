//! Who is kept out although no token closes the service, who is sent away once theirs is over, and what happens when
//! too many come.

use crate::world::{Process, World};

/// A flow that may be run by whoever is let in.
const FLOW: &str = "[tasks.t]\nkind = \"noop\"\n";

impl Process {
    /// Asks under a name of the server, with more header lines. Answers the status and all that was said.
    fn called(&self, host: &str, header: &str, method: &str, path: &str) -> (u16, String) {
        let body = if method == "POST" { r#"{"flow": "f"}"# } else { "" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: text/plain\r\n{header}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.exchange(head.as_bytes(), body.as_bytes());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer}")), answer)
    }
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
    crate::world::until("the service is closed", crate::MINUTE, || {
        server.called("etl.example", &bearer, "GET", "/v1/runs").0 == 200
    });
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
