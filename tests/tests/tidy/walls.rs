//! Who may name whom.

use std::collections::{BTreeMap, BTreeSet};

use tests::root;

use crate::{members, metadata, none, toml_of};

/// Who may name whom among our crates. The package `tests` may name everybody.
const ARROWS: &[(&str, &[&str])] = &[
    ("flow", &[]),
    ("store", &["flow"]),
    ("telemetry", &["flow"]),
    ("server", &["flow", "store", "telemetry"]),
    ("flowctl", &["flow", "store", "telemetry", "server", "worker", "engine", "tasks"]),
    ("worker", &["flow"]),
    ("engine", &["flow"]),
    ("tasks", &["flow", "worker", "engine"]),
];

/// Libraries that only one crate may name.
const OWNERS: &[(&str, &str)] = &[
    ("sqlx", "store"),
    ("datafusion", "engine"),
    ("deltalake", "engine"),
    ("arrow", "engine"),
    ("parquet", "engine"),
    ("axum", "server"),
    ("opentelemetry", "telemetry"),
];

/// What the pure crate must not reach, not even through others.
const IMPURE: &[&str] =
    &["tokio", "async-trait", "futures", "futures-util", "sqlx", "datafusion", "deltalake", "axum", "reqwest"];

/// Libraries of which two versions would not understand each other, or double the build.
const ONCE: &[&str] =
    &["arrow", "arrow-schema", "datafusion", "deltalake", "parquet", "object_store", "rustls", "sqlx", "tokio"];

/// What a manifest names, tests and build scripts included, with the target-specific tables.
fn named(manifest: &toml::Table) -> BTreeSet<String> {
    let mut tables: Vec<&toml::Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let found = tables.iter().flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    found.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn arrows_between_crates_point_as_designed() {
    let members = members();
    let ours: BTreeSet<&str> = members.iter().map(|(name, ..)| name.as_str()).collect();
    let mut problems = vec![];
    for (name, _, manifest) in members.iter().filter(|(name, ..)| name != "tests") {
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| from == name) else {
            problems.push(format!("{name}: not in ARROWS"));
            continue;
        };
        let wrong =
            named(manifest).into_iter().filter(|it| ours.contains(it.as_str()) && !allowed.contains(&it.as_str()));
        problems.extend(wrong.map(|it| format!("{name} must not name {it}")));
    }
    none(problems);
}

#[test]
fn heavy_libraries_have_one_owner() {
    let mut problems = vec![];
    for (name, _, manifest) in members().iter().filter(|(name, ..)| name != "tests") {
        for (library, owner) in OWNERS.iter().filter(|(_, owner)| owner != name) {
            let prefixes = [format!("{library}-"), format!("{library}_")];
            let wrong = named(manifest)
                .into_iter()
                .filter(|it| it == library || prefixes.iter().any(|prefix| it.starts_with(prefix)));
            problems.extend(wrong.map(|it| format!("{name} names {it}, which only {owner} may")));
        }
    }
    none(problems);
}

#[test]
fn flow_is_pure() {
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let links = |dep: &&serde_json::Value| dep["dep_kinds"].as_array().unwrap().iter().any(|it| it["kind"].is_null());
    let graph: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .map(|node| {
            let linked = node["deps"].as_array().unwrap().iter().filter(links);
            (node["id"].as_str().unwrap(), linked.map(|dep| dep["pkg"].as_str().unwrap()).collect())
        })
        .collect();
    let name = |id: &str| id.rsplit(['/', '#']).find_map(|part| part.split('@').next()).unwrap_or_default().to_owned();
    let start = graph.keys().copied().find(|id| id.contains("/orchestrator/flow#")).unwrap();
    let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(&graph[id]);
        }
    }
    let names: BTreeSet<String> = reached.into_iter().map(name).collect();
    assert!(names.contains("serde"), "the walk through the packages is broken: {names:?}");
    none(IMPURE.iter().filter(|it| names.contains(**it)).map(|it| format!("flow reaches {it}")).collect());
}

#[test]
fn libraries_that_must_agree_come_once() {
    let lock = toml_of(&root().join("Cargo.lock"));
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        *count.entry(package["name"].as_str().unwrap()).or_default() += 1;
    }
    let twice = ONCE.iter().filter(|it| count.get(**it).is_some_and(|count| *count > 1));
    none(twice.map(|it| format!("{it} is in Cargo.lock more than once")).collect());
    assert_eq!(count.get("datafusion"), Some(&1), "the count is broken");
}

#[test]
fn crates_say_what_they_are_and_share_the_lints() {
    let mut problems = vec![];
    for (name, _, manifest) in members() {
        let description = manifest["package"].get("description").and_then(toml::Value::as_str);
        if description.is_none_or(|text| text.len() < 10) {
            problems.push(format!("{name} has no description"));
        }
        if name != "tests" && manifest.get("lints").and_then(|it| it.get("workspace")).is_none() {
            problems.push(format!("{name} does not inherit the lints"));
        }
    }
    none(problems);
}
