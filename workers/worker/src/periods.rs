//! How long a worker waits for what.

use std::time::Duration;

/// How long a claim may wait at the server.
pub const CLAIM_WAIT: Duration = Duration::from_secs(20);
/// How long any other request may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often a worker says that it is there, until the server tells.
pub const BEAT_FIRST: Duration = Duration::from_secs(1);
/// Between an answer and the next time that it says so.
pub const BEAT_MIN: Duration = Duration::from_millis(100);
/// How long the answer to that may be under way.
pub const ANSWER: Duration = Duration::from_secs(2);
/// How long a server may give no answer before the worker tries another one: by then others have taken its runs over.
pub const MOVE_ON: Duration = Duration::from_secs(3);
