//! Sources: what of them can be judged by their text alone.

use super::{placeholders, types};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::spec::{Flow, Format, Source};

pub(super) fn check(flow: &Flow, found: &mut Vec<Diagnostic>) {
    for (name, source) in flow.sources_in_order() {
        let from = found.len();
        path(flow, name, source.get_ref(), found);
        options(flow, name, source.get_ref(), found);
        types::check(&source.get_ref().columns, found);
        found[from..].iter_mut().for_each(|diagnostic| diagnostic.source = Some(name.to_owned()));
    }
}

fn path(flow: &Flow, name: &str, source: &Source, found: &mut Vec<Diagnostic>) {
    let path = &source.path;
    if path.get_ref().trim().is_empty() {
        found.push(Diagnostic::error(codes::SOURCE_OPTION, path.span(), "the path of a source must not be empty"));
        return;
    }
    placeholders(flow, path, found);
    if source.format().is_none() && !flow.lost.covers(&["sources", name, "format"]) {
        let message = format!("the name `{}` does not tell the format of source `{name}`", path.get_ref());
        let words = name::list(Format::ALL.map(Format::word)).unwrap_or_default();
        found.push(
            Diagnostic::error(codes::SOURCE_FORMAT, path.span(), message).hint(format!("add `format`: one of {words}")),
        );
    }
}

fn options(flow: &Flow, name: &str, source: &Source, found: &mut Vec<Diagnostic>) {
    let error = |span, message: String| Diagnostic::error(codes::SOURCE_OPTION, span, message);
    if let Some(format) = source.format().filter(|&format| format != Format::Csv) {
        let null = source.null.as_ref().map(|null| ("null", null.span()));
        let delimiter = source.delimiter.as_ref().map(|delimiter| ("delimiter", delimiter.span()));
        let header = source.header.as_ref().map(|header| ("header", header.span()));
        for (key, span) in [null, delimiter, header].into_iter().flatten() {
            let message = format!("`{key}` is for the format `csv`, and this source is `{}`", format.word());
            found.push(error(span, message).hint(format!("remove `{key}`")));
        }
    }
    if let Some(delimiter) = &source.delimiter
        && !matches!(delimiter.get_ref().as_bytes(), [byte] if byte.is_ascii() && !b"\r\n\"".contains(byte))
    {
        let message = "a delimiter must be one ASCII character, and no quote or line end";
        found.push(error(delimiter.span(), message.to_owned()));
    }
    if source.strict && source.columns.is_empty() && !flow.lost.touches(&["sources", name, "columns"]) {
        let message = format!("source `{name}` is strict and lists no `columns`");
        found.push(error(source.path.span(), message).hint("list all its columns, or remove `strict`"));
    }
}
