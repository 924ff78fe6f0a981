//! From a place in a text value to its place in the file.

use std::ops::Range;

use toml::Spanned;

use crate::diagnostic::Span;

/// The place in `text` of `part`, a byte range of `value`. `None` if `text` does not spell `value` at its span.
pub(super) fn locate(text: &str, value: &Spanned<String>, part: Range<usize>) -> Option<Span> {
    let offset = value.span().start;
    let quoted = text.get(value.span())?;
    let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| quoted.starts_with(quote))?;
    let mut inner = quoted.get(quote.len()..quoted.len().checked_sub(quote.len())?)?;
    let mut start = offset + quote.len();
    if quote.len() == 3 {
        let trimmed = inner.strip_prefix("\r\n").or_else(|| inner.strip_prefix('\n')).unwrap_or(inner);
        start += inner.len() - trimmed.len();
        inner = trimmed;
    }
    let escapes = quote.starts_with('"');
    let (mut raw, mut spoken) = (0, 0);
    let mut place = part.is_empty().then_some(start..start);
    while spoken < part.end {
        let (taken, meant) = unit(inner.get(raw..)?, escapes)?;
        if spoken <= part.start && meant > 0 {
            place = Some(start + raw..start + raw);
        }
        raw += taken;
        spoken += meant;
    }
    (spoken <= value.get_ref().len()).then_some(())?;
    let from = place?.start;
    Some(if part.is_empty() { start + raw..start + raw } else { from..start + raw })
}

/// The bytes that the next unit of a quoted text takes, and those it means.
fn unit(rest: &str, escapes: bool) -> Option<(usize, usize)> {
    let first = rest.chars().next()?;
    if rest.starts_with("\r\n") {
        // Both spellings of a line's end are kept as they are by the parser.
        return Some((2, 2));
    }
    if first != '\\' || !escapes {
        return Some((first.len_utf8(), first.len_utf8()));
    }
    let digits = match rest[1..].chars().next()? {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        // A backslash at the end of a line eats the white space that follows.
        ' ' | '\t' | '\r' | '\n' => {
            return Some((rest.len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len(), 0));
        }
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(text: &'t str, part: &str) -> Option<&'t str> {
        let table = toml::de::DeTable::parse(text).unwrap();
        let value = table.get_ref().get("a").unwrap();
        let value = Spanned::new(value.span(), value.get_ref().as_str().unwrap().to_owned());
        let at = value.get_ref().find(part).unwrap();
        locate(text, &value, at..at + part.len()).map(|span| &text[span])
    }

    #[test]
    fn quotes_and_escapes_are_passed() {
        assert_eq!(found("a = 'select x'", "x"), Some("x"));
        assert_eq!(found("a = \"select x\"", "x"), Some("x"));
        assert_eq!(found("a = '''\nselect\n x'''", "x"), Some("x"));
        assert_eq!(found("a = '''\r\nselect\r\n x'''", "x"), Some("x"));
        assert_eq!(found("a = \"\"\"\nselect \\\n    é\\t x\"\"\"", "x"), Some("x"));
        assert_eq!(found("a = \"\\\"\\u00e9\\x41\\U0001F600 x\"", "x"), Some("x"));
        assert_eq!(found("a = \"\\u00e9\"", "é"), Some("\\u00e9"));
    }

    #[test]
    fn a_text_that_is_another_has_no_places() {
        let value = Spanned::new(0..5, "select".to_owned());
        assert_eq!(locate("name = 1", &value, 2..3), None);
        assert_eq!(locate("'''", &Spanned::new(0..3, String::new()), 0..1), None);
        assert_eq!(locate("''", &Spanned::new(0..2, String::new()), 0..0), Some(1..1));
    }
}
