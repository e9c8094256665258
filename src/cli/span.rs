//! Lengths of time on the command line.

use std::time::Duration;

use super::texts::t;

/// Reads a time such as `30s`, `500ms`, `2m`, `8h`, `7d` or, in seconds, `30`.
///
/// # Errors
/// What to write instead.
pub fn span(text: &str) -> Result<Duration, String> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => 0,
    };
    let ms = number.parse::<u32>().ok().map(u64::from);
    match ms {
        Some(number) if unit_ms > 0 => Ok(Duration::from_millis(number * unit_ms)),
        _ => Err(t().span_wrong.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("30"), Ok(Duration::from_secs(30)));
        assert_eq!(span("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "s", "-1s", "1.5s", "30 s", "1w", "4294967296s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
