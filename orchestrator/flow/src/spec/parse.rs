//! From text to [`Flow`], with every mistake of the file in one pass.
//!
//! A file without mistakes is deserialized in one go. Otherwise each part is deserialized until it succeeds: a key
//! that is nearly right is taken for the right one, anything else that serde objects to is taken out and remembered.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::complaint::{Complaint, Expected};
use super::tree::{self, Node, Path};
use super::{Flow, Lost};
use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;

/// Reads a flow file. There is no flow only if the text is not TOML; otherwise there is one made of everything that
/// could be read, and [`Flow::lost`] knows what is missing from it.
pub fn parse(text: &str) -> (Option<Flow>, Vec<Diagnostic>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let syntax = |error: &&Error| !is_duplicate(error);
    if let Some(error) = errors.iter().filter(syntax).min_by_key(|error| error.span().map_or(0, |span| span.start)) {
        return (None, vec![not_toml(error, text)]);
    }
    let mut diagnostics: Vec<_> = errors.iter().map(|error| duplicate(error, text)).collect();
    let root = whole(root);
    let sound = diagnostics.is_empty() && tree::lists_at(&root, &TABLES).is_empty();
    let read = if sound { Flow::deserialize(ValueDeserializer::from(root)).ok() } else { None };
    let mut flow = read.unwrap_or_else(|| salvage(whole(DeTable::parse_recoverable(text).0), &mut diagnostics));
    text.clone_into(&mut flow.text);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    (Some(flow), diagnostics)
}

fn is_duplicate(error: &Error) -> bool {
    error.message() == "duplicate key"
}

fn not_toml(error: &Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let rest = text.get(span.start..).unwrap_or_default().trim_start_matches([' ', '\t']);
    if message.starts_with("string values must be quoted") && (rest.is_empty() || rest.starts_with(['\n', '\r', '#'])) {
        return Diagnostic::error(codes::TOML_SYNTAX, span, "a value is missing after `=`");
    }
    let quotes = [("invalid multi-line literal string", "'''"), ("invalid multi-line basic string", "\"\"\"")];
    if let Some((_, quote)) = quotes.iter().find(|(start, _)| message.starts_with(start) && rest.is_empty())
        && let Some(start) = text.rfind(quote)
    {
        let span = start..start + quote.len();
        return Diagnostic::error(
            codes::TOML_SYNTAX,
            span,
            format!("the text that begins with `{quote}` does not end"),
        );
    }
    if let Some(told) = message.strip_suffix(", expected literal string") {
        return Diagnostic::error(codes::TOML_SYNTAX, span, told).hint("put the text between quotes");
    }
    let hint = message.contains("escaped value").then(|| "in single quotes a backslash is a backslash".to_owned());
    Diagnostic::error(codes::TOML_SYNTAX, span, message).maybe_hint(hint)
}

fn duplicate(error: &Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let key = text.get(span.clone()).unwrap_or_default();
    Diagnostic::error(codes::DUPLICATE_KEY, span, format!("the key `{key}` is given twice")).hint("keep one of the two")
}

/// The parts whose entries are read one by one, so that a long file with many mistakes takes no long time.
const PARTS: [&str; 3] = ["params", "sources", "tasks"];

