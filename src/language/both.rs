//! A text in both languages at once, for what is found before anybody knows who reads it.

use std::fmt;

use super::Language;

/// A text in both languages. Shown without saying which, it is in English, as logs and programs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both {
    english: Box<str>,
    chinese: Box<str>,
}

impl Both {
    /// What `text` gives for each language.
    pub(crate) fn new<T: Into<String>>(text: impl Fn(Language) -> T) -> Self {
        let told = |language| text(language).into().into_boxed_str();
        Self {
            english: told(Language::English),
            chinese: told(Language::Chinese),
        }
    }

    /// What somebody else says, whose language is their own.
    pub(crate) fn as_told(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(|_| text.clone())
    }

    /// The text in a language.
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }
}

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of(Language::English))
    }
}
