//! The pages of the service: what they promise browsers, what they do with names from hostile places, and who may
//! change something through them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::MINUTE;
use crate::world::{Process, World, until};

/// An answer as a browser gets it.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// What a header says.
    fn header(&self, name: &str) -> String {
        let line =
            self.head.lines().find_map(|line| line.split_once(": ").filter(|it| it.0.eq_ignore_ascii_case(name)));
        line.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    /// The cookie `name=value` that it sets.
    fn cookie(&self, name: &str) -> String {
        let set = self
            .head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|it| it.0.eq_ignore_ascii_case("set-cookie"));
        let cookie = set.filter_map(|(_, text)| text.split(';').next()).find(|text| text.starts_with(name));
        cookie.unwrap_or_else(|| panic!("no cookie {name}: {}", self.head)).to_owned()
    }

    /// What its forms carry.
    fn seal(&self) -> String {
        let after =
            self.body.split_once("name=\"seal\" value=\"").unwrap_or_else(|| panic!("no form: {}", self.body)).1;
        after.split('"').next().unwrap().to_owned()
    }
}

impl Process {
    fn browse(&self, path: &str, header: &str) -> Answer {
        self.send("GET", path, &format!("Accept: text/html\r\n{header}"), "")
    }

    fn submit(&self, path: &str, header: &str, form: &str) -> Answer {
        self.send("POST", path, &format!("Content-Type: application/x-www-form-urlencoded\r\n{header}"), form)
    }

    fn send(&self, method: &str, path: &str, header: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}", self.address);
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// A browser's word that one of our pages asks.
const OURS: &str = "Sec-Fetch-Site: same-origin\r\n";

/// A name that wants to be more than text: markup, quotes, and letters that run the other way.
const HOSTILE: &str = "<script>alert(1)</script>'&\u{202e}abc";

const FLOW: &str = "description = \"<script>alert(2)</script>\"\n[params]\nword = { type = \"string\", default = \"<i>x\" }\n\
    [tasks.a]\nsql = '''select 1 as \"<script>alert(1)</script>'&\u{202e}abc\", 2 as n'''\n\
    [tasks.b]\nsql = \"select n from a\"\nchecks = [{ between = { column = \"n\", max = 1 } }]\n\
    [tasks.c]\ncommand = [\"sh\", \"-c\", \"echo '<script>alert(3)</script>'; exit 3\"]\n";

/// A server with a run that failed, and its id.
fn failed_run(world: &World) -> (Process, String) {
    world.flow("f", FLOW);
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "failed");
    (server, run)
}

#[test]
fn pages_keep_what_they_promise() {
    let world = World::sqlite();
    let (server, run) = failed_run(&world);
    let (of_run, of_task) = (format!("/runs/{run}"), format!("/runs/{run}/tasks/c"));
    let journal = format!("{of_run}/events");
    let column = "/lineage/f.a?column=%3Cscript%3Ealert%281%29%3C%2Fscript%3E%27%26%E2%80%AEabc";
    let pages = [
        "/",
        "/flows",
        "/flows/f",
        "/runs",
        "/runs?state=failed&flow=f",
        &of_run,
        &of_task,
        &journal,
        "/datasets",
        "/datasets/f.a",
        "/lineage/f.a",
        column,
        "/workers",
        "/limits",
        "/events",
    ];
    for path in pages {
        let page = server.browse(path, "");
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let policy = page.header("content-security-policy");
        for rule in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|it| it == rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            (page.header("referrer-policy").as_str(), page.header("cache-control").as_str()),
            ("same-origin", "no-store")
        );
        assert!(page.body.len() < 300_000, "{path} has {} bytes", page.body.len());
        assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
        assert!(page.body.contains("<main") && page.body.contains("<html lang=\"en\">"), "{path}");
        assert!(!page.body.contains(" style=") && !page.body.contains("<script>"), "{path} has something inline");
        assert!(!page.body.contains(" onclick=") && !page.body.contains("javascript:"), "{path} has something inline");
    }
    let hostile = server.browse(column, "").body;
    assert!(hostile.contains("&lt;script&gt;alert(1)&lt;/script&gt;'&amp;\u{202e}abc</bdi>"), "{hostile}");
    assert!(HOSTILE.contains("<script>"), "the name is hostile");
    let task = server.browse(&format!("{of_task}?search=SCRIPT"), "").body;
    assert!(task.contains("&lt;<mark>script</mark>&gt;alert(3)&lt;/<mark>script</mark>&gt;"), "{task}");
    assert!(server.browse(&of_run, "").body.contains("exit code 3"));
}

