//! How long to wait before something is tried again.

use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Pauses that grow, up to a limit.
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Pauses(PAUSE_MIN)
    }
}

impl Pauses {
    pub async fn next(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}
