//! What the console says, in English and in Chinese.

mod names;
mod table;

use axum::http::{HeaderMap, header};

pub(super) use crate::language::{Language, fill};
pub(super) use table::Texts;

impl Language {
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
    pub(super) const fn texts(self) -> &'static Texts {
        Texts::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::assert_translated;

    #[test]
    fn every_text_takes_the_same_values_in_each_language() {
        // A name, or nothing but numbers.
        assert_translated(Texts::ALL, &["link_3g", "upload_going"]);
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
