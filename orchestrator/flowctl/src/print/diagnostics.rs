//! Diagnostics as rustc shows them.

use std::io::{self, Write};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use flow::diagnostic::{Diagnostic, Severity, Span};

/// Writes each diagnostic with the lines it points at. `file` is shown as it was given.
pub fn write(out: &mut impl Write, file: &str, text: &str, found: &[Diagnostic]) -> io::Result<()> {
    found.iter().try_for_each(|diagnostic| {
        let other = diagnostic.elsewhere.as_ref().map(|other| (other.path.as_str(), other.text.as_str()));
        let (file, text) = other.unwrap_or((file, text));
        writeln!(out, "{}\n", render(file, text, diagnostic))
    })
}

fn render(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let annotation = AnnotationKind::Primary.span(within(text, &diagnostic.span));
    let snippet = Snippet::source(text).path(file).annotation(annotation);
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code)).element(snippet);
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint));
    }
    Renderer::styled().decor_style(DecorStyle::Ascii).render(&[group])
}

/// The span cut to the text and to whole characters.
fn within(text: &str, span: &Span) -> Span {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    start..text.ceil_char_boundary(span.end.clamp(start, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, diagnostic: Diagnostic) -> String {
        let mut out = vec![];
        write(&mut out, "f.toml", text, &[diagnostic]).unwrap();
        String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap()
    }

    #[test]
    fn the_place_is_shown_with_its_line() {
        let text = "name = 'a'\nnam = 'b'\n";
        let shown = plain(text, Diagnostic::error("E102", 11..14, "unknown key `nam`").hint("did you mean `name`?"));
        let expected = "error[E102]: unknown key `nam`\n --> f.toml:2:1\n  |\n2 | nam = 'b'\n  | ^^^\n  |\n  = help: did you mean `name`?\n\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn spans_outside_the_text_do_no_harm() {
        let shown = plain("ä\u{1b}[31m", Diagnostic::error("E101", 1..900, "no"));
        assert!(shown.contains("f.toml:1:1"), "{shown}");
    }
}
