//! Units' own dictionaries: those of neighbours on the [`Shelf`], and what two neighbours agree on in a session ([`Talk`]).

mod package;
mod shelf;
mod talk;

pub(super) use package::Package;
pub(super) use shelf::{FOLDER as DICTIONARIES_FOLDER, Shelf};
pub(super) use talk::{Named, Talk, TalkError};

use std::sync::Arc;

use crate::{
    delivery::hop::Entry,
    model::{Digest, UnitId},
    parcel::Parcel,
    wire::{Against, Dictionary},
};

/// What batches of a session may be compressed against just now.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The node's unit and its dictionary, which is for what this unit itself wrote.
    own: Option<(UnitId, u64, Arc<Dictionary>)>,
    /// Whether both ends have the same dictionary built in.
    built_in: bool,
}

/// The dictionary that comes before a generation of the neighbour's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The built-in one.
    BuiltIn,
    /// One of the neighbour's own.
    Own(Digest),
}

impl Base {
    /// The dictionary's digest.
    pub(super) fn id(self) -> Digest {
        match self {
            Base::BuiltIn => Dictionary::built_in().id(),
            Base::Own(id) => id,
        }
    }
}

impl Choice {
    /// The dictionary that what this sender wrote is compressed against, and its number.
    pub(super) fn base_of(&self, sender: &UnitId) -> Option<(u64, &Arc<Dictionary>)> {
        match &self.own {
            Some((unit, number, dictionary)) if unit == sender => Some((*number, dictionary)),
            _ => self
                .built_in
                .then(|| (Against::BUILT_IN, Dictionary::built_in())),
        }
    }

    /// What this node's own messages are compressed against, for people.
    pub(super) fn name(&self) -> String {
        match (&self.own, self.built_in) {
            (Some((_, _, dictionary)), _) => dictionary.id().to_string(),
            (None, true) => "built-in".to_owned(),
            (None, false) => "none".to_owned(),
        }
    }

    /// What this batch is to be compressed against. A unit's dictionary holds pieces of what it wrote: were it used for what others
    /// wrote, sizes would tell how like the two are.
    pub(super) fn of(&self, entries: &[(Entry, Parcel)]) -> Against {
        if let Some((unit, number, dictionary)) = &self.own
            && entries.iter().all(|(_, parcel)| wrote(unit, parcel))
        {
            return Against::Own(*number, dictionary.clone());
        }
        match self.built_in {
            true => Against::BuiltIn,
            false => Against::Nothing,
        }
    }
}

fn wrote(unit: &UnitId, parcel: &Parcel) -> bool {
    parcel.header().is_ok_and(|header| header.sender == *unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::hop::Targets,
        model::{Fingerprint, Lane},
        parcel::{BodyForm, Header},
        wire::unsigned,
    };

    fn entry(from: &str) -> (Entry, Parcel) {
        let header = Header {
            sender: from.parse().expect("a unit"),
            id: "1".into(),
            to: vec!["hebi.police".parse().expect("a pattern")],
            kind: "notice".parse().expect("a kind"),
            case: None,
            lane: Lane::Normal,
            accepted: 0,
            expires: 1,
            signer: Fingerprint([0; 16]),
            attachments: Vec::new(),
            form: BodyForm::None,
            attributes: Vec::new(),
        };
        let entry = Entry {
            seq: 1,
            after: Vec::new(),
            targets: Targets::Signed,
            attested: 0,
        };
        (entry, unsigned(&header, b""))
    }

    #[test]
    fn a_units_own_dictionary_is_for_what_it_wrote_itself_alone() {
        let own = "hebi.qixian.hub".parse().expect("a unit");
        let dictionary = Dictionary::built_in().clone();
        let mut choice = Choice {
            own: Some((own, 3, dictionary)),
            built_in: true,
        };
        let (mine, other) = (entry("hebi.qixian.hub"), entry("hebi.qixian.tobacco"));
        let of_mine = choice.of(&[mine.clone(), mine.clone()]);
        assert!(matches!(of_mine, Against::Own(3, _)));
        let mut nobody = mine.clone();
        nobody.1 = Parcel::join(&[0; 64], &[0xff; 8], b"");
        for batch in [[mine.clone(), other.clone()], [nobody, mine.clone()]] {
            assert!(matches!(choice.of(&batch), Against::BuiltIn));
            choice.built_in = false;
            assert!(matches!(choice.of(&batch), Against::Nothing));
            choice.built_in = true;
        }
    }
}