fn whole(root: Spanned<DeTable<'_>>) -> Node<'_> {
    Spanned::new(root.span(), DeValue::Table(root.into_inner()))
}

fn salvage(mut root: Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Flow {
    let mut salvage = Salvage { diagnostics, lost: Lost::default(), renamed: vec![], taken: vec![] };
    salvage.lose_doubled(&root);
    salvage.lists_for_tables(&mut root);
    let parts = PARTS.map(|part| match tree::table_mut(&mut root, &[part.to_owned()]) {
        Some(table) => std::mem::take(table),
        None => DeTable::new(),
    });
    let mut flow: Flow = salvage.read(root, vec![]).unwrap_or_default();
    let [params, sources, tasks] = parts;
    salvage.entries("params", params, |name, param| drop(flow.params.insert(name, param)));
    salvage.entries("sources", sources, |name, source| drop(flow.sources.insert(name, source)));
    salvage.entries("tasks", tasks, |name, task| drop(flow.tasks.insert(name, task)));
    flow.lost = salvage.lost;
    flow
}

/// Where a table belongs. `*` is any key or item.
const TABLES: [&[&str]; 16] = [
    &["schedule"],
    &["schedule", "dst"],
    &["limits"],
    &["defaults"],
    &["defaults", "retry"],
    &["params", "*"],
    &["sources", "*"],
    &["tasks", "*"],
    &["tasks", "*", "output"],
    &["tasks", "*", "contract"],
    &["tasks", "*", "retry"],
    &["tasks", "*", "checks", "*"],
    &["tasks", "*", "checks", "*", "between"],
    &["tasks", "*", "checks", "*", "accepted"],
    &["tasks", "*", "checks", "*", "references"],
    &["tasks", "*", "checks", "*", "rows"],
];

struct Salvage<'d> {
    diagnostics: &'d mut Vec<Diagnostic>,
    lost: Lost,
    /// Values of keys that were taken for others: that they do not fit is no news.
    renamed: Vec<Span>,
    /// Tables that keys were taken out of, with the key. `None`: an unknown one, which may have been meant as any.
    taken: Vec<(Span, Option<String>)>,
}

impl Salvage<'_> {
    fn entries<T: DeserializeOwned>(
        &mut self,
        part: &str,
        table: DeTable<'_>,
        mut insert: impl FnMut(Spanned<String>, T),
    ) {
        for (key, value) in table {
            let name = Spanned::new(key.span(), key.into_inner().into_owned());
            let path = vec![part.to_owned(), name.get_ref().clone()];
            if let Some(entry) = self.read(value, path) {
                insert(name, entry);
            }
        }
    }

    /// Deserializes `value`, which stands at `base`, mending it until that works or nothing of it is left.
    fn read<T: DeserializeOwned>(&mut self, mut value: Node<'_>, base: Path) -> Option<T> {
        loop {
            let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let span = error.span().unwrap_or_else(|| value.span());
            match Complaint::of(&error) {
                Complaint::UnknownKey { expected } => {
                    let at = tree::find_key(&value, &span)?;
                    self.unknown_keys(&mut value, &base, &at[..at.len() - 1], &expected);
                }
                complaint => {
                    let list = error.message().starts_with("invalid type: sequence");
                    let at = tree::find(&value, &span, list).unwrap_or_default();
                    self.refuse(&complaint, span, &base, &at, &value);
                    if !tree::remove(&mut value, &at) {
                        return None;
                    }
                }
            }
        }
    }

    /// Tells about the value at `at`, unless that is no news, and remembers that it is lost.
    fn refuse(&mut self, complaint: &Complaint, span: Span, base: &[String], at: &[String], root: &Node<'_>) {
        let path: Path = base.iter().chain(at).cloned().collect();
        if !self.excused(&span, &path, complaint) {
            let found = tree::get(root, at).map(Spanned::get_ref);
            self.diagnostics.push(located(complaint.diagnostic(span, &path, found), &path));
        }
        if let Some((key, parent)) = at.split_last() {
            let table = tree::get(root, parent).map_or(0..0, Spanned::span);
            self.taken.push((table, Some(key.clone())));
        }
        self.lost.add(base.iter().cloned().chain(tree::unnumbered(root, at)).collect());
    }

    /// Whether the complaint follows from a mistake that was already told.
    fn excused(&self, span: &Span, path: &[String], complaint: &Complaint) -> bool {
        match complaint {
            Complaint::MissingKey { key } => {
                let taken = |(table, gone): &(Span, Option<String>)| {
                    table == span && gone.as_ref().is_none_or(|gone| gone == key)
                };
                self.taken.iter().any(taken)
            }
            Complaint::Other { .. } => self.lost.touches(&path.iter().map(String::as_str).collect::<Vec<_>>()),
            _ => self.renamed.contains(span),
        }
    }

    /// A table given twice holds the keys of both: nothing can be said about it.
    fn lose_doubled(&mut self, root: &Node<'_>) {
        let paths: Vec<_> = self.diagnostics.iter().filter_map(|doubled| tree::find_key(root, &doubled.span)).collect();
        for (diagnostic, path) in self.diagnostics.iter_mut().zip(&paths) {
            *diagnostic = located(diagnostic.clone(), path);
        }
        paths.into_iter().for_each(|path| self.lost.add(path));
    }

    /// Takes out lists that stand where a table belongs: serde would read them as the table's values in order.
    fn lists_for_tables(&mut self, root: &mut Node<'_>) {
        // From the back, so that the numbers of items stay right.
        for path in tree::lists_at(root, &TABLES).into_iter().rev() {
            let Some(span) = tree::get(root, &path).map(Spanned::span) else { continue };
            self.refuse(&Complaint::WrongType { expected: "a table" }, span, &[], &path, root);
            tree::remove(root, &path);
        }
    }

    /// Tells about every key of the table at `parent` that is not `expected`, and renames or removes it.
    fn unknown_keys(&mut self, root: &mut Node<'_>, base: &[String], parent: &[String], expected: &Expected) {
        let span = tree::get(root, parent).map_or(0..0, Spanned::span);
        let parent_path: Path = base.iter().cloned().chain(tree::unnumbered(root, parent)).collect();
        let path_to = |key: &str| parent_path.iter().cloned().chain([key.to_owned()]).collect::<Path>();
        let Some(table) = tree::table_mut(root, parent) else { return };
        let unknown: Vec<_> = table.keys().filter(|key| !expected.has(key.get_ref())).cloned().collect();
        for key in unknown {
            let Some((old, value)) = table.remove_entry(&key) else { continue };
            let given = old.get_ref().as_ref();
            let message = format!("unknown key `{given}`");
            let diagnostic =
                Diagnostic::error(codes::UNKNOWN_KEY, old.span(), message).maybe_hint(expected.hint(given));
            self.diagnostics.push(located(diagnostic, &path_to(given)));
            match name::nearest(given, expected.keys()) {
                Some(near) if !table.contains_key(near) => {
                    self.renamed.push(value.span());
                    table.insert(Spanned::new(old.span(), near.to_owned().into()), value);
                }
                near => {
                    let gone = [Some(given), near];
                    gone.into_iter().flatten().for_each(|key| self.lost.add(path_to(key)));
                    self.taken.push((span.clone(), None));
                }
            }
        }
    }
}

/// Says which task or source the mistake is in.
fn located(diagnostic: Diagnostic, path: &[String]) -> Diagnostic {
    match path {
        [part, name, ..] if part == "tasks" => diagnostic.task(name),
        [part, name, ..] if part == "sources" => diagnostic.source(name),
        _ => diagnostic,
    }
}
