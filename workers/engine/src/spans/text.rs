//! A query's text with its tokens and its syntax tree.

use std::ops::Range;

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{self, Location, Token, Tokenizer};

use crate::sql::{byte, bytes};
use crate::walk;

pub struct Text<'a> {
    pub sql: &'a str,
    /// All tokens but white space and comments, as far as the text can be read.
    pub tokens: Vec<(Token, Range<usize>)>,
}

impl<'a> Text<'a> {
    pub fn new(sql: &'a str) -> Text<'a> {
        let mut found = Vec::new();
        // What could be read before an error is what there is to search.
        let _ = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location_into_buf(&mut found);
        let meant = found.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        let tokens = meant.map(|token| (token.token, bytes(sql, token.span))).collect();
        Text { sql, tokens }
    }

    pub fn range(&self, span: Span) -> Range<usize> {
        let location = |at: datafusion::common::Location| Location { line: at.line, column: at.column };
        bytes(self.sql, tokenizer::Span { start: location(span.start), end: location(span.end) })
    }

    pub fn at(&self, line: u64, column: u64) -> usize {
        byte(self.sql, Location { line, column })
    }

    /// Where `name` is written as an identifier, in order: as indices of tokens.
    pub fn words(&self, name: &str) -> Vec<usize> {
        (0..self.tokens.len()).filter(|&index| self.word(index).is_some_and(|word| word == name)).collect()
    }

    /// The identifier that a token is, as the planner reads it.
    pub fn word(&self, index: usize) -> Option<String> {
        match &self.tokens.get(index)?.0 {
            Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
            Token::Word(word) => Some(word.value.to_lowercase()),
            _ => None,
        }
    }

    pub fn is(&self, index: usize, token: &Token) -> bool {
        self.tokens.get(index).is_some_and(|(found, _)| found == token)
    }

    pub fn place(&self, index: usize) -> Option<Range<usize>> {
        self.tokens.get(index).map(|(_, range)| range.clone())
    }

    /// The first place of an identifier.
    pub fn first(&self, name: &str) -> Option<Range<usize>> {
        self.place(*self.words(name).first()?)
    }

    /// The last identifier within a range: the column of `table.column`.
    pub fn last_word(&self, within: &Range<usize>) -> Option<Range<usize>> {
        let inside = |range: &Range<usize>| within.start <= range.start && range.end <= within.end;
        let mut words = self.tokens.iter().filter(|(token, range)| matches!(token, Token::Word(_)) && inside(range));
        words.next_back().map(|(_, range)| range.clone())
    }

    /// The place of the first identifier that a message mentions, quoted or qualified or as it is.
    pub fn mentioned(&self, message: &str) -> Option<Range<usize>> {
        let named = |c: char| !(c.is_alphanumeric() || c == '_');
        let quoted = message.split(['\'', '"', '`']).skip(1).step_by(2);
        quoted.flat_map(|part| part.split(named).rev()).find_map(|name| self.first(name))
    }

    /// The stretch that covers the expressions for which `wanted` holds, none of them inside another.
    pub fn exprs(&self, wanted: impl Fn(&ast::Expr) -> bool) -> Option<Range<usize>> {
        self.expr_ranges(wanted).into_iter().reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
    }

    pub fn expr_ranges(&self, wanted: impl Fn(&ast::Expr) -> bool) -> Vec<Range<usize>> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, self.sql).unwrap_or_default();
        let mut ranges = Vec::new();
        walk::exprs(&statements, &mut |expr| {
            if wanted(expr) {
                ranges.push(self.closed(bytes(self.sql, expr.span())));
            }
        });
        ranges
    }

    /// A range widened by the brackets that close what it opens; the tree leaves some of them out.
    fn closed(&self, range: Range<usize>) -> Range<usize> {
        let (mut depth, mut end) = (0_i32, range.end);
        for (token, place) in self.tokens.iter().filter(|(_, place)| place.start >= range.start) {
            if place.start >= range.end && depth <= 0 {
                break;
            }
            depth += match token {
                Token::LParen | Token::LBracket => 1,
                Token::RParen | Token::RBracket => -1,
                _ => 0,
            };
            end = end.max(place.end);
        }
        range.start..end
    }
}
