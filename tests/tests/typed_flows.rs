//! Flows whose mistakes show only with their data or SQL: `golden/typed/NAME.toml` and `NAME.txt`.

use std::path::Path;

use engine::{Engine, Settings};
use flow::diagnostic::Diagnostic;

/// Everything that is said about a flow file when it is compiled.
fn diagnose(file: &Path, text: &str) -> Vec<Diagnostic> {
    let scratch = tempfile::tempdir().unwrap();
    let settings = Settings {
        lake: scratch.path().join("lake").display().to_string(),
        memory: None,
        scratch: scratch.path().to_path_buf(),
        notes: scratch.path().join("types"),
    };
    let engine = Engine::new(&settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let compiled = runtime.block_on(tasks::compile(&engine, file, text, tasks::Options::default()));
    assert!(!scratch.path().join("lake").exists(), "a compilation leaves the lake alone");
    compiled.diagnostics
}

#[test]
fn every_mistake_in_sql_and_data_is_told_once_with_its_place() {
    tests::golden::compare("typed", diagnose);
}