/// The text of a page without its tags.
fn text(page: &str) -> String {
    let pieces = page.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.collect::<Vec<_>>().concat()
}

#[test]
fn a_failure_is_told_wherever_somebody_looks() {
    let world = World::sqlite();
    fs::write(world.path("orders.csv"), "id,customer\n1,7\n2,7\n").unwrap();
    let shop = "[sources.raw_orders]\npath = \"../orders.csv\"\n\
        [tasks.customers]\nsql = \"select 7 as customer\"\n\
        [tasks.orders]\nsql = \"select * from raw_orders\"\n\
        checks = [{ references = { column = \"customer\", to = \"customers.customer\" } }]\n\
        [tasks.totals]\nsql = \"select count(*) as n from orders\"\n";
    world.flow("shop", shop);
    let server = world.serve(&[]);
    let good = world.submit(&server, r#"{"flow": "shop"}"#);
    assert_eq!(world.ended(&good, MINUTE)["state"], "succeeded");
    world.flow("letters", "[tasks.all]\nsql = \"select n from shop.totals\"\n");
    until("the second flow being known", MINUTE, || server.browse("/flows/letters", "").status == 200);
    let run = world.submit(&server, r#"{"flow": "letters"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");

    let strangers: String = (3..=9).map(|id| format!("{id},9\n")).collect();
    fs::write(world.path("orders.csv"), format!("id,customer\n1,7\n{strangers}")).unwrap();
    let bad = world.submit(&server, r#"{"flow": "shop"}"#);
    assert_eq!(world.ended(&bad, MINUTE)["state"], "failed");
    let seen = |path: &str| text(&server.browse(path, "").body);
    let page = seen(&format!("/runs/{bad}"));
    for told in [
        "7 of 7 rows that fail",
        "select * from shop.orders__rejected",
        "orders.csv",
        "letters.all",
        "Does again: orders, totals",
        "Keeps what has not changed since of: customers",
    ] {
        assert!(page.contains(told), "`{told}` is missing: {page}");
    }
    for dataset in ["shop.orders", "shop.totals"] {
        let page = seen(&format!("/datasets/{dataset}"));
        assert!(page.contains("Not updated by the last run") && page.contains(&bad[..13]), "{page}");
    }
    assert!(!seen("/datasets/shop.customers").contains("Not updated"), "that was");
    assert!(seen("/datasets?search=shop.").contains("failed"));
    assert!(seen("/datasets?search=raw_orders.cust").contains("raw_orders"), "sources are found, too");
    assert!(seen("/datasets?search=nowhere").contains("No dataset and no column is called that"));
    let skipped = seen(&format!("/runs/{bad}/tasks/totals"));
    assert!(skipped.contains("Skipped") && !skipped.contains("Error"), "{skipped}");
}

#[test]
fn some_rows_of_a_dataset_are_shown_as_text_and_not_too_much_of_them() {
    let world = World::sqlite();
    let columns: Vec<String> = (0..35).map(|n| format!("value + {n} as c{n}")).collect();
    world.flow(
        "f",
        &format!(
            "[tasks.t]\nsql = '''select '<script>alert(9)</script>' as \"<b>k\", repeat('x', 500) || 'END' as long, \
             case when value = 1 then 'one' end as part, {} from generate_series(1, 12)'''\n\
             [tasks.v]\nsql = \"select part from t\"\noutput = {{ as = \"view\" }}\n\
             [tasks.none]\nsql = \"select part from t where false\"\n",
            columns.join(", ")
        ),
    );
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "f"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    let page = |path: &str| {
        let page = server.browse(path, "");
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.body.split("Some rows</h2>").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
    };
    let rows = page("/datasets/f.t");
    assert_eq!(rows.matches("&lt;script&gt;alert(9)&lt;/script&gt;").count(), 10, "{rows}");
    assert!(!rows.contains("<script>") && !rows.contains("END") && rows.contains("xxx…"), "{rows}");
    assert!(rows.contains(">null<") && rows.contains(">one<") && rows.contains("And 8 more columns"), "{rows}");
    assert!(page("/datasets/f.v").contains("a view is computed when it is read"));
    assert!(page("/datasets/f.none").contains("It has none"));
    fs::rename(world.path(".flowctl/lake"), world.path("away")).unwrap();
    let without = page("/datasets/f.t");
    assert!(without.contains("cannot be shown now") && without.contains("flowctl query"), "{without}");
    fs::rename(world.path("away"), world.path(".flowctl/lake")).unwrap();
    assert!(page("/datasets/f.t").contains(">one<"));
}

#[test]
fn what_is_not_there_gets_a_page_that_helps() {
    let world = World::sqlite();
    let (server, run) = failed_run(&world);
    let wrong = [
        ("/runs/nope", "find run `nope`"),
        (&format!("/runs/{run}/tasks/cc"), "has no task `cc`"),
        ("/flows/ff", "there is no flow `ff`"),
        ("/datasets/f.aa", "did you mean `f.a`?"),
        ("/lineage/f.a?column=m", "has no column `m`"),
        ("/nowhere", "nothing at this address"),
    ];
    for (path, said) in wrong {
        let page = server.browse(path, "");
        let text = page.body.replace("</bdi>", "").replace("<bdi>", "");
        assert_eq!(page.status, 404, "{path}");
        assert!(text.contains(said) && text.contains("href=\"/runs\""), "{path}: {text}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    assert_eq!(
        server.browse("/runs?cursor=x&state=asleep", "").status,
        200,
        "what means nothing is left out of account"
    );
    assert_eq!(server.browse(&format!("/runs/{}", &run[..20]), "").header("location"), format!("/runs/{run}"));
}

#[test]
fn only_forms_of_ours_change_something() {
    let world = World::sqlite();
    world.flow("f", "[schedule]\ncron = \"@yearly\"\n[params]\nn = { type = \"int\", default = 1 }\n[tasks.t]\ncommand = [\"sh\", \"-c\", \"sleep 600\"]\nretry = { attempts = 2 }\n");
    let server = world.serve(&[]);
    let page = server.browse("/flows/f", "");
    let (cookie, seal) = (page.cookie("flowctl_seal="), page.seal());
    assert!(page.head.contains("; HttpOnly; SameSite=Strict"), "{}", page.head);
    let jar = format!("Cookie: {cookie}\r\n");
    let others = [
        (String::new(), format!("seal={seal}")),
        (format!("{OURS}{jar}"), "seal=".to_owned()),
        (format!("{OURS}{jar}"), format!("seal={}", "0".repeat(32))),
        (OURS.to_owned(), format!("seal={seal}")),
        (jar.clone(), format!("seal={seal}")),
        (format!("Sec-Fetch-Site: cross-site\r\n{jar}"), format!("seal={seal}")),
        (format!("Origin: https://evil.example\r\n{jar}"), format!("seal={seal}")),
    ];
    for (header, form) in others {
        assert_eq!(server.submit("/flows/f/run", &header, &form).status, 403, "{header} {form}");
    }
    assert!(world.json(&["runs"]).as_array().unwrap().is_empty(), "nothing has changed");
    let ours = format!("{OURS}{jar}");
    let made = server.submit("/flows/f/run", &ours, &format!("seal={seal}&param.n=7"));
    assert_eq!(made.status, 303, "{}", made.body);
    let run = made.header("location").strip_prefix("/runs/").unwrap().to_owned();
    assert_eq!(world.show(&run)["params"]["n"], 7);
    let bad = server.submit("/flows/f/run", &ours, &format!("seal={seal}&param.n=many"));
    assert!(bad.status == 400 && bad.body.contains("parameter `n`"), "{}", bad.body);
    until("its task", MINUTE, || world.task(&run, "t")["state"] == "running");
    assert!(server.browse("/workers", "").body.contains(&format!("/runs/{run}/tasks/t")), "it is seen at work");
    assert_eq!(server.submit("/flows/f/pause", &ours, &format!("seal={seal}")).status, 303);
    assert!(server.browse("/flows/f", "").body.contains("Resume the schedule"));
    assert_eq!(server.submit(&format!("/runs/{run}/cancel"), &ours, &format!("seal={seal}")).status, 303);
    assert_eq!(world.ended(&run, Duration::from_secs(20))["state"], "cancelled");
    let again = server.submit(&format!("/runs/{run}/cancel"), &ours, &format!("seal={seal}"));
    assert!(again.status == 409 && again.body.contains("it is cancelled"), "{}", again.body);
}

#[test]
fn a_token_opens_pages_as_it_opens_the_api() {
    let world = World::sqlite();
    world.flow("f", "[tasks.t]\nsql = \"select 1 as n\"\n");
    let server = world.serve(&[]);
    let (reader, runner) = (world.token("reader", "read", &[]), world.token("runner", "run", &[]));
    let worker = world.token("worker", "work", &[]);
    until("the service is closed", MINUTE, || server.browse("/", "").status == 303);
    assert_eq!(server.browse("/flows/f?x=1", "").header("location"), "/login?to=%2Fflows%2Ff%3Fx%3D1");
    let page = server.browse("/login?to=%2Fflows%2Ff", "");
    let (seal, header) = (page.seal(), format!("{OURS}Cookie: {}\r\n", page.cookie("flowctl_seal=")));
    let sign_in =
        |token: &str, to: &str| server.submit("/login", &header, &format!("seal={seal}&token={token}&to={to}"));
    let wrong = sign_in("flowctl_abc_def", "/");
    assert!(wrong.status == 403 && wrong.body.contains("opens nothing here"), "{}", wrong.body);
    assert_eq!(sign_in(&reader, "https://evil.example").header("location"), "/", "nobody is sent elsewhere");
    let jar = |token: &str| {
        let signed = sign_in(token, "/flows/f");
        assert_eq!((signed.status, signed.header("location").as_str()), (303, "/flows/f"));
        assert!(signed.head.contains("; HttpOnly; SameSite=Strict"), "{}", signed.head);
        format!("Cookie: {}; {}\r\n", signed.cookie("flowctl_session="), page.cookie("flowctl_seal="))
    };
    let (looks, runs) = (jar(&reader), jar(&runner));
    let seen = server.browse("/flows/f", &looks);
    assert!(seen.status == 200 && !seen.body.contains("action=\"/flows/f/run\""), "{}", seen.body);
    assert!(seen.body.contains("Sign out") && !seen.body.contains(&reader), "the token is in no page");
    let form = format!("seal={seal}");
    assert_eq!(server.submit("/flows/f/run", &format!("{OURS}{looks}"), &form).status, 403);
    assert!(server.browse("/flows/f", &runs).body.contains("action=\"/flows/f/run\""));
    assert_eq!(server.submit("/flows/f/run", &format!("{OURS}{runs}"), &form).status, 303);
    assert_eq!(server.browse("/", &jar(&worker)).status, 403, "workers do not look");
    assert_eq!(world.json(&["token", "revoke", "reader"])["state"], "revoked");
    until("the reader is out", MINUTE, || server.browse("/", &looks).status == 303);
    let out = server.submit("/logout", &format!("{OURS}{runs}"), &form);
    assert!(out.head.contains("flowctl_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"), "{}", out.head);
}

#[test]
fn thousands_of_tasks_make_a_page_that_can_be_loaded() {
    let world = World::sqlite();
    let task = |id: usize| match id {
        0..50 => format!("[tasks.t{id}]\nkind = \"noop\"\n"),
        _ => format!("[tasks.t{id}]\nkind = \"noop\"\nafter = [\"t{}\"]\n", id - 50),
    };
    world.flow("wide", &(0..1_000).map(task).collect::<String>());
    let server = world.serve(&[]);
    let run = world.submit(&server, r#"{"flow": "wide"}"#);
    assert_eq!(world.ended(&run, MINUTE)["state"], "succeeded");
    for path in [format!("/runs/{run}"), "/flows/wide".to_owned(), format!("/runs/{run}?state=succeeded&from=900")] {
        let page = server.browse(&path, "");
        assert!(page.status == 200 && page.body.len() < 300_000, "{path}: {} bytes", page.body.len());
        assert!(page.body.contains("folded into groups"), "{path}");
    }
}
