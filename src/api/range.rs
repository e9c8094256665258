//! The Range header of a download (RFC 9110, section 14).

/// The part of a content of `size` bytes that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range is asked for, or none that has to be heeded.
    Whole,
    /// These bytes, first and last.
    Part(u64, u64),
    /// None of it is there.
    Nothing,
}

/// Reads a Range header. What is not one range of bytes is passed over, as section 14.2 allows.
pub(super) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, range)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last, size),
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, size),
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        (None, Some(count)) if first.is_empty() => part(size.saturating_sub(count), u64::MAX, size),
        _ => Wanted::Whole,
    }
}

fn part(first: u64, last: u64, size: u64) -> Wanted {
    match size.checked_sub(1) {
        Some(end) if first <= end => Wanted::Part(first, last.min(end)),
        _ => Wanted::Nothing,
    }
}

/// A number of digits only. One that is too long for the type is a large one all the same.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_heeded_with_its_ends_as_the_standard_has_them() {
        for (header, size, expected) in [
            ("bytes=0-499", 1000, Wanted::Part(0, 499)),
            ("bytes=500-999", 1000, Wanted::Part(500, 999)),
            ("bytes=500-5000", 1000, Wanted::Part(500, 999)),
            ("bytes=999-", 1000, Wanted::Part(999, 999)),
            ("bytes=-500", 1000, Wanted::Part(500, 999)),
            ("bytes=-5000", 1000, Wanted::Part(0, 999)),
            ("Bytes= 1-1", 1000, Wanted::Part(1, 1)),
            ("bytes=0-99999999999999999999999", 10, Wanted::Part(0, 9)),
            ("bytes=1000-", 1000, Wanted::Nothing),
            ("bytes=1000-1001", 1000, Wanted::Nothing),
            ("bytes=-0", 1000, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=-1", 0, Wanted::Nothing),
        ] {
            assert_eq!(wanted(header, size), expected, "{header}");
        }
    }

    #[test]
    fn anything_else_is_passed_over() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1 - 2",
        ] {
            assert_eq!(wanted(header, 1000), Wanted::Whole, "{header}");
        }
    }
}
