//! Amounts of memory as people write them.

/// Bytes out of `512MB`, `2GiB`, `1.5g` or a bare number. Decimal units count in thousands, binary and
/// one-letter units in 1,024s.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| "it does not start with a number".to_owned())?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor: f64 = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024f64.powi(2),
        "g" | "gib" => 1024f64.powi(3),
        "t" | "tib" => 1024f64.powi(4),
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(format!("there is no unit `{unit}`")),
    };
    match number * factor {
        bytes if (1.0..1e18).contains(&bytes) => Ok(bytes as u64),
        _ => Err("it is out of range".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_mean_what_they_say() {
        assert_eq!(parse("1024"), Ok(1024));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("1.5 g"), Ok(3 << 29));
        assert_eq!(parse("512MB"), Ok(512_000_000));
        for wrong in ["", "GiB", "2 potatoes", "0", "-1", "1e30", "99999999999TB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
