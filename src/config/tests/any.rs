//! Whatever is read.

use proptest::prelude::*;

use super::*;

/// What must hold of whatever is read: settings or errors, each on one line and within the text.
fn holds(text: &str) {
    let (examination, _, _) = examine_text(text, Path::new("f"));
    assert_eq!(
        examination.settings.is_none(),
        !examination.errors.is_empty()
    );
    let lines = text.matches('\n').count() + 1;
    for ConfigError(finding) in &examination.errors {
        assert!((1..=lines).contains(&finding.line), "{finding}");
        assert!(
            !finding.to_string().contains(char::is_control),
            "{finding:?}"
        );
    }
}

/// A shipped file with one stretch replaced by something else.
fn damaged() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        Just(String::new()),
        "\\PC{0,12}",
        "[\\[\\]{}=\"'#.,\n\ra-z0-9-]{0,8}",
        Just("[[unit]]\n".to_owned()),
        Just("\"\"\"".to_owned()),
    ];
    let text = prop_oneof![
        Just(with_every_setting(HUB)),
        Just(with_every_setting(EDGE)),
        Just(SMALL.to_owned())
    ];
    (text, any::<prop::sample::Index>(), 0usize..40, scrap).prop_map(|(text, at, length, scrap)| {
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        let (before, after) = (&chars[..at], &chars[end..]);
        before
            .iter()
            .copied()
            .chain(scrap.chars())
            .chain(after.iter().copied())
            .collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_settings_or_errors(text in any::<String>()) {
        holds(&text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_settings_or_errors(text in damaged()) {
        holds(&text);
    }
}
