//! How long things may be, and what they may not do.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tests::root;

use crate::{none, short, tracked};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_BYTES_MAX: u64 = 1024 * 1024;

fn rust_files() -> Vec<PathBuf> {
    let files: Vec<PathBuf> =
        tracked().into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs")).collect();
    assert!(files.len() > 20, "the list of files is broken");
    files
}

/// The lines of a source that run outside of tests, with their numbers from 1. What a `#[cfg(test)]`
/// covers ends, in formatted code, at the first line that is no deeper than itself.
fn production(text: &str) -> Vec<(usize, &str)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut kept, mut lines) = (vec![], text.lines().enumerate());
    while let Some((number, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push((number + 1, line));
            continue;
        }
        let ends = |it: &str| !it.is_empty() && indent(it) <= indent(line) && it.ends_with([';', '}']);
        lines.find(|(_, it)| ends(it));
    }
    kept
}

/// Files that `#[cfg(test)] mod name;` includes.
fn test_modules(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in files {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]") {
            if let Some(name) = pair[1].trim().strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                let plain = matches!(path.file_stem().and_then(|it| it.to_str()), Some("mod" | "lib" | "main"));
                let folder = if plain { path.parent().unwrap().to_owned() } else { path.with_extension("") };
                found.insert(folder.join(name));
            }
        }
    }
    found
}

#[test]
fn nothing_outside_of_tests_panics_on_purpose() {
    let ours = |path: &PathBuf| short(path).contains("/src/") && !short(path).starts_with("tests/");
    let files: Vec<PathBuf> = rust_files().into_iter().filter(ours).collect();
    let tests = test_modules(&files);
    let in_tests = |path: &&PathBuf| tests.iter().any(|it| path.starts_with(it) || path.with_extension("") == *it);
    none(files.iter().filter(|path| !in_tests(path)).flat_map(panics).collect());
}

/// Where a file panics without `#[expect(clippy::…, reason = "…")]` on the function around.
fn panics(path: &PathBuf) -> Vec<String> {
    const WORDS: &[&str] =
        &[".unwrap()", ".expect(", ".expect_err(", ".unwrap_err()", "panic!(", "todo!(", "unimplemented!("];
    let text = fs::read_to_string(path).unwrap();
    let lines = production(&text);
    let reasoned = |index: usize| {
        let above = lines[..index].iter().rev().map(|(_, line)| line.trim()).take_while(|line| !line.is_empty());
        above.take(FUNCTION_LINES_MAX).any(|line| line.starts_with("#[expect(clippy::") || line.starts_with("reason ="))
    };
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let wrong = lines.iter().enumerate().filter(|(index, (_, line))| {
        let code = code(line);
        WORDS.iter().any(|word| code.contains(word)) && !reasoned(*index)
    });
    wrong.map(|(_, (number, line))| format!("{}:{number}: {}", short(path), line.trim())).collect()
}

#[test]
fn test_modules_are_not_held_to_it() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n        x.unwrap();\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod sim;\nfn d() {}\n";
    assert_eq!(production(text), [(1, "fn a() {}"), (8, "fn c() {}"), (11, "fn d() {}")]);
}

#[test]
fn files_and_functions_are_short() {
    let mut problems = vec![];
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let count = text.lines().count();
        if count > FILE_LINES_MAX {
            problems.push(format!("{}: {count} lines", short(&path)));
        }
        let mut open: Option<(usize, &str, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            match &open {
                Some((start, head, end)) if line == end => {
                    if number - start + 1 > FUNCTION_LINES_MAX {
                        problems.push(format!("{}:{}: {} lines: {head}", short(&path), start + 1, number - start + 1));
                    }
                    open = None;
                }
                None if is_function(line) && !line.ends_with([';', '}']) => {
                    open = Some((number, line.trim(), format!("{indent}}}")))
                }
                _ => {}
            }
        }
    }
    none(problems);
}

fn is_function(line: &str) -> bool {
    let words = line.trim_start().split(' ').take_while(|word| *word != "fn");
    let modifier =
        |word: &str| word.starts_with("pub") || ["const", "async", "unsafe", "extern", "in", "crate)"].contains(&word);
    line.contains("fn ") && words.clone().count() < 5 && words.into_iter().all(modifier)
}

#[test]
fn nothing_in_the_repository_is_large() {
    let data = root().join("examples/data");
    let large = tracked().into_iter().filter(|path| !path.starts_with(&data));
    let large = large.filter(|path| fs::metadata(path).unwrap().len() > FILE_BYTES_MAX);
    none(large.map(|path| format!("{} is over {FILE_BYTES_MAX} bytes", short(&path))).collect());
}
