//! Broken flows and exactly what is said about them: `NAME.toml` and `NAME.txt`, one line per diagnostic.
//! With `UPDATE_GOLDEN=1` the expectations are written anew, to be read by eye.

use std::path::{Path, PathBuf};

use flow::diagnostic::{Diagnostic, Lines};

/// Compares what `diagnose` says of every flow in `golden/FOLDER` with what stands beside it.
///
/// # Panics
/// If they differ, or nothing is said of a flow.
pub fn compare(folder: &str, diagnose: impl Fn(&Path, &str) -> Vec<Diagnostic>) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = vec![];
    for case in cases(folder) {
        let text = std::fs::read_to_string(&case).expect("a flow that can be read");
        let lines = Lines::new(&text);
        let root = case.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let said: String = diagnose(&case, &text).iter().map(|diagnostic| line(diagnostic, &lines)).collect();
        let said = said.replace(&root, "HERE");
        let golden = case.with_extension("txt");
        if update {
            std::fs::write(&golden, &said).expect("expectations that can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if said.is_empty() || said != expected {
            wrong.push(format!("{}\nsaid:\n{said}expected:\n{expected}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `E203 4:7-4:12 message | hint`, the place with its file before it where that is not the flow.
fn line(diagnostic: &Diagnostic, lines: &Lines) -> String {
    let other = diagnostic.elsewhere.as_ref().map(|other| (format!("{}:", other.path), Lines::new(&other.text)));
    let (file, lines) = other.as_ref().map_or(("", lines), |(path, lines)| (path.as_str(), lines));
    let (start, end) = (lines.position(diagnostic.span.start), lines.position(diagnostic.span.end));
    let hint = diagnostic.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
    let place = format!("{file}{}:{}-{}:{}", start.line, start.column, end.line, end.column);
    format!("{} {place} {}{hint}\n", diagnostic.code, diagnostic.message)
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder);
    let files = std::fs::read_dir(folder).expect("the folder of broken flows").flatten().map(|entry| entry.path());
    let mut cases: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect();
    cases.sort();
    cases
}
