//! Columns that line up.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::builder::styling::Style;
use unicode_width::UnicodeWidthStr;

use super::style;

/// A table for people. Numbers are aligned to the right, the rest to the left.
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<Cell>>,
}

struct Head {
    text: String,
    right: bool,
}

/// A text with its colour.
#[derive(Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Cell { text: one_line(text.as_ref()), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::styled(text, Style::new())
    }
}

impl Table {
    /// A head that starts with `>` heads a column of numbers.
    pub fn new<'h>(heads: impl IntoIterator<Item = &'h str>) -> Self {
        let head =
            |text: &str| Head { text: text.strip_prefix('>').unwrap_or(text).to_owned(), right: text.starts_with('>') };
        Table { heads: heads.into_iter().map(head).collect(), rows: vec![] }
    }

    /// Adds a row, which has as many cells as there are heads.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table, each line behind `indent`. Columns that are empty in every row are left out.
    pub fn write(&self, out: &mut impl Write, indent: &str) -> io::Result<()> {
        let used: Vec<usize> = (0..self.heads.len()).filter(|&at| self.is_used(at)).collect();
        let width = |&at: &usize| {
            let cells = self.rows.iter().map(|row| row[at].text.width());
            cells.chain([self.heads[at].text.width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = used.iter().map(width).collect();
        let heads: Vec<Cell> = self.heads.iter().map(|head| Cell::styled(&head.text, style::DIM)).collect();
        for row in [&heads].into_iter().chain(&self.rows) {
            let filled = used.iter().rposition(|&at| !row[at].text.is_empty()).map_or(0, |last| last + 1);
            let mut line = indent.to_owned();
            for (place, (&at, &width)) in used.iter().zip(&widths).take(filled).enumerate() {
                let last = place + 1 == filled;
                self.cell(&mut line, &row[at], at, width, last);
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn is_used(&self, at: usize) -> bool {
        self.rows.iter().any(|row| !row[at].text.is_empty())
    }

    fn cell(&self, line: &mut String, cell: &Cell, at: usize, width: usize, last: bool) {
        let pad = " ".repeat(width.saturating_sub(cell.text.width()));
        let (Cell { text, style }, reset) = (cell, cell.style.render_reset());
        let (before, after) = if self.heads[at].right { (pad.as_str(), "") } else { ("", pad.as_str()) };
        let gap = if last { String::new() } else { format!("{after}  ") };
        // Writing to a text cannot fail.
        let _ = write!(line, "{before}{style}{text}{reset}{gap}");
    }
}

/// A cell is one line: whatever would break the table is shown as a space.
fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let mut table = Table::new(["TASK", ">ROWS", "NOTE"]);
        table.row(["späte".into(), "7".into(), "".into()]);
        table.row(["a".into(), "1,200".into(), "".into()]);
        let mut out = vec![];
        table.write(&mut out, "  ").unwrap();
        let plain = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(String::from_utf8(plain).unwrap(), "  TASK    ROWS\n  späte      7\n  a      1,200\n");
    }
}
