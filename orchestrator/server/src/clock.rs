//! The time, for a core that never reads it.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use flow::Time;
use tokio::time::Instant;

/// A wall clock that never goes back. When the machine's clock is set back, time goes on from where it was;
/// when it jumps ahead, as after a suspend, this one follows.
#[derive(Debug)]
pub struct Clock {
    anchor: Mutex<(Instant, Time)>,
    follows_wall: bool,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock { anchor: Mutex::new((Instant::now(), wall_ms())), follows_wall: true }
    }

    /// A clock that shows `start` now and goes as tokio's does, which tests may pause.
    pub fn starting_at(start: Time) -> Self {
        Clock { anchor: Mutex::new((Instant::now(), start)), follows_wall: false }
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> Time {
        let mut anchor = self.anchor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let steady = anchor.1.saturating_add(millis(anchor.0.elapsed()));
        let wall = if self.follows_wall { wall_ms() } else { steady };
        if wall > steady {
            *anchor = (Instant::now(), wall);
        }
        wall.max(steady)
    }

    /// Waits until it is `time`.
    pub async fn until(&self, time: Time) {
        let left_ms = time.saturating_sub(self.now());
        if left_ms > 0 {
            tokio::time::sleep(Duration::from_millis(left_ms)).await;
        }
    }
}

fn wall_ms() -> Time {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(millis).unwrap_or_default()
}

fn millis(duration: Duration) -> Time {
    u64::try_from(duration.as_millis()).unwrap_or(Time::MAX)
}
