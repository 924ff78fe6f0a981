//! Diagnostics: as rustc shows them, and as JSON.

use std::borrow::Cow;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use flow::diagnostic::{Diagnostic, Severity, Span};
use serde::Serialize;

/// A diagnostic in `check --json`. Lines and columns count from 1, columns in characters; the end is
/// the place behind the last character.
#[derive(Serialize)]
pub struct Located<'a> {
    code: &'a str,
    severity: Severity,
    message: &'a str,
    hint: Option<&'a str>,
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    task: Option<&'a str>,
}

impl<'a> Located<'a> {
    pub fn new(file: &'a str, text: &str, diagnostic: &'a Diagnostic) -> Self {
        let span = within(text, &diagnostic.span);
        let ((line, column), (end_line, end_column)) = (position(text, span.start), position(text, span.end));
        Located {
            code: diagnostic.code,
            severity: diagnostic.severity,
            message: &diagnostic.message,
            hint: diagnostic.hint.as_deref(),
            file,
            line,
            column,
            end_line,
            end_column,
            task: diagnostic.task.as_deref(),
        }
    }
}

/// The diagnostic with the lines it points at, coloured for a terminal.
pub fn render(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let span = within(text, &diagnostic.span);
    let snippet = Snippet::source(visible(text)).path(file).annotation(AnnotationKind::Primary.span(span));
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code)).element(snippet);
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint));
    }
    Renderer::styled().decor_style(DecorStyle::Ascii).render(&[group])
}

/// Control characters would disturb the terminal; a stand-in of one byte keeps every offset.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t');
    match text.contains(hidden) {
        true => Cow::Owned(text.replace(hidden, "?")),
        false => Cow::Borrowed(text),
    }
}

/// The span cut to the text and to whole characters.
fn within(text: &str, span: &Span) -> Span {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    start..text.ceil_char_boundary(span.end.clamp(start, text.len()))
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "ä = 1\nbö = 'x'\n";
        let start = text.find('x').unwrap();
        let diagnostic = Diagnostic::error("E101", start..start + 1, "no");
        let at = Located::new("f.toml", text, &diagnostic);
        assert_eq!((at.line, at.column, at.end_line, at.end_column), (2, 7, 2, 8));
    }

    #[test]
    fn spans_outside_the_text_do_no_harm() {
        let diagnostic = Diagnostic::error("E101", 1..900, "no").hint("yes");
        let text = "ä\u{1b}[31m";
        assert_eq!(Located::new("f.toml", text, &diagnostic).column, 1);
        assert!(!render("f.toml", text, &diagnostic).contains("\u{1b}[31m"));
    }
}
