//! What a command prints becomes lines of the attempt's log while it runs.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use worker::{Log, Stream};

/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// How many lines of stderr a failure quotes.
const TAIL_LINES: usize = 5;
/// How much of a line a failure quotes.
const TAIL_CHARS: usize = 400;
/// How long what is still in a pipe may take to be read once nobody of ours writes to it.
const DRAINING: Duration = Duration::from_millis(500);

/// Both outputs of a command on their way into the log.
pub struct Capture {
    pumps: JoinSet<()>,
    closing: watch::Sender<bool>,
    tail: Tail,
}

/// The last lines of stderr.
type Tail = Arc<Mutex<VecDeque<String>>>;

impl Capture {
    pub fn start(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, log: &Log) -> Capture {
        let (closing, closed) = watch::channel(false);
        let mut capture = Capture { pumps: JoinSet::new(), closing, tail: Tail::default() };
        if let Some(stdout) = stdout {
            capture.pumps.spawn(pump(stdout, Stream::Stdout, log.clone(), None, closed.clone()));
        }
        if let Some(stderr) = stderr {
            let tail = Some(capture.tail.clone());
            capture.pumps.spawn(pump(stderr, Stream::Stderr, log.clone(), tail, closed));
        }
        capture
    }

    /// Waits until every process that held an end of the pipes has let go of it.
    pub async fn finished(&mut self) {
        while self.pumps.join_next().await.is_some() {}
    }

    /// Reads what is there, waits no longer for processes that got away with an end of a pipe, and gives
    /// the last lines of stderr.
    pub async fn close(mut self) -> Vec<String> {
        if timeout(DRAINING, self.finished()).await.is_err() {
            self.closing.send_replace(true);
            let _ = timeout(DRAINING, self.finished()).await;
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut *tail).into()
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    stream: Stream,
    log: Log,
    tail: Option<Tail>,
    mut closed: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; LINE_BYTES_MAX];
    let mut lines = Lines::default();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = closed.wait_for(|closed| *closed) => 0,
        };
        let texts = if read == 0 { lines.rest() } else { lines.feed(&buffer[..read]) };
        if !texts.is_empty() {
            tail.iter().for_each(|tail| remember(tail, &texts));
            log.lines(stream, texts).await;
        }
        if read == 0 {
            return;
        }
    }
}

fn remember(tail: &Tail, texts: &[String]) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    for text in texts.iter().filter(|text| !text.trim().is_empty()) {
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text.chars().take(TAIL_CHARS).collect());
    }
}

/// Cuts bytes into lines. Holds no more than one line of the greatest length.
#[derive(Default)]
struct Lines {
    held: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut texts = vec![];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(piece);
            let ended = self.held.pop_if(|byte| *byte == b'\n').is_some();
            while self.held.len() > LINE_BYTES_MAX {
                let rest = self.held.split_off(character_start(&self.held, LINE_BYTES_MAX));
                texts.push(text(&self.held));
                self.held = rest;
            }
            if ended {
                self.held.pop_if(|byte| *byte == b'\r');
                texts.push(text(&self.held));
                self.held.clear();
            }
        }
        texts
    }

    /// The last line if it has no end.
    fn rest(&mut self) -> Vec<String> {
        let held = take(&mut self.held);
        if held.is_empty() { vec![] } else { vec![text(&held)] }
    }
}

/// The start of the UTF-8 character that the byte at `at` belongs to, as far as these bytes are UTF-8.
fn character_start(bytes: &[u8], at: usize) -> usize {
    (at - 3..=at).rev().find(|at| bytes[*at] & 0b1100_0000 != 0b1000_0000).unwrap_or(at)
}

/// What is no UTF-8, and NUL which some databases refuse, becomes U+FFFD.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut texts: Vec<String> = pieces.iter().flat_map(|piece| lines.feed(piece)).collect();
        texts.extend(lines.rest());
        texts
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let whole = b"one\r\n\ntwo\nrest";
        for at in 0..whole.len() {
            assert_eq!(cut(&[&whole[..at], &whole[at..]]), ["one", "", "two", "rest"], "cut at {at}");
        }
        assert!(cut(&[b""]).is_empty());
        assert_eq!(cut(&[b"ended\n"]), ["ended"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(cut(&[b"a\xffb\0c\n"]), ["a\u{fffd}b\u{fffd}c"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let long = format!("x{}\n", "é".repeat(LINE_BYTES_MAX));
        let texts = cut(&[long.as_bytes()]);
        assert_eq!(texts.len(), 3);
        assert!(texts.iter().all(|text| text.len() <= LINE_BYTES_MAX && !text.contains('\u{fffd}')));
        assert_eq!(texts.concat(), long.trim_end());
        let binary = [0x80; 3 * LINE_BYTES_MAX];
        assert_eq!(cut(&[&binary]).len(), 3);
    }
}
