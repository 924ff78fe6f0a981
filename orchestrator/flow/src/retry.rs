//! How long a failed task waits before it is tried again.

use crate::plan::Retry;
use crate::spec::Backoff;

/// The delay in milliseconds after the `failures`-th failure (from 1), never above `delay_max_ms`.
///
/// With jitter it is drawn from the upper half of the delay. The draw follows from `seed` alone, so that a
/// replayed journal gives the same instant.
pub fn delay_ms(retry: &Retry, failures: u32, seed: u64) -> u64 {
    let delay_ms = match retry.backoff {
        Backoff::Constant => retry.delay_ms,
        Backoff::Linear => retry.delay_ms.saturating_mul(failures.into()),
        Backoff::Exponential => retry.delay_ms.saturating_mul(doubled(failures)),
    };
    let delay_ms = delay_ms.min(retry.delay_max_ms);
    if !retry.jitter {
        return delay_ms;
    }
    let half = delay_ms / 2;
    delay_ms - seed % (half + 1)
}

/// A number that differs from attempt to attempt and is the same at every replay.
pub fn seed(run_id: &str, task: &str, attempt: u32) -> u64 {
    let hash = blake3::hash(format!("{run_id}/{task}/{attempt}").as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |seed, &byte| seed << 8 | u64::from(byte))
}

fn doubled(failures: u32) -> u64 {
    1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(backoff: Backoff, jitter: bool) -> Retry {
        Retry { attempts_max: 9, backoff, delay_ms: 1_000, delay_max_ms: 10_000, jitter }
    }

    fn delays(backoff: Backoff) -> Vec<u64> {
        (1..=6).map(|failures| delay_ms(&retry(backoff, false), failures, 7)).collect()
    }

    #[test]
    fn delays_grow_as_named_and_stop_at_the_maximum() {
        assert_eq!(delays(Backoff::Constant), [1_000; 6]);
        assert_eq!(delays(Backoff::Linear), [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        assert_eq!(delays(Backoff::Exponential), [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn huge_numbers_saturate() {
        for failures in [63, 64, 65, u32::MAX] {
            assert_eq!(delay_ms(&retry(Backoff::Exponential, false), failures, 0), 10_000);
        }
        let endless = Retry { delay_ms: u64::MAX, delay_max_ms: u64::MAX, ..retry(Backoff::Linear, true) };
        assert!(delay_ms(&endless, 3, u64::MAX) >= u64::MAX / 2);
    }

    #[test]
    fn jitter_stays_in_the_upper_half_and_uses_all_of_it() {
        let jittered = retry(Backoff::Constant, true);
        let draws: Vec<u64> = (0..2_000).map(|n| delay_ms(&jittered, 1, seed("run", "task", n))).collect();
        assert!(draws.iter().all(|delay| (500..=1_000).contains(delay)));
        assert!(draws.iter().any(|&delay| delay < 520) && draws.iter().any(|&delay| delay > 980));
        assert_eq!(draws[3], delay_ms(&jittered, 1, seed("run", "task", 3)), "the same attempt waits the same time");
    }
}
