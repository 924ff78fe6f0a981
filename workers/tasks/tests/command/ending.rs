use std::collections::BTreeMap;

use flow::value::Value;
use flow::wire::{Ending, Outcome, Whose};
use worker::Stream;

use crate::world::{World, failure, run_id};

#[tokio::test]
async fn exit_code_0_is_success_and_the_output_is_the_log() {
    let mut world = World::shell("echo one; echo two; printf three; printf oops >&2; pwd > here");
    assert_eq!(world.run().await, Ending::Succeeded(Outcome::default()));
    let lines = world.lines();
    let of = |stream| lines.iter().filter(|line| line.stream == stream).map(|line| &line.text[..]).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), ["one", "two", "three"]);
    assert_eq!(of(Stream::Stderr), ["oops"]);
    assert!(of(Stream::Flowctl).is_empty(), "nothing to remark: {lines:?}");
    let here = std::fs::read_to_string(world.plan.dir.join("here")).unwrap();
    assert_eq!(here.trim_end(), world.plan.dir.canonicalize().unwrap().to_str().unwrap());
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn other_exit_codes_are_failures_that_quote_stderr_and_may_be_retried() {
    let world = World::shell("for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; exit 3");
    let failure = failure(world.run().await);
    assert_eq!((failure.whose, failure.retry), (Whose::User, true));
    let said = "the command ended with exit code 3; the end of its stderr:\nline 3\nline 4\nline 5\nline 6\nline 7";
    assert_eq!(failure.message, said);
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn a_silent_failure_says_that_it_was_silent() {
    let failure = failure(World::new(&["false"]).run().await);
    assert_eq!(failure.message, "the command ended with exit code 1; it wrote nothing to stderr");
}

#[tokio::test]
async fn exit_code_99_skips() {
    let ending = World::shell("exit 99").run().await;
    assert!(matches!(&ending, Ending::Skipped(reason) if reason.contains("99")), "{ending:?}");
}

#[tokio::test]
async fn signals_are_called_by_name() {
    for (signal, said) in [("SEGV", "SIGSEGV"), ("KILL", "memory"), ("TERM", "SIGTERM"), ("USR2", "signal 12")] {
        let failure = failure(World::shell(&format!("kill -{signal} $$")).run().await);
        assert!(failure.message.starts_with("the command was killed by"), "{}", failure.message);
        assert!(failure.message.contains(said), "{}", failure.message);
        assert!(failure.retry);
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_what_to_do_and_is_not_retried() {
    let cases = [
        (World::new(&["no-such-program"]), "no folder in PATH has such a program"),
        (World::new(&["./no-such-script"]), "there is no such file"),
        (World::new(&["bin/dull"]), "there is no such file"),
        (World::new(&["./dull"]).file("dull", "#!/bin/sh\n", 0o644), "chmod +x"),
        (World::new(&["./dull"]).file("dull", "#!/no/such/shell\n", 0o755), "the interpreter"),
        (World::new(&["echo", "a\0b"]), "NUL"),
        (World::new(&[]), "the command is empty"),
    ];
    for (world, said) in cases {
        let failure = failure(world.run().await);
        assert!(failure.message.contains(said), "{}", failure.message);
        assert_eq!((failure.whose, failure.retry), (Whose::User, false), "{}", failure.message);
        assert!(world.scratch_is_empty());
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_is_named() {
    let world = World::new(&["true"]);
    std::fs::remove_dir(&world.plan.dir).unwrap();
    let failure = failure(world.run().await);
    assert!(failure.message.contains(world.plan.dir.to_str().unwrap()), "{}", failure.message);
}

#[tokio::test]
async fn a_program_with_a_path_is_relative_to_the_flow_file() {
    let mut world = World::new(&["./say", "hello there"]).file("say", "#!/bin/sh\necho \"$1\"\n", 0o755);
    world.run().await;
    assert_eq!(world.texts(), ["hello there"]);
}

#[tokio::test]
async fn the_environment_is_complete() {
    let mut world = World::new(&["env"]);
    world.attempt = 2;
    world.plan.logical_time = Some(1_700_000_000_123);
    world.plan.params = BTreeMap::from([
        ("month".into(), Value::String("2013-01".into())),
        ("Limit_2".into(), Value::Int(-5)),
        ("rate".into(), Value::Float(0.25)),
        ("fast".into(), Value::Bool(true)),
        ("day".into(), Value::Date(-1)),
        ("at".into(), Value::Timestamp(1_700_000_000_500_000)),
    ]);
    world.run().await;
    let set: BTreeMap<String, String> = world
        .texts()
        .iter()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| !name.starts_with("FLOWCTL_TEST_"))
        .filter(|(name, _)| name.starts_with("FLOWCTL_") || *name == "TRACEPARENT")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let expected = [
        ("FLOWCTL_ATTEMPT", "2"),
        ("FLOWCTL_IDEMPOTENCY_KEY", &format!("{}.work", run_id())),
        ("FLOWCTL_LOGICAL_TIME", "2023-11-14T22:13:20.123Z"),
        ("FLOWCTL_PARAM_AT", "2023-11-14T22:13:20.5Z"),
        ("FLOWCTL_PARAM_DAY", "1969-12-31"),
        ("FLOWCTL_PARAM_FAST", "true"),
        ("FLOWCTL_PARAM_LIMIT_2", "-5"),
        ("FLOWCTL_PARAM_MONTH", "2013-01"),
        ("FLOWCTL_PARAM_RATE", "0.25"),
        ("FLOWCTL_RUN_ID", run_id()),
        ("FLOWCTL_TASK", "work"),
    ];
    for (name, value) in expected {
        assert_eq!(set.get(name).map(String::as_str), Some(value), "{name}");
    }
    let output_dir = &set["FLOWCTL_OUTPUT_DIR"];
    assert!(output_dir.starts_with(world.path("scratch").to_str().unwrap()), "{output_dir}");
    let span = &blake3::hash(format!("{}/work/2", run_id()).as_bytes()).to_hex()[..16];
    assert_eq!(set["TRACEPARENT"], format!("00-{}-{span}-01", run_id().replace('-', "")));
    let this = std::env::current_exe().expect("this program");
    assert_eq!(set["FLOWCTL_BIN"], this.to_str().expect("its path is text"));
    assert_eq!(set.len(), expected.len() + 3, "nothing else: {set:?}");
}

/// What flowctl was given by a command that runs it must not pass for what it gives its own commands.
#[tokio::test]
async fn nothing_of_an_outer_attempt_is_passed_on() {
    const OUTER: [&str; 4] = ["FLOWCTL_PARAM_OUTER", "FLOWCTL_INPUT_OUTER", "FLOWCTL_LOGICAL_TIME", "TRACESTATE"];
    if std::env::var_os("FLOWCTL_PARAM_OUTER").is_none() {
        let this = "ending::nothing_of_an_outer_attempt_is_passed_on";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args([this, "--exact"]).envs(OUTER.map(|name| (name, "outer"))).env("FLOWCTL_STORE", "kept");
        assert!(again.status().unwrap().success());
        return;
    }
    let mut world = World::new(&["env"]);
    world.run().await;
    let texts = world.texts();
    assert!(texts.contains(&"FLOWCTL_STORE=kept".to_owned()));
    assert!(!texts.iter().any(|text| text.ends_with("=outer")), "{texts:?}");
}
