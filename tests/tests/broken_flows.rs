//! Flows whose mistakes show in their text alone: `golden/broken/NAME.toml` and `NAME.txt`.

use std::path::Path;

use flow::diagnostic::Diagnostic;
use flow::{check, graph, spec};

const KINDS: [&str; 3] = ["command", "noop", "sql"];

/// Everything that is said about a flow without reading data or SQL.
fn diagnose(text: &str) -> Vec<Diagnostic> {
    let (flow, mut diagnostics) = spec::parse(text);
    if let Some(flow) = flow {
        diagnostics.extend(check::check(&flow, &KINDS));
        let (tasks, edges) = graph::declared(&flow);
        diagnostics.extend(graph::order(&tasks, &edges).err().into_iter().flatten());
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    diagnostics
}

#[test]
fn every_mistake_is_told_once_with_its_place() {
    tests::golden::compare("broken", |_, text| diagnose(text));
}

#[test]
fn flows_of_this_repository_have_no_mistakes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lessons =
        std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path().join("flow.toml"));
    let flows: Vec<_> = lessons.filter(|file| file.exists()).chain([root.join("flows/etl.toml")]).collect();
    assert!(flows.len() > 5);
    for file in flows {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(diagnose(&text), [], "{}", file.display());
    }
}
