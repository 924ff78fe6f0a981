//! The dashboards: made by `make.py`, of the shape that Grafana reads, and each panel explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::{copy_folder, outside, succeed};

use crate::{deploy, yaml};

fn dashboards(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn dashboards_are_what_their_sources_make() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&deploy("grafana"), folder.path());
    let made = folder.path().join("dashboards");
    fs::remove_dir_all(&made).unwrap();
    fs::create_dir(&made).unwrap();
    let mut make = Command::new("python3");
    make.arg(folder.path().join("make.py"));
    succeed(make);
    let names =
        |folder: &Path| dashboards(folder).iter().map(|it| it.file_name().unwrap().to_owned()).collect::<Vec<_>>();
    let kept = deploy("grafana/dashboards");
    assert_eq!(names(&made), names(&kept));
    for (made, kept) in dashboards(&made).iter().zip(dashboards(&kept)) {
        assert_eq!(read(made), read(&kept), "{} is not what make.py makes", kept.display());
    }
}

#[test]
fn dashboards_fit_the_types_of_grafana() {
    let mut types = outside::types();
    types.args(dashboards(&deploy("grafana/dashboards")));
    println!("{}", succeed(types));
}

#[test]
fn panels_are_explained_and_lie_beside_each_other() {
    let files = dashboards(&deploy("grafana/dashboards"));
    assert_eq!(files.len(), 6);
    let mut uids = BTreeSet::new();
    for file in &files {
        let dashboard = read(file);
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{} twice", dashboard["uid"]);
        let (mut cells, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is another's");
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            for (x, y) in
                (side("x")..side("x") + side("w")).flat_map(|x| (side("y")..side("y") + side("h")).map(move |y| (x, y)))
            {
                assert!(x < 24 && cells.insert((x, y)), "{}: {title} lies on another panel", file.display());
            }
            if panel["type"] != "row" {
                assert!(panel["description"].as_str().unwrap().ends_with('.'), "{title} is not explained");
                assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
            }
        }
    }
}

#[test]
fn what_is_provisioned_is_what_dashboards_ask_for() {
    let sources = yaml(&deploy("grafana/provisioning/datasources/flowctl.yaml")).remove(0);
    let kinds: BTreeSet<&str> =
        sources["datasources"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    for file in dashboards(&deploy("grafana/dashboards")) {
        for variable in
            read(&file)["templating"]["list"].as_array().unwrap().iter().filter(|it| it["type"] == "datasource")
        {
            assert!(kinds.contains(variable["query"].as_str().unwrap()), "{}: {variable}", file.display());
        }
    }
    let providers = yaml(&deploy("grafana/provisioning/dashboards/flowctl.yaml")).remove(0);
    let folder = providers["providers"][0]["options"]["path"].as_str().unwrap();
    let compose = fs::read_to_string(deploy("compose.yaml")).unwrap();
    assert!(compose.contains(&format!("./grafana/dashboards:{folder}:ro")), "nothing is mounted at {folder}");
}
