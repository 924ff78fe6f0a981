//! What is wrong with a flow, where, and what to do about it.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// A place in the flow file: byte offsets into its text, half open.
pub type Span = Range<usize>;

/// Whether a flow with this mistake compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not.
    Error,
    /// It does, but its author should know.
    Warning,
}

/// A text that a flow file names, such as a task's `sql_file`.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherText {
    /// As the user would open it.
    pub path: String,
    pub text: String,
    /// Where the flow file names it.
    pub named: Span,
}

/// One mistake in a flow. Its `message` is a lowercase fragment that states the fact, its `hint` says
/// what to do (the near miss, the path of the cycle, the columns that do exist).
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// A stable code such as `E503` from [`crate::codes`], explained by `flowctl explain`.
    pub code: &'static str,
    /// Whether the flow compiles all the same.
    pub severity: Severity,
    /// The fact, as a lowercase fragment.
    pub message: String,
    /// What to do, if there is something to say.
    pub hint: Option<String>,
    /// Where, in the text of the flow file or in that of `elsewhere`.
    pub span: Span,
    /// The text that the place is in, if that is not the flow file.
    pub elsewhere: Option<Arc<OtherText>>,
    /// The task that the mistake is in, if it is in one.
    pub task: Option<String>,
    /// The source that the mistake is in, if it is in one.
    pub source: Option<String>,
}

impl Diagnostic {
    /// An error at `span` of the flow file.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        let message = one_line(message.into());
        Diagnostic {
            code,
            severity: Severity::Error,
            message,
            hint: None,
            span,
            elsewhere: None,
            task: None,
            source: None,
        }
    }

    /// A warning at `span` of the flow file.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(hint.into()));
        self
    }

    /// Says what to do, if there is anything to say.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(one_line).or(self.hint);
        self
    }

    /// Says which task the mistake is in.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>) -> Self {
        self.task = Some(task.into());
        self
    }

    /// Says which source the mistake is in.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that the place is in another text than the flow file's.
    #[must_use]
    pub fn elsewhere(mut self, text: OtherText) -> Self {
        self.elsewhere = Some(Arc::new(text));
        self
    }

    /// Sorts by place in the flow file; what is elsewhere stands where the other text is named.
    pub fn order(&self) -> (usize, usize, usize) {
        let at = self.elsewhere.as_ref().map_or(self.span.start, |other| other.named.start);
        (at, self.span.start, self.span.end)
    }

    /// Whether the flow does not compile because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The entry of `check --json`, with `file` as it was given and `lines` made of its text. A mistake elsewhere
    /// names the other file.
    pub fn json(&self, file: &str, lines: &Lines) -> serde_json::Value {
        let other = self.elsewhere.as_ref().map(|other| (other.path.as_str(), Lines::new(&other.text)));
        let (file, lines) = other.as_ref().map_or((file, lines), |(path, lines)| (*path, lines));
        let (start, end) = (lines.position(self.span.start), lines.position(self.span.end.max(self.span.start)));
        serde_json::json!({
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "file": file,
            "line": start.line,
            "column": start.column,
            "end_line": end.line,
            "end_column": end.column,
            "task": self.task,
        })
    }
}

/// Messages quote texts of the file, which may hold anything: line ends and other control characters are escaped.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// A place as an editor shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in Unicode characters. The end of a span is the column after its last character.
    pub column: usize,
}

/// Where the lines of a text begin, so that many places are found quickly.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`, which end with `\n` or `\r\n`.
    pub fn new(text: &'t str) -> Self {
        // A byte order mark is no character of the first line.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let others = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(first).chain(others).collect() }
    }

    /// The place of a byte offset. One beyond the text is its end, one inside a character is the character's.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts[line - 1];
        Position { line, column: self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1) }
    }

    /// The text of a line, counted from 1, without its end. `None` beyond the last.
    pub fn line(&self, line: usize) -> Option<&'t str> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end)?;
        Some(text.strip_suffix('\r').unwrap_or(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize) -> (usize, usize) {
        let position = Lines::new(text).position(offset);
        (position.line, position.column)
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "é = \"日本\"\r\n\tb = 1\n";
        assert_eq!(at(text, 0), (1, 1));
        assert_eq!(at(text, text.find('日').unwrap()), (1, 6));
        assert_eq!(at(text, text.find('本').unwrap() + 1), (1, 7), "inside a character is the character's place");
        assert_eq!(at(text, text.find('b').unwrap()), (2, 2), "a tab is one character");
        assert_eq!(at(text, text.len()), (3, 1));
        assert_eq!(at(text, text.len() + 100), (3, 1));
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        assert_eq!(at("\u{feff}name = 1", 3), (1, 1));
        assert_eq!(at("\u{feff}name = 1", 0), (1, 1));
        assert_eq!(at("\u{feff}a\nb", 5), (2, 1));
    }

    #[test]
    fn an_empty_text_has_one_place() {
        assert_eq!(at("", 0), (1, 1));
    }

    #[test]
    fn lines_come_without_their_ends() {
        let lines = Lines::new("\u{feff}a\r\nb\n");
        assert_eq!([lines.line(0), lines.line(1), lines.line(2)], [None, Some("a"), Some("b")]);
        assert_eq!([lines.line(3), lines.line(4)], [Some(""), None]);
    }

    #[test]
    fn json_has_the_agreed_keys() {
        let text = "name = 'x'\nbad = 1\n";
        let json = Diagnostic::error("E102", 11..14, "unknown key `bad`").task("t").json("f.toml", &Lines::new(text));
        let expected = serde_json::json!({
            "code": "E102", "severity": "error", "message": "unknown key `bad`", "hint": null, "file": "f.toml",
            "line": 2, "column": 1, "end_line": 2, "end_column": 4, "task": "t",
        });
        assert_eq!(json, expected);
    }
}
