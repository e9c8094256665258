//! What the console says, in English and in Chinese.

mod names;
mod table;

pub(super) use crate::language::{Language, fill};
pub(super) use table::Texts;

impl Language {
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
}
