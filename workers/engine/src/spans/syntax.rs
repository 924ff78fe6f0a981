//! Text that is not SQL.

use std::ops::Range;

use datafusion::sql::sqlparser::parser::ParserError;
use flow::{codes, name};

use super::text::Text;
use super::{Problem, between, whole};

/// Words that queries are held together by, for near misses.
const KEYWORDS: [&str; 22] = [
    "select",
    "from",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "using",
    "union",
    "intersect",
    "except",
    "distinct",
    "with",
    "values",
    "between",
];

pub fn problem(error: &ParserError, text: &Text) -> Problem {
    match error {
        ParserError::ParserError(message) => unexpected(message, text),
        ParserError::TokenizerError(message) => unfinished(message, text),
        ParserError::RecursionLimitExceeded => {
            Problem::new(codes::SQL_SYNTAX, whole(text.sql), "the query is nested too deeply")
                .hint("move inner queries into tasks of their own, or name them in a `with`")
        }
    }
}

fn unexpected(message: &str, text: &Text) -> Problem {
    let place = location(message).map(|(line, column)| text.at(line, column));
    let index = place.and_then(|at| text.tokens.iter().position(|(_, range)| range.start == at));
    if let Some((range, keyword)) = misspelt(index, text) {
        let written = &text.sql[range.clone()];
        return Problem::new(codes::SQL_SYNTAX, range, format!("`{written}` is not expected here"))
            .hint(format!("did you mean `{keyword}`?"));
    }
    let end = whole(text.sql).end;
    let span = index.and_then(|index| text.place(index)).unwrap_or_else(|| place.map_or(end..end, |at| at..at));
    let found = match &text.sql[span.clone()] {
        "" => "the end of the text".to_owned(),
        token => format!("`{token}`"),
    };
    let message = match between(message, "Expected: ", ", found") {
        Some(expected) => format!("expected {}, found {found}", quoted(expected)),
        None => super::plain(message.split(" at Line:").next().unwrap_or(message)),
    };
    Problem::new(codes::SQL_SYNTAX, span, message)
}

/// Symbols and keywords in backticks, descriptions as they are.
fn quoted(expected: &str) -> String {
    let described = expected.chars().any(char::is_lowercase);
    if described { expected.to_owned() } else { format!("`{}`", expected.to_lowercase()) }
}

/// The token that the parser did not expect, or the word before it, if it is nearly a keyword: in
/// `select a fro t` the parser takes `fro` for an alias and stumbles over `t`.
fn misspelt(index: Option<usize>, text: &Text) -> Option<(Range<usize>, &'static str)> {
    let index = index.unwrap_or(text.tokens.len());
    [index.checked_sub(1), Some(index)].into_iter().flatten().find_map(|index| {
        let word = text.word(index).filter(|word| word.len() > 2 && !KEYWORDS.contains(&word.as_str()))?;
        let keyword = name::nearest(&word, KEYWORDS).filter(|_| is_plain_word(index, text))?;
        let close = word.len().abs_diff(keyword.len()) <= 1;
        close.then_some((text.place(index)?, keyword))
    })
}

fn is_plain_word(index: usize, text: &Text) -> bool {
    use datafusion::sql::sqlparser::keywords::Keyword;
    use datafusion::sql::sqlparser::tokenizer::Token;
    matches!(&text.tokens[index].0, Token::Word(word) if word.keyword == Keyword::NoKeyword && word.quote_style.is_none())
}

fn unfinished(message: &str, text: &Text) -> Problem {
    let start = location(message).map_or(0, |(line, column)| text.at(line, column));
    let end = whole(text.sql).end;
    let problem = |start: usize, message: &str, hint: &str| {
        Problem::new(codes::SQL_SYNTAX, start.min(end)..end, message).hint(hint)
    };
    if message.contains("comment") {
        let start = text.sql.rfind("/*").unwrap_or(start);
        problem(start, "this comment does not end", "close it with `*/`")
    } else if message.contains("string literal") {
        problem(start, "this string does not end", "close it with `'`; inside a string write `''` for a quote")
    } else if message.contains("close delimiter") {
        problem(start, "this quoted name does not end", "close it with `\"`; strings are written in single quotes")
    } else {
        let message = super::plain(message.split(" at Line:").next().unwrap_or(message));
        Problem::new(codes::SQL_SYNTAX, start.min(end)..end, message)
    }
}

/// Line and column out of `… at Line: 1, Column: 10`.
fn location(message: &str) -> Option<(u64, u64)> {
    let (line, column) = message.rsplit_once(" at Line: ")?.1.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, digits.parse().ok()?))
}
