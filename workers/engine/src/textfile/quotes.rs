//! Quotes that are never closed. To a reader of CSV the rest of the file is then one value, and its rows are lost.

use std::io::{self, BufReader, ErrorKind, Read};

use memchr::memchr;

use crate::place::Place;

/// CSV text whose end is an error while a quote is open.
pub(super) struct Quotes<R> {
    text: R,
    file: Place,
    delimiter: u8,
    /// Bytes of the text read so far, and the last of them.
    read: u64,
    last: Option<u8>,
    quote: Quote,
}

/// Where the text stands. Offsets are those of the quote that opened the value.
#[derive(Clone, Copy)]
enum Quote {
    Closed,
    Open(u64),
    /// A quote was the last byte in an open value: another one makes it part of the value, anything else its end.
    Closing(u64),
}

impl<R: Read> Quotes<R> {
    pub fn new(text: R, file: Place, delimiter: u8) -> Self {
        Quotes { text, file, delimiter, read: 0, last: None, quote: Quote::Closed }
    }

    fn follow(&mut self, chunk: &[u8]) {
        let mut at = 0;
        if let (Quote::Closing(opened), Some(first)) = (self.quote, chunk.first()) {
            (self.quote, at) = if *first == b'"' { (Quote::Open(opened), 1) } else { (Quote::Closed, 0) };
        }
        while let Some(found) = memchr(b'"', &chunk[at..]) {
            let quote = at + found;
            at = quote + 1;
            self.quote = match (self.quote, chunk.get(at)) {
                (Quote::Open(_), Some(b'"')) => {
                    at += 1;
                    self.quote
                }
                (Quote::Open(_), Some(_)) => Quote::Closed,
                (Quote::Open(opened), None) => Quote::Closing(opened),
                _ if self.begins_value(chunk, quote) => Quote::Open(self.read + quote as u64),
                _ => Quote::Closed,
            };
        }
        self.read += chunk.len() as u64;
        self.last = chunk.last().copied().or(self.last);
    }

    /// Whether a value begins at `at`: elsewhere a quote is a character like others.
    fn begins_value(&self, chunk: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).map_or(self.last, |before| Some(chunk[before]));
        let after_mark = self.read + at as u64 == 3 && before == Some(0xbf);
        after_mark || before.is_none_or(|before| before == self.delimiter || before == b'\n' || before == b'\r')
    }

    /// The line of a byte of the text, from 1.
    fn line(&self, offset: u64) -> io::Result<u64> {
        let mut text = BufReader::new(super::text(&self.file)?.take(offset));
        let (mut chunk, mut line) = (vec![0; 64 << 10], 1);
        loop {
            let count = text.read(&mut chunk)?;
            if count == 0 {
                return Ok(line);
            }
            line += memchr::memchr_iter(b'\n', &chunk[..count]).count() as u64;
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        if count > 0 {
            self.follow(&buffer[..count]);
        } else if let (Quote::Open(opened), false) = (self.quote, buffer.is_empty()) {
            let line = self.line(opened)?;
            return Err(io::Error::new(ErrorKind::InvalidData, format!("the quote on line {line} is never closed")));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reading `text` in chunks of `size` bytes says.
    fn read(text: &str, size: usize) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut quotes = Quotes::new(text.as_bytes(), Place::File(file.path().to_path_buf()), b',');
        let mut chunk = vec![0; size];
        while quotes.read(&mut chunk).map_err(|error| error.to_string())? > 0 {}
        Ok(())
    }

    #[test]
    fn an_open_quote_at_the_end_is_told_with_its_line() {
        for size in 1..8 {
            let open = |line| Err(format!("the quote on line {line} is never closed"));
            assert_eq!(read("a,b\n1,\"x\n2,y\n", size), open(2));
            assert_eq!(read("\"", size), open(1));
            assert_eq!(read("a\n\"x\"\n\"\"\"\n", size), open(3), "a doubled quote is one character");
            assert_eq!(read("\u{feff}\"a\n", size), open(1), "a byte order mark is no part of the value");
        }
    }

    #[test]
    fn text_whose_quotes_are_closed_is_fine() {
        for size in 1..8 {
            for text in
                ["", "a,b\n\"x\ny\",2\n", "5\" tape,1\n", "\"\"\"\",\"\"\n", "\"a\"", "a,\"b\"\"\"\r\n\"c\",d\r\n"]
            {
                assert_eq!(read(text, size), Ok(()), "{text:?}");
            }
        }
    }
}
