//! Broken flows and exactly what is said about them: `golden/broken/NAME.toml` and `NAME.txt`, one line per diagnostic.
//! With `UPDATE_GOLDEN=1` the expectations are written anew, to be read by eye.

use std::path::{Path, PathBuf};

use flow::diagnostic::{Diagnostic, Lines};
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

/// `E203 4:7-4:12 message | hint`
fn line(diagnostic: &Diagnostic, lines: &Lines) -> String {
    let (start, end) = (lines.position(diagnostic.span.start), lines.position(diagnostic.span.end));
    let hint = diagnostic.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
    let place = format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column);
    format!("{} {place} {}{hint}\n", diagnostic.code, diagnostic.message)
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/broken");
    let files = std::fs::read_dir(folder).expect("the folder of broken flows").flatten().map(|entry| entry.path());
    let mut cases: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect();
    cases.sort();
    cases
}

#[test]
fn every_mistake_is_told_once_with_its_place() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = vec![];
    for case in cases() {
        let text = std::fs::read_to_string(&case).unwrap();
        let lines = Lines::new(&text);
        let said: String = diagnose(&text).iter().map(|diagnostic| line(diagnostic, &lines)).collect();
        let golden = case.with_extension("txt");
        if update {
            std::fs::write(&golden, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if said.is_empty() || said != expected {
            wrong.push(format!("{}\nsaid:\n{said}expected:\n{expected}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
