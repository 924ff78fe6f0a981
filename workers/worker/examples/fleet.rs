//! Workers whose tasks take no time: what is left is what handing them out costs. See tests/bench/README.md.
//!
//!     fleet URL NAME WORKERS SLOTS

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use flow::wire::{Assignment, Ending, Outcome};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use worker::{Access, Context, Execute, Remote};

struct Idle;

#[async_trait]
impl Execute for Idle {
    async fn execute(&self, _: &Assignment, _: &Context) -> Ending {
        Ending::Succeeded(Outcome::default())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, workers, slots] = arguments.as_slice() else {
        return Err("usage: fleet URL NAME WORKERS SLOTS".into());
    };
    let (workers, slots): (usize, usize) = (workers.parse()?, slots.parse()?);
    let mut fleet = JoinSet::new();
    for number in 0..workers {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let remote = Arc::new(Remote::new(
            &[url],
            Access::default(),
            format!("{name}-{number}"),
            slots,
            labels,
            Arc::new(Idle),
        )?);
        let beating = remote.clone();
        fleet.spawn(async move { beating.beat().await });
        fleet.spawn(worker::serve(remote, Arc::new(Idle), slots, Handle::current()));
    }
    fleet.join_all().await;
    Ok(())
}
