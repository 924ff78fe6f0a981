//! The journeys of a newcomer through the pages, in a real browser.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tests::{flowctl, outside, succeed};

const SHOP: &str = r#"name = "shop"
[sources.raw_orders]
path = "orders.csv"
[tasks.orders]
sql = "select id, customer, amount from raw_orders"
[tasks.clean]
sql = "select id, customer, amount from orders"
checks = [{ between = { column = "amount", min = 0 }, name = "no debts" }]
[tasks.totals]
sql = "select customer, sum(amount) as total from clean group by customer"
"#;

const REPORT: &str =
    "name = \"report\"\n[tasks.best]\nsql = \"select customer, total from shop.totals where total > 1\"\n";

const SLOW: &str = r#"name = "slow"
[tasks.wait]
command = ["sh", "-c", "while true; do echo '<b>still here</b>'; sleep 1; done"]
[tasks.after]
sql = "select 1 as n"
after = ["wait"]
"#;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn newcomers_find_their_way() {
    let Some(mut journeys) = outside::browser("journeys.mjs") else { return };
    let folder = tempfile::tempdir().unwrap();
    let flows = folder.path().join("flows");
    fs::create_dir(&flows).unwrap();
    let orders = |bob: &str| {
        fs::write(flows.join("orders.csv"), format!("id,customer,amount\n1,ann,10\n2,bob,{bob}\n")).unwrap()
    };
    // Once in order, so that others can read it; then a row goes wrong.
    orders("7.5");
    fs::write(flows.join("shop.toml"), SHOP).unwrap();
    fs::write(flows.join("report.toml"), REPORT).unwrap();
    let run = |flow: &str| {
        let mut command = flowctl(folder.path());
        command.args(["run", flow]);
        command
    };
    succeed(run("flows/shop.toml"));
    succeed(run("flows/report.toml"));
    orders("-5.5");
    fs::write(flows.join("slow.toml"), SLOW).unwrap();
    assert_eq!(run("flows/shop.toml").output().unwrap().status.code(), Some(1), "a check fails");
    let mut serve = flowctl(folder.path());
    serve.args(["serve", "flows", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut server = Server(serve.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned())).expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    journeys.arg(address).arg(folder.path());
    println!("{}", succeed(journeys));
}
