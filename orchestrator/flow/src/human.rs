//! Numbers as people read them.

use crate::Time;
pub use crate::duration::human as duration;

/// `336776` as `336,776`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Bytes in powers of 1,024.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (n.max(1).ilog2() / 10).min(4);
    match unit {
        0 => format!("{n} B"),
        _ => format!("{:.1} {}", n as f64 / 1024f64.powi(unit as i32), UNITS[unit as usize]),
    }
}

/// How long ago something was, to one unit.
pub fn ago(then: Time, now: Time) -> String {
    let s = now.saturating_sub(then) / 1_000;
    match s {
        0..5 => "just now".to_owned(),
        5..60 => format!("{s} s ago"),
        60..3_600 => format!("{} min ago", s / 60),
        3_600..86_400 => format!("{} h ago", s / 3_600),
        _ => format!("{} d ago", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_size_in_sight() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(1_572_864)], ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]);
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(plural(2_000, "row"), "2,000 rows");
    }

    #[test]
    fn times_change_their_unit_with_their_size() {
        let texts = [0, 999, 1_000, 12_345, 61_000, 3_661_000, 90_000_000].map(duration);
        assert_eq!(texts, ["0 ms", "999 ms", "1.00 s", "12.3 s", "1m 01s", "1h 01m", "1d 01h"]);
        assert_eq!(ago(1_000, 2_000), "just now");
        assert_eq!(ago(0, 7_200_000), "2 h ago");
        assert_eq!(ago(9_000, 2_000), "just now", "clocks of two machines may disagree");
    }
}
