//! `{month}` in paths, commands and the names of artifacts. `{{` and `}}` are literal braces.

use std::ops::Range;

use crate::name;
use crate::value::Params;

/// A piece of a text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text to be kept, without its doubled braces.
    Text(&'t str),
    /// The name between braces, with the place of both in the text.
    Name(&'t str, Range<usize>),
    /// A brace that begins or ends nothing, or has no name in it, with the place of what is wrong.
    Stray(Range<usize>),
}

/// Takes a text apart.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut at) = (vec![], 0);
    while let Some(found) = text[at..].find(['{', '}']).map(|brace| at + brace) {
        if found > at {
            pieces.push(Piece::Text(&text[at..found]));
        }
        let rest = &text[found..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            pieces.push(Piece::Text(&rest[..1]));
            at = found + 2;
            continue;
        }
        let inner = rest.strip_prefix('{').and_then(|rest| Some(&rest[..rest.find(['{', '}'])?]));
        let closed = inner.filter(|inner| rest[1 + inner.len()..].starts_with('}'));
        at = found + closed.map_or(1, |inner| inner.len() + 2);
        pieces.push(match closed {
            Some(inner) if name::problem(inner, false).is_none() => Piece::Name(inner, found..at),
            _ => Piece::Stray(found..at),
        });
    }
    if at < text.len() {
        pieces.push(Piece::Text(&text[at..]));
    }
    pieces
}

/// Puts the values of parameters in place of their names.
///
/// # Errors
/// Says which placeholder has no value, or which brace is no placeholder, as a lowercase fragment.
pub fn fill(text: &str, params: &Params) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(kept) => filled.push_str(kept),
            Piece::Name(name, _) => match params.get(name) {
                Some(value) => filled.push_str(&value.to_string()),
                None => return Err(format!("the parameter `{name}` of `{text}` has no value")),
            },
            Piece::Stray(range) => return Err(format!("`{}` in `{text}` is no placeholder", &text[range])),
        }
    }
    Ok(filled)
}

/// The parameters that a text names.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Name(name, _) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn filled(text: &str) -> Result<String, String> {
        let month = ("month".to_owned(), Value::String("2013-01".to_owned()));
        let day = ("day".to_owned(), Value::Date(0));
        fill(text, &Params::from([month, day]))
    }

    #[test]
    fn names_become_values() {
        assert_eq!(filled("in/{month}.csv.gz"), Ok("in/2013-01.csv.gz".to_owned()));
        assert_eq!(filled("{month}{day}"), Ok("2013-011970-01-01".to_owned()));
        assert_eq!(filled("é/{month}/日"), Ok("é/2013-01/日".to_owned()));
        assert_eq!(filled(""), Ok(String::new()));
    }

    #[test]
    fn doubled_braces_are_literal() {
        assert_eq!(filled("awk '{{print $1}}'"), Ok("awk '{print $1}'".to_owned()));
        assert_eq!(filled("{{month}}"), Ok("{month}".to_owned()));
        assert_eq!(filled("{{{month}}}"), Ok("{2013-01}".to_owned()));
    }

    #[test]
    fn stray_braces_and_unknown_names_are_refused() {
        for wrong in ["{", "}", "{}", "{ month }", "{month", "month}", "{a,b}", "{year}", "{month}}", "{{month}"] {
            assert!(filled(wrong).is_err(), "{wrong} became {:?}", filled(wrong));
        }
        assert_eq!(pieces("x{y{z}"), [Piece::Text("x"), Piece::Stray(1..2), Piece::Text("y"), Piece::Name("z", 3..6)]);
    }
}
