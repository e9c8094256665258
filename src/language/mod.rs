//! The languages that people are spoken to in, and what more than one room says: words of console and command line, and what a node says of
//! itself.
//!
//! A text stands in a table once, in both languages ([`texts`]): one that lacks a translation does not compile.

mod both;
mod notices;
mod words;

use std::fmt::Display;

pub use both::Both;
pub(crate) use notices::{Notices, noticed};
pub(crate) use words::Words;

/// Ranges of languages that are looked at.
const RANGES_MAX: usize = 32;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, where nothing else is asked for.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Every one.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The language of this code, as a cookie or an address has it.
    pub(crate) fn named(code: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|language| language.code() == code)
    }

    /// Its code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its tag (BCP 47), which tells browsers how to show it.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Whether it is Chinese.
    pub(crate) fn is_chinese(self) -> bool {
        self == Self::Chinese
    }

    /// What somebody would rather read who accepts these ranges of languages, with their weights (RFC 9110, section 12.5.4); English where
    /// neither is named.
    pub(crate) fn accepted<'v>(ranges: impl IntoIterator<Item = &'v str>) -> Self {
        let mut best = (0.0, Self::English);
        let ranges = ranges.into_iter().flat_map(|value| value.split(','));
        for range in ranges.take(RANGES_MAX) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight.trim().strip_prefix("q=");
            let weight = weight.and_then(|q| q.parse::<f32>().ok());
            let main = tag.trim().split('-').next().unwrap_or_default();
            let language = Self::named(&main.to_ascii_lowercase());
            if let (Some(language), Some(weight)) = (language, weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The language of messages by the variables of a locale: the first of them that is set and not empty decides (POSIX.1-2024,
    /// XBD section 8.2).
    pub(crate) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(variable)
            .filter(|value| !value.is_empty());
        match set.next() {
            Some(locale) if locale.starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }
}

/// Makes a table of texts, each in both languages. `{}` is where something is put in ([`fill`]). `with` puts another table in.
macro_rules! texts {
    (
        $(#[$about:meta])*
        $see:vis struct $name:ident $(with $inner:ident: $table:ident)?;
        $($key:ident: $english:literal, $chinese:literal;)*
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the keys say what they are for")]
        $see struct $name {
            $($see $inner: &'static $table,)?
            $($see $key: &'static str,)*
        }

        impl $name {
            const ENGLISH: Self = Self {
                $($inner: $table::of($crate::language::Language::English),)?
                $($key: $english,)*
            };
            const CHINESE: Self = Self {
                $($inner: $table::of($crate::language::Language::Chinese),)?
                $($key: $chinese,)*
            };

            /// Those of a language.
            $see const fn of(language: $crate::language::Language) -> &'static Self {
                match language {
                    $crate::language::Language::English => &Self::ENGLISH,
                    $crate::language::Language::Chinese => &Self::CHINESE,
                }
            }

            /// Each text in both languages.
            #[cfg(test)]
            $see const ALL: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($key), $english, $chinese),)*];
        }
    };
}

pub(crate) use texts;

/// Puts values where a text has `{}`, in order, or `{0}`, `{1}` where its language has another one.
pub(crate) fn fill(text: &str, values: &[&dyn Display]) -> String {
    let mut filled = String::with_capacity(text.len() + 16 * values.len());
    let mut next = 0;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        let at = name.parse().unwrap_or(next);
        next = at + 1;
        if let Some(value) = values.get(at) {
            filled.push_str(&value.to_string());
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// That each text of a table ([`texts`]) takes the same values in both languages, and that the Chinese ones are Chinese but for those
/// that are named.
#[cfg(test)]
pub(crate) fn assert_translated(all: &[(&str, &str, &str)], but_for: &[&str]) {
    for (key, english, chinese) in all {
        let values = |text: &str| text.matches('{').count();
        assert_eq!(values(english), values(chinese), "{key}");
        let is_chinese = chinese.chars().any(|c| c > '\u{2e80}');
        assert!(is_chinese || but_for.contains(key), "{key} is not Chinese");
        assert!(!english.is_empty(), "{key}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_the_language_wants_them() {
        assert_eq!(fill("{} of {}", &[&1, &2]), "1 of 2");
        assert_eq!(
            fill("到 {1} 的 {0} 已 {2}", &[&"a", &"b", &"c"]),
            "到 b 的 a 已 c"
        );
        assert_eq!(fill("{} {}", &[&"{}"]), "{} ");
    }

    #[test]
    fn the_first_variable_of_a_locale_that_is_set_and_not_empty_decides() {
        let of = |set: &[(&str, &str)]| {
            Language::of_locale(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]), Language::English);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), Language::Chinese);
        assert_eq!(of(&[("LANG", "zh")]), Language::Chinese);
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Language::English);
        assert_eq!(
            of(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]),
            Language::English
        );
        assert_eq!(
            of(&[("LANG", "C"), ("LC_MESSAGES", "zh_CN")]),
            Language::Chinese
        );
        assert_eq!(
            of(&[("LC_ALL", ""), ("LC_MESSAGES", ""), ("LANG", "zh_TW")]),
            Language::Chinese
        );
    }

    #[test]
    fn what_is_rather_read_is_chosen_by_weight() {
        let chosen = |text: &'static str| Language::accepted([text]);
        assert_eq!(chosen("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(chosen("en-GB, zh;q=0.9"), Language::English);
        assert_eq!(chosen("fr, zh-Hans;q=0.5, en;q=0.4"), Language::Chinese);
        assert_eq!(chosen("fr"), Language::English);
        assert_eq!(chosen("zh;q=0, en;q=x"), Language::English);
        assert_eq!(Language::accepted(["fr", "zh"]), Language::Chinese);
        assert_eq!(Language::accepted([]), Language::English);
    }

    #[test]
    fn every_word_is_in_each_language() {
        assert_translated(Words::ALL, &[]);
        // Nothing but a sign.
        assert_translated(Notices::ALL, &["comma"]);
    }
}
