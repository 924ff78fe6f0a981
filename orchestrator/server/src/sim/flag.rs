//! Something that is so or not, for which many may wait. They are woken in the order in which they came, which tokio's
//! own `watch` leaves to chance.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub struct Flag {
    on: AtomicBool,
    changed: Notify,
}

impl Flag {
    pub fn get(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Waits until it is so, or is not so.
    pub async fn until(&self, on: bool) {
        loop {
            let changed = self.changed.notified();
            if self.get() == on {
                return;
            }
            changed.await;
        }
    }
}
