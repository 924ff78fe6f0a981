use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use flow::plan::Plan;
use flow::spec::Format;
use flow::value::Value;
use flow::wire::{Ending, Failure};
use tasks::command::{Settings, fingerprint};

use crate::world::{Scripted, World, failure};

fn scorer() -> World {
    let mut world = World::shell("cd $FLOWCTL_OUTPUT_DIR; mkdir p; touch p/b.parquet a.parquet _SUCCESS .crc r.html");
    world.settings.format = Some(Format::Parquet);
    world.artifact("report", "r.html")
}

#[tokio::test]
async fn inputs_are_given_by_name() {
    let mut world = World::shell("echo $FLOWCTL_INPUT_DAILY_CARRIERS $FLOWCTL_INPUT_OTHER_FLIGHTS");
    let inputs = BTreeMap::from([("daily-carriers".into(), "/in/a".into()), ("other.flights".into(), "/in/b".into())]);
    world.running(Arc::new(Scripted { inputs, ..Scripted::default() })).await;
    assert_eq!(world.texts(), ["/in/a /in/b"]);
}

#[tokio::test]
async fn the_files_left_become_the_dataset() {
    let world = scorer();
    let data = Arc::new(Scripted::default());
    let Ending::Succeeded(outcome) = world.running(data.clone()).await else { panic!() };
    assert_eq!((outcome.rows_out, outcome.dataset.as_deref()), (Some(7), Some("etl.work")));
    assert!(Path::new(&outcome.artifacts["report"]).is_file());
    let published = data.published.lock().unwrap();
    let names: Vec<_> = published.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.parquet", "b.parquet"], "neither artifacts nor hidden files are data");
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn troubles_with_data_are_the_attempts_end() {
    let trouble = Failure::external("the disk is full");
    let stage = Scripted { stage_fails: Some(trouble.clone()), ..Scripted::default() };
    assert_eq!(failure(scorer().running(Arc::new(stage)).await), trouble);
    let publish = Scripted { publish_fails: Some(trouble.clone()), ..Scripted::default() };
    assert_eq!(failure(scorer().running(Arc::new(publish)).await), trouble);
}

#[test]
fn a_fingerprint_changes_with_what_the_command_sees() {
    let world = World::new(&["python3", "score.py", "--model=model.bin", "x"])
        .file("score.py", "print(1)", 0o644)
        .file("model.bin", "weights", 0o644);
    let (settings, plan) = (&world.settings, &world.plan);
    let of = |settings: &Settings, plan: &Plan| fingerprint(settings, plan).unwrap();
    let first = of(settings, plan);
    fs::write(plan.dir.join("unrelated"), "1").unwrap();
    fs::write(plan.dir.join("score.py"), "print(1)").unwrap();
    assert_eq!(of(settings, plan), first, "nothing that counts has changed");

    let mut seen = vec![first];
    let mut differs = |what: &str, hash: String| {
        assert!(!seen.contains(&hash), "{what} does not count");
        seen.push(hash);
    };
    differs("an argument", of(&Settings { argv: vec!["python3".into()], ..settings.clone() }, plan));
    let artifacts = BTreeMap::from([("report".into(), "r.html".into())]);
    differs("an artifact", of(&Settings { artifacts, ..settings.clone() }, plan));
    let mut other = plan.clone();
    other.params.insert("month".into(), Value::String("2013-01".into()));
    differs("a parameter", of(settings, &other));
    other.logical_time = Some(1);
    differs("the logical time", of(settings, &other));
    fs::write(plan.dir.join("score.py"), "print(2)").unwrap();
    differs("the script", of(settings, plan));
    fs::write(plan.dir.join("model.bin"), "WEIGHTS").unwrap();
    differs("a file given as a value", of(settings, plan));
}
