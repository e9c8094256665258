//! Units' own dictionaries: those of neighbours on the [`Shelf`], and what two neighbours agree on in a session ([`Talk`]).

mod shelf;
mod talk;

pub(super) use shelf::Shelf;
pub(super) use talk::{Named, Talk, TalkError};

use std::sync::Arc;

use crate::{
    delivery::hop::Entry,
    model::UnitId,
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

impl Choice {
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
