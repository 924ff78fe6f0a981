//! What an attempt says, line by line.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flow::wire::{Assignment, Line, Stream};

use crate::Link;

/// The log of one attempt.
#[derive(Clone)]
pub struct Log {
    link: Arc<dyn Link>,
    assignment: Arc<Assignment>,
}

impl Log {
    pub fn new(link: Arc<dyn Link>, assignment: Arc<Assignment>) -> Self {
        Log { link, assignment }
    }

    /// Adds what we have to say ourselves.
    pub async fn say(&self, text: impl Into<String>) {
        self.lines(Stream::Flowctl, vec![text.into()]).await;
    }

    /// Adds lines that arrived together. Waits while there is no room for them.
    pub async fn lines(&self, stream: Stream, texts: Vec<String>) {
        let at = now();
        let line = |text| Line {
            run_id: self.assignment.run_id.clone(),
            task: self.assignment.plan.tasks[self.assignment.task].name.clone(),
            attempt: self.assignment.attempt,
            at,
            stream,
            text,
        };
        self.link.log(texts.into_iter().map(line).collect()).await;
    }
}

fn now() -> flow::Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_millis().try_into().unwrap_or(flow::Time::MAX)
}
