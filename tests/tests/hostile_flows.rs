//! Any text may be given as a flow: nothing panics, and every diagnostic points into the text.
//!
//! `corpus/flows` keeps texts that were trouble once, or are near to it. `PROPTEST_CASES` sets how many are made up.

use std::path::Path;
use std::sync::LazyLock;

use flow::diagnostic::Lines;
use flow::{check, codes, graph, spec, value};
use proptest::prelude::*;

/// Compiles as far as that goes without data, and holds what is said against the text.
fn survives(text: &str) {
    let (flow, mut diagnostics) = spec::parse(text);
    if let Some(flow) = &flow {
        diagnostics.extend(check::check(flow, &["command", "noop", "sql"]));
        let (tasks, edges) = graph::declared(flow);
        diagnostics.extend(graph::order(&tasks, &edges).err().into_iter().flatten());
        value::resolve(flow, &Default::default()).ok();
    }
    assert!(flow.is_some() || !diagnostics.is_empty(), "a flow that cannot be read has no diagnostic");
    let lines = Lines::new(text);
    for diagnostic in &diagnostics {
        let span = &diagnostic.span;
        assert!(text.get(span.clone()).is_some(), "{diagnostic:?} does not point into the text");
        let json = diagnostic.json("f.toml", &lines);
        assert!(json["line"].as_u64() >= Some(1) && json["column"].as_u64() >= Some(1), "{json}");
        assert!(codes::find(diagnostic.code).is_some(), "{} has no page", diagnostic.code);
        assert!(!diagnostic.message.is_empty() && !diagnostic.message.contains('\n'), "{diagnostic:?}");
    }
    let unique: std::collections::BTreeSet<_> =
        diagnostics.iter().map(|d| (d.code, d.span.start, d.span.end, &d.message)).collect();
    assert_eq!(unique.len(), diagnostics.len(), "something is told twice: {diagnostics:?}");
}

fn texts(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder of flows").flatten();
    let flows = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "toml"));
    flows.map(|entry| std::fs::read_to_string(entry.path()).expect("a flow")).collect()
}

/// Flows to be mutated: those that people run, and those that are broken already.
static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut seeds = texts("../flows");
    seeds.extend(texts("golden/broken"));
    seeds.extend(
        ["01-first-flow", "03-checks", "05-commands"].iter().flat_map(|lesson| texts(&format!("../examples/{lesson}"))),
    );
    seeds
});

/// What a mutation puts into a flow.
const PIECES: [&str; 26] = [
    "",
    "\n",
    "\r\n",
    "\t",
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\\",
    "é",
    "日本",
    "\u{0}",
    "[tasks.a]\n",
    "[[tasks]]\n",
    "kind = 1\n",
    "99999999999999999999",
    "{month}",
    "\u{feff}",
];

fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..40_usize, 0..PIECES.len());
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut text = seed.get(&SEEDS).clone();
        for (place, taken, piece) in edits {
            let start = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + taken).min(text.len()));
            text.replace_range(start..end, PIECES[piece]);
        }
        text
    })
}

/// Lines taken from several flows in any order: valid pieces in places where they do not belong.
fn shuffled() -> impl Strategy<Value = String> {
    let line = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    prop::collection::vec(line, 1..20).prop_map(|lines| {
        let pick = |(seed, line): &(prop::sample::Index, prop::sample::Index)| {
            let lines: Vec<_> = seed.get(&SEEDS).lines().collect();
            if lines.is_empty() { String::new() } else { format!("{}\n", line.get(&lines)) }
        };
        lines.iter().map(pick).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn a_mutated_flow_is_survived(text in mutated()) {
        survives(&text);
    }

    #[test]
    fn shuffled_lines_are_survived(text in shuffled()) {
        survives(&text);
    }
}

#[test]
fn the_corpus_is_survived() {
    let corpus = texts("corpus/flows");
    assert!(!corpus.is_empty());
    corpus.iter().chain(SEEDS.iter()).for_each(|text| survives(text));
}

#[test]
fn thousands_of_mistakes_are_all_told() {
    let tasks: String =
        (0..2_000).map(|n| format!("[tasks.t{n}]\nsqll = 'select 1'\nfoo = 1\noutput = {{ mode = 5 }}\n")).collect();
    let (_, diagnostics) = spec::parse(&format!("name = 'f'\n{tasks}"));
    assert_eq!(diagnostics.len(), 6_000);
}
