//! This node's own dictionary, packed for neighbours: most are given the same bytes.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::{
    model::Digest,
    wire::{self, Against, Dictionary},
};

/// The handover that was made last: when many neighbours want one dictionary at once, it is packed once and in memory once.
#[derive(Debug, Default)]
pub(in crate::node) struct Package(Mutex<Option<(Key, Bytes)>>);

type Key = (u64, Digest, bool);

impl Package {
    /// The handover of a dictionary under this number, compressed against what both ends have.
    pub(in crate::node) fn of(
        &self,
        number: u64,
        dictionary: &Dictionary,
        common: &Against,
    ) -> Bytes {
        let key = (number, dictionary.id(), matches!(common, Against::BuiltIn));
        // Whoever else wants it waits for it here.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, bytes)) if *of == key => bytes.clone(),
            _ => {
                let bytes = wire::hand_over(number, dictionary, common);
                *last = Some((key, bytes.clone()));
                bytes
            }
        }
    }
}
