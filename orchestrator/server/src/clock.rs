//! The time, for a core that never reads it.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use flow::Time;
use tokio::time::Instant;

/// A wall clock that never goes back. When the machine's clock is set back, time goes on from where it was;
/// when it jumps ahead, as after a suspend, this one follows.
pub struct Clock {
    anchor: Mutex<(Instant, Time)>,
    /// What the wall clock shows.
    wall: Box<dyn Fn() -> Time + Send + Sync>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock::following(wall_ms)
    }

    /// A clock that follows `wall`, which shows milliseconds since the epoch.
    pub fn following(wall: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Clock { anchor: Mutex::new((Instant::now(), wall())), wall: Box::new(wall) }
    }

    /// A clock that shows `start` now and goes as tokio's does, which tests may pause.
    pub fn starting_at(start: Time) -> Self {
        let begin = Instant::now();
        Clock::following(move || start.saturating_add(millis(begin.elapsed())))
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> Time {
        let mut anchor = self.anchor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let steady = anchor.1.saturating_add(millis(anchor.0.elapsed()));
        let wall = (self.wall)();
        if wall > steady {
            *anchor = (Instant::now(), wall);
        }
        if planted!(TimeGoesBack) { wall } else { wall.max(steady) }
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
