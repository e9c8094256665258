//! Search: the newest messages first, or those of one case in order.

use super::{
    base::{Base, BaseError, Gap},
    entry::Entry,
    keys::{Key, Stem},
};
use crate::model::{Lane, Millis, Pattern, State};

/// Messages that one page looks at, at most: a filter that fits few of many takes several pages.
const LOOKED_AT_MAX: usize = 100_000;

/// What is sought. A message must meet all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// At most so many messages.
    pub max: usize,
    /// Messages after this cursor.
    pub cursor: Option<Cursor>,
    /// The earliest first; otherwise the newest.
    pub forward: bool,
    /// In this lane.
    pub lane: Option<Lane>,
    /// In this state.
    pub state: Option<State>,
    /// Of a kind that this matches.
    pub kind: Option<Pattern>,
    /// Of exactly this case.
    pub case: Option<String>,
    /// To a unit that this matches, or to this pattern.
    pub to: Option<Pattern>,
    /// From a unit that this matches.
    pub from: Option<Pattern>,
    /// Accepted then or later.
    pub since: Option<Millis>,
    /// With this text in the title, without regard to case.
    pub text: Option<String>,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(Key);

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The messages.
    pub messages: Vec<Entry>,
    /// Where to go on, when there may be more.
    pub next: Option<Cursor>,
    /// What the index may lack.
    pub gaps: Vec<Gap>,
}

impl Cursor {
    /// From a text that [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()?;
        bytes.try_into().ok().map(|key| Self(Key(key)))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::BASE64URL_NOPAD.encode(&self.0.0))
    }
}

impl Search {
    pub(super) fn run(self, base: &Base) -> Result<Found, BaseError> {
        let mut from = Key::since(self.since.unwrap_or(0));
        let mut through = Key::LAST;
        let mut found = Found {
            gaps: base.gaps()?,
            ..Found::default()
        };
        match self.cursor {
            Some(Cursor(key)) if self.forward => match key.next() {
                Some(next) => from = from.max(next),
                None => return Ok(found),
            },
            Some(Cursor(key)) => match key.before() {
                Some(before) => through = before,
                None => return Ok(found),
            },
            None => {}
        }
        match &self.case {
            Some(case) => {
                let most = LOOKED_AT_MAX + 1;
                let keys = base.keys(Stem::case(case), from, through, self.forward, most)?;
                // One that is gone has just been forgotten.
                let entries = keys.into_iter().filter_map(|key| {
                    let entry = base.entry(&key).transpose()?;
                    Some(entry.map(|entry| (key, entry)))
                });
                self.look(entries, &mut found)?;
            }
            None => self.look(base.entries(from, through, self.forward), &mut found)?,
        }
        Ok(found)
    }

    fn look(
        &self,
        entries: impl Iterator<Item = Result<(Key, Entry), BaseError>>,
        found: &mut Found,
    ) -> Result<(), BaseError> {
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let mut last = None;
        for (looked_at, entry) in entries.enumerate() {
            if found.messages.len() == self.max || looked_at == LOOKED_AT_MAX {
                found.next = last.map(Cursor);
                break;
            }
            let (key, entry) = entry?;
            last = Some(key);
            if self.fits(&entry, text.as_deref()) {
                found.messages.push(entry);
            }
        }
        Ok(())
    }

    fn fits(&self, entry: &Entry, text: Option<&str>) -> bool {
        let to = |to: &Pattern| {
            let fits =
                |target: &Pattern| target == to || target.is_name() && to.matches(target.as_str());
            let receivers = entry.receivers.iter().map(|receiver| &receiver.target);
            entry.to.iter().chain(receivers).any(fits)
        };
        // Two cases might share the name.
        self.case
            .as_ref()
            .is_none_or(|case| entry.case.as_ref() == Some(case))
            && self.lane.is_none_or(|lane| entry.lane == lane)
            && self.state.is_none_or(|state| entry.state() == state)
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| kind.matches(entry.kind.as_str()))
            && self
                .from
                .as_ref()
                .is_none_or(|from| from.matches(entry.from.as_str()))
            && self.to.as_ref().is_none_or(to)
            && text.is_none_or(|text| {
                let subject = entry.subject.as_ref();
                subject.is_some_and(|subject| subject.to_lowercase().contains(text))
            })
    }
}
