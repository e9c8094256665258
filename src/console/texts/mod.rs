//! What the console says, in English and in Chinese.

mod names;
mod table;

use std::fmt::Display;

use axum::http::{HeaderMap, header};

pub(super) use table::Texts;

/// A language of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The language of this code, as a cookie or an address has it.
    pub(super) fn named(code: &str) -> Option<Self> {
        let all = [Self::English, Self::Chinese];
        all.into_iter().find(|language| language.code() == code)
    }

    /// Its code.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its tag (BCP 47), which tells browsers how to show it.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Whether it is Chinese.
    pub(super) fn is_chinese(self) -> bool {
        self == Self::Chinese
    }

    /// What a browser would rather read (RFC 9110, section 12.5.4).
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_LANGUAGE);
        let text = accepted
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut best = (0.0, Self::English);
        for range in text.split(',').take(32) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse::<f32>().ok());
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

    /// Its texts.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &table::ENGLISH,
            Self::Chinese => &table::CHINESE,
        }
    }
}

/// Puts values where a text has `{}`, in order, or `{0}`, `{1}` where its language has another one.
pub(super) fn fill(text: &str, values: &[&dyn Display]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_takes_the_same_values_in_each_language() {
        for (key, english, chinese) in table::ALL {
            let values = |text: &str| text.matches('{').count();
            assert_eq!(values(english), values(chinese), "{key}");
            assert!(!english.is_empty() && !chinese.is_empty(), "{key}");
            let is_chinese = chinese.chars().any(|c| c > '\u{2e80}');
            // A name, or nothing but numbers.
            let is_numbers = matches!(*key, "link_3g" | "upload_going");
            assert!(is_chinese || is_numbers, "{key} is not Chinese");
        }
    }

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
    fn a_browser_is_answered_in_the_language_that_it_would_rather_have() {
        let chosen = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, text.parse().expect("a value"));
            Language::accepted(&headers)
        };
        assert_eq!(chosen("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(chosen("en-GB, zh;q=0.9"), Language::English);
        assert_eq!(chosen("fr, zh-Hans;q=0.5, en;q=0.4"), Language::Chinese);
        assert_eq!(chosen("fr"), Language::English);
        assert_eq!(chosen("zh;q=0, en;q=x"), Language::English);
        assert_eq!(Language::accepted(&HeaderMap::new()), Language::English);
    }
}
