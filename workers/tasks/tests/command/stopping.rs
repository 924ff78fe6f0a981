use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::wire::{Ending, Outcome};
use rustix::process::{Signal, kill_process};
use worker::Stream;

use crate::world::{NoData, World, is_gone, pid, until_gone};

/// Far longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_stop_lets_the_command_tidy_up() {
    let mut world =
        World::shell("trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.01; done").grace_ms(20_000);
    let running = world.start();
    assert_eq!(world.line().await, "ready");
    world.stopping.send_replace(true);
    assert_eq!(running.await.unwrap(), Ending::Cancelled);
    assert!(world.texts().contains(&"tidied".to_owned()));
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn a_stop_kills_what_ignores_it() {
    let mut world = World::shell("trap '' TERM; echo $$; while :; do sleep 600; done");
    let running = world.start();
    let shell = pid(&world.line().await);
    let asked = Instant::now();
    world.stopping.send_replace(true);
    assert_eq!(running.await.unwrap(), Ending::Cancelled);
    assert!(asked.elapsed() >= Duration::from_millis(100), "its grace was cut short");
    assert!(is_gone(shell));
}

#[tokio::test]
async fn a_stop_reaches_a_command_that_is_suspended() {
    let mut world = World::shell("echo $$; kill -STOP $$").grace_ms(20_000);
    let running = world.start();
    world.line().await;
    world.stopping.send_replace(true);
    let asked = Instant::now();
    assert_eq!(running.await.unwrap(), Ending::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(15), "it was waited for although it could not hear");
}

#[tokio::test]
async fn a_stop_ends_grandchildren() {
    let mut world = World::shell("(trap '' TERM; echo $$ >&2; exec sleep 600) & echo $!; wait");
    let running = world.start();
    world.line().await;
    let other = world.line().await;
    world.stopping.send_replace(true);
    assert_eq!(running.await.unwrap(), Ending::Cancelled);
    assert!(is_gone(pid(&other)));
}

#[tokio::test]
async fn dropping_an_attempt_kills_its_group() {
    let mut world = World::shell("sleep 600 & echo $!; wait");
    let running = world.start();
    let grandchild = pid(&world.line().await);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    until_gone(grandchild).await;
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn a_process_left_behind_with_our_pipe_is_ended_after_the_grace() {
    let mut world = World::shell("sleep 600 & echo $!");
    let began = Instant::now();
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    assert!(began.elapsed() < LONG);
    assert!(is_gone(pid(&world.line().await)));
    let remark = world.lines().pop_back().unwrap();
    assert_eq!(remark.stream, Stream::Flowctl);
    assert!(remark.text.contains("left processes behind"), "{}", remark.text);
}

#[tokio::test]
async fn a_process_left_behind_without_our_pipe_is_ended_at_once() {
    let mut world = World::shell("sleep 600 >&- 2>&- & echo $!").grace_ms(20_000);
    let began = Instant::now();
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    assert!(began.elapsed() < Duration::from_secs(15), "nothing held the pipe, so there was nothing to wait for");
    assert!(is_gone(pid(&world.line().await)));
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_the_attempt_up() {
    let mut world = World::shell("setsid sh -c 'echo $$; printf unfinished; exec sleep 600' & sleep 0.2");
    let began = Instant::now();
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    assert!(began.elapsed() < LONG);
    let escaped = pid(&world.line().await);
    kill_process(escaped, Signal::KILL).unwrap();
    assert_eq!(world.line().await, "unfinished", "what it wrote so far is kept");
}

#[tokio::test]
async fn what_was_printed_after_the_end_is_kept() {
    let mut world = World::shell("(sleep 0.3; echo late) & echo early").grace_ms(20_000);
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    assert_eq!(world.texts(), ["early", "late"]);
}

#[tokio::test]
async fn a_stop_before_the_start_is_heard() {
    let world = World::shell("sleep 600").grace_ms(20_000);
    world.stopping.send_replace(true);
    let began = Instant::now();
    assert_eq!(world.running(Arc::new(NoData)).await, Ending::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(15));
}
