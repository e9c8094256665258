//! What a misspelt word was probably meant to be.

/// The candidate that `word` was probably meant to be, if one is near enough: at most one edit in three characters away, with
/// `_`, blanks and capitals forgiven.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // A word longer than any key is nobody's misspelling, and comparing it would cost its length squared.
    if word.len() > 64 {
        return None;
    }
    let plain = word.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&plain, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let keys = ["data-dir", "unit", "upstream", "api"];
        assert_eq!(nearest("data_dir", keys), Some("data-dir"));
        assert_eq!(nearest("upstraem", keys), Some("upstream"));
        assert_eq!(nearest("Unit", keys), Some("unit"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
    }
}
