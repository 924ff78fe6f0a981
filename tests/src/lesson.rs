//! The lessons' pages as tests: every command of a `console` block is run, and what the page shows must come out.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::{binary, clean, copy_folder, root};

/// A command of a page, with the output shown below it.
struct Step {
    command: String,
    shown: String,
}

/// A page: text that is passed through, and the steps between it.
enum Part {
    Text(String),
    Step(Step),
}

/// Runs every command of `examples/NAME/README.md` in a copy of its folder. With `FLOWCTL_TEST_RECORD` set, outputs that
/// differ are written into the page; otherwise the first difference panics.
pub fn check(name: &str) {
    let folder = root().join("examples").join(name);
    let page = fs::read_to_string(folder.join("README.md")).expect("every lesson has a page");
    let parts = parse(&page);
    assert!(parts.iter().any(|part| matches!(part, Part::Step(_))), "{name} shows no command");
    let copy = workplace(&folder);
    let record = std::env::var_os("FLOWCTL_TEST_RECORD").is_some();
    let (mut status, mut recorded) = (0, String::new());
    for part in parts {
        let step = match part {
            Part::Text(text) => {
                recorded.push_str(&text);
                continue;
            }
            Part::Step(step) => step,
        };
        let (code, printed) = run(&step.command, status, &copy.path().join("lesson"), copy.path());
        status = code;
        let same = normal(&printed) == normal(&step.shown);
        let hint = "set FLOWCTL_TEST_RECORD=1 to take it over";
        assert!(
            same || record,
            "{name}: `{}` printed\n{printed}\nbut the page shows\n{}\n{hint}",
            step.command,
            step.shown
        );
        let output = if same { &step.shown } else { &printed };
        recorded.push_str(&format!("$ {}\n{output}", step.command.replace('\n', "\n> ")));
    }
    if recorded != page {
        fs::write(folder.join("README.md"), recorded).expect("a page can be rewritten");
    }
}

fn parse(page: &str) -> Vec<Part> {
    let mut parts = vec![];
    let mut open: Option<Step> = None;
    let mut console = false;
    for line in page.split_inclusive('\n') {
        if line.starts_with("```") {
            console = line.trim_end() == "```console";
            parts.extend(open.take().map(Part::Step));
            parts.push(Part::Text(line.to_owned()));
        } else if let (true, Some(command)) = (console, line.strip_prefix("$ ")) {
            parts.extend(open.take().map(Part::Step));
            open = Some(Step { command: command.trim_end().to_owned(), shown: String::new() });
        } else if let Some(step) = &mut open {
            match line.strip_prefix("> ").filter(|_| step.shown.is_empty()) {
                Some(more) => step.command = format!("{}\n{}", step.command, more.trim_end()),
                None => step.shown.push_str(line),
            }
        } else {
            parts.push(Part::Text(line.to_owned()));
        }
    }
    parts.extend(open.map(Part::Step));
    parts
}

/// A copy of the lesson as `lesson`, with the data that lessons share beside it.
fn workplace(folder: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    copy_folder(folder, &place.path().join("lesson"));
    std::os::unix::fs::symlink(root().join("examples/data"), place.path().join("data")).expect("a link");
    place
}

/// Runs a shell line whose `$?` is `before`; gives its exit code and what it printed on both streams, in their order.
fn run(line: &str, before: i32, folder: &Path, home: &Path) -> (i32, String) {
    let bin = binary();
    let mut path = bin.parent().map(Path::to_owned).unwrap_or_default().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut shell = clean("sh", home);
    shell.args(["-c", &format!("exec 2>&1\n(exit {before})\n{line}")]).current_dir(folder).env("PATH", path);
    let output = shell.output().expect("a shell starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What differs from run to run, made the same: ids, instants, durations, the widths that follow from them.
fn normal(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
            (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "WHEN"),
            (r"\b\d+(\.\d+)? ?(µs|ms|s)\b", "TIME"),
            (r"\b[0-9a-f]{12}\b", "ID"),
            (r"/[^ ']*/lesson\b", "LESSON"),
            (r"[ \t]+\n", "\n"),
            (r"  +", "  "),
            (r"[─-]{3,}", "---"),
        ];
        rules.map(|(pattern, name)| (Regex::new(pattern).expect("the rules are regular expressions"), name)).into()
    });
    let same =
        RULES.iter().fold(text.trim_end().to_owned(), |text, (rule, name)| rule.replace_all(&text, *name).into_owned());
    if same.contains(" run RUN\n") { sorted(&same) } else { same }
}

/// Independent tasks end in any order, so the lines of a run have none that could be compared.
fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Part, normal, parse};

    #[test]
    fn a_page_splits_into_text_and_steps_and_back() {
        let page = "Text\n```console\n$ a \\\n> b\nout\n$ c\n```\n```sh\n$ no\n```\n";
        let parts = parse(page);
        let steps: Vec<_> =
            parts.iter().filter_map(|part| if let Part::Step(step) = part { Some(step) } else { None }).collect();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].command.as_str(), steps[0].shown.as_str()), ("a \\\nb", "out\n"));
        assert_eq!((steps[1].command.as_str(), steps[1].shown.as_str()), ("c", ""));
    }

    #[test]
    fn only_what_changes_from_run_to_run_is_the_same() {
        let a = "run 019a1b2c-0000-7000-8000-000000000001 took 1.2s,  3 rows\n";
        let b = "run 019a1b2c-0000-7000-8000-0000000000ff took 812ms,    3 rows";
        assert_eq!(normal(a), normal(b));
        assert_ne!(normal(a), normal("run 019a1b2c-0000-7000-8000-000000000001 took 1.2s, 4 rows"));
    }
}
