//! What the command line says to people, in English and in Chinese.
//!
//! The environment says which ([`Language::of_locale`]); it is looked at once, at the start. What programs read is always the same: JSON,
//! CSV, identifiers, exit codes, manual pages and completions.

pub(super) mod faults;
pub(super) mod help;
mod helps;
mod table;

use std::sync::OnceLock;

pub(super) use self::table::Texts;
pub(super) use crate::language::{Language, fill};
use crate::model::{Lane, Reason, State};

/// The language of this process.
static LANGUAGE: OnceLock<Language> = OnceLock::new();

/// Takes the language that the environment asks for.
pub(super) fn choose() {
    let _ = LANGUAGE.set(Language::of_locale(|name| std::env::var(name).ok()));
}

/// The language that was chosen; English before that.
pub(super) fn language() -> Language {
    LANGUAGE.get().copied().unwrap_or(Language::English)
}

/// The texts of the language that was chosen.
pub(super) fn t() -> &'static Texts {
    Texts::of(language())
}

impl Texts {
    /// A state by its name in the API. What a newer node calls something new stays as it is, here and below.
    pub(super) fn state(&self, name: &str) -> String {
        let known = State::ALL.into_iter().find(|state| state.as_str() == name);
        known.map_or(name, |state| self.words.state(state)).into()
    }

    /// A lane by its name in the API.
    pub(super) fn lane(&self, name: &str) -> String {
        let known = name.parse().ok();
        known
            .map_or(name, |lane: Lane| self.words.lane(lane))
            .into()
    }

    /// Several lanes.
    pub(super) fn lanes(&self, lanes: &[Lane]) -> String {
        let names: Vec<_> = lanes.iter().map(|lane| self.words.lane(*lane)).collect();
        names.join(self.comma)
    }

    /// How a link is, and whether all may go over it, by their names in the API.
    pub(super) fn link_state(&self, name: &str, takes: &str) -> String {
        let state = self.words.link_state(name).unwrap_or(name);
        match takes {
            "express" => fill(self.link_urgent_only, &[&state]),
            _ => state.to_owned(),
        }
    }

    /// The way that an attachment goes, by its name in the API.
    pub(super) fn way(&self, name: &str) -> String {
        match name {
            "in" => self.way_in,
            "out" => self.way_out,
            other => other,
        }
        .into()
    }
}

/// A step of a timeline by its name in the API, which is what it is called in English.
pub(super) fn step(name: &str) -> String {
    named(name, t().words.step(name))
}

/// Why something ended by its name in the API, which is what it is called in English.
pub(super) fn reason(name: &str) -> String {
    let known = Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == name);
    named(name, known.map(|reason| t().words.reason(reason)))
}

fn named(name: &str, word: Option<&str>) -> String {
    match word {
        Some(word) if language().is_chinese() => word.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::assert_translated;

    #[test]
    fn every_text_takes_the_same_values_in_each_language() {
        // Nothing but numbers.
        assert_translated(Texts::ALL, &["of_budget"]);
    }

    #[test]
    fn what_a_newer_node_calls_something_new_stays_as_it_is() {
        let zh = Texts::of(Language::Chinese);
        assert_eq!(
            (zh.state("held"), zh.lane("bulk")),
            ("暂缓".into(), "批量".into())
        );
        assert_eq!(
            (zh.state("new"), zh.lane("new")),
            ("new".into(), "new".into())
        );
        assert_eq!(zh.link_state("sound", "express"), "正常，仅急件");
        assert_eq!(zh.link_state("new", "all"), "new");
        assert_eq!(zh.lanes(&Lane::ALL), "特急、加急、普通、批量");
    }
}
