//! Lengths of time as a flow file writes them: `500ms`, `2s`, `5m`, `1h30m`, `7d`.

/// Units with their length in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A hundred years: longer ones are slips, and sums with instants stay far from overflow.
const LONGEST_MS: u64 = 36_525 * 86_400_000;

/// Reads a duration into milliseconds: whole numbers with units, longest first, each at most once.
///
/// # Errors
/// Says what is wrong, as a lowercase fragment.
pub fn parse(text: &str) -> Result<u64, String> {
    let (mut rest, mut total_ms, mut longest) = (text, 0_u64, u64::MAX);
    if text.is_empty() {
        return Err("a duration must not be empty".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let letters = rest[digits..].len() - rest[digits..].trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        if number.is_empty() || (unit.is_empty() && digits < rest.len()) {
            return Err(format!("`{text}` is not a duration"));
        }
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit"));
        }
        let Some(&(_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("`{unit}` is not a unit of time"));
        };
        if unit_ms >= longest {
            return Err(format!("the units of `{text}` must go from long to short, each once"));
        }
        let part_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
        let sum_ms = part_ms.and_then(|part| part.checked_add(total_ms)).filter(|&sum| sum <= LONGEST_MS);
        total_ms = sum_ms.ok_or_else(|| format!("`{text}` is longer than a hundred years"))?;
        longest = unit_ms;
        rest = &rest[digits + letters..];
    }
    Ok(total_ms)
}

/// Reads how long something is kept: what is used just now is never old, so a second is the least.
///
/// # Errors
/// As [`parse`], or that it is too short.
pub fn keep(text: &str) -> Result<u64, String> {
    match parse(text)? {
        0..1_000 => Err(format!("`{text}` is too short to keep anything; a second is the least")),
        ms => Ok(ms),
    }
}

/// Writes milliseconds as [`parse`] reads them.
pub fn display(ms: u64) -> String {
    let (mut rest, mut text) = (ms, String::new());
    for (unit, unit_ms) in UNITS {
        if rest >= unit_ms {
            text.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Milliseconds for people, to three digits or so.
pub fn human(ms: u64) -> String {
    let s = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{:.2} s", ms as f64 / 1e3),
        10_000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{}m {:02}s", s / 60, s % 60),
        3_600_000..86_400_000 => format!("{}h {:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        let forms = [("500ms", 500), ("2s", 2_000), ("5m", 300_000), ("1h30m", 5_400_000), ("7d", 604_800_000)];
        for (text, ms) in forms {
            assert_eq!(parse(text), Ok(ms), "{text}");
            assert_eq!(display(ms), text);
        }
        assert_eq!(parse("0s"), Ok(0));
        assert_eq!(display(0), "0s");
        assert_eq!(display(90_500), "1m30s500ms");
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = [
            "",
            "30",
            "m",
            "1.5h",
            "-1s",
            "5 m",
            "1m1h",
            "1s1s",
            "5M",
            "1w",
            "s5",
            "1h30",
            "٣s",
            "99999999999999999999d",
            "36526d",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text:?} was read as {:?}", parse(text));
        }
    }
}
