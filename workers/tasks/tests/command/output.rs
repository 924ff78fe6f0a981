use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flow::wire::{Ending, Outcome};
use worker::{Claim, Line, Link};

use crate::world::{NoData, World};

/// A driver that takes its time with the log.
#[derive(Default)]
struct Slow {
    lines: AtomicU64,
    bytes: AtomicU64,
}

#[async_trait]
impl Link for Slow {
    async fn claim(&self) -> Option<Claim> {
        None
    }

    async fn report(&self, _: &str, _: &str, _: u32, _: Ending) {}

    async fn log(&self, lines: Vec<Line>) {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.lines.fetch_add(lines.len() as u64, Ordering::Relaxed);
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A line of what the system says about this process, such as `VmHWM`.
fn memory_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok());
    number.expect("a number of KiB")
}

#[tokio::test]
async fn fifty_megabytes_pass_through_without_filling_the_memory() {
    const BYTES: u64 = 50 << 20;
    let text = "x".repeat(99);
    for (script, lines) in [
        (format!("yes {text} | head -c {BYTES}"), BYTES.div_ceil(100)),
        (format!("yes {text} | tr -d '\\n' | head -c {BYTES} >&2"), BYTES / (64 << 10)),
    ] {
        let link = Arc::new(Slow::default());
        let before = memory_kib("VmRSS");
        let ending = World::shell(&script).running_with(link.clone(), Arc::new(NoData)).await;
        assert_eq!(ending, Ending::Succeeded(Outcome::default()));
        assert_eq!(link.lines.load(Ordering::Relaxed), lines);
        assert!(link.bytes.load(Ordering::Relaxed) >= BYTES / 100 * 99);
        let grown = memory_kib("VmHWM").saturating_sub(before);
        assert!(grown < 16 << 10, "grew by {grown} KiB");
    }
}

#[tokio::test]
async fn binary_output_becomes_text() {
    let mut world = World::shell(r"printf 'a\377b\000c\n'; head -c 300000 /dev/zero");
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    let texts = world.texts();
    assert_eq!(texts[0], "a\u{fffd}b\u{fffd}c");
    assert!(texts.iter().all(|text| !text.contains('\0')));
    assert_eq!(texts[1..].iter().map(|text| text.chars().count()).sum::<usize>(), 300_000);
}

#[tokio::test]
async fn a_driver_that_hears_nothing_cannot_keep_a_command_alive() {
    struct Deaf;

    #[async_trait]
    impl Link for Deaf {
        async fn claim(&self) -> Option<Claim> {
            None
        }

        async fn report(&self, _: &str, _: &str, _: u32, _: Ending) {}

        async fn log(&self, _: Vec<Line>) {
            std::future::pending().await
        }
    }

    let world = World::shell("yes");
    let running = tokio::spawn(world.running_with(Arc::new(Deaf), Arc::new(NoData)));
    world.stopping.send_replace(true);
    assert_eq!(running.await.unwrap(), Ending::Cancelled);
}
