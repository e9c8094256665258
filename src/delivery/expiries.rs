//! When parcels expire: of each block of the table of parcels, the first moment at which something in it may be due.
//!
//! A parcel takes no memory here. Its turns follow from what is kept of it: one when it expires, and another when custody of it ends.

use std::collections::{BTreeMap, BTreeSet};

use super::parcels::{BLOCK, Slot};
use crate::model::Millis;

/// Seconds since the Unix epoch; a second is due once it is over.
pub(super) type Second = u64;

/// Blocks by the second in which they are to be looked at. It may be an earlier one than something is due in.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    seconds: BTreeMap<Slot, Second>,
    blocks: BTreeSet<(Second, Slot)>,
}

impl Expiries {
    /// The block of this slot is to be looked at when that second is over.
    pub(super) fn note(&mut self, slot: Slot, second: Second) {
        let block = slot - slot % BLOCK;
        match self.seconds.get(&block) {
            Some(before) if *before <= second => return,
            Some(before) => self.blocks.remove(&(*before, block)),
            None => false,
        };
        self.seconds.insert(block, second);
        self.blocks.insert((second, block));
    }

    /// The first second at whose end something may be due.
    pub(super) fn first(&self) -> Option<Second> {
        self.blocks.first().map(|(second, _)| *second)
    }

    /// Blocks that are to be looked at now, by their first slots; what is due in them later is to be noted again.
    pub(super) fn take_due(&mut self, now: Millis) -> Vec<Slot> {
        let mut due = Vec::new();
        while let Some((second, block)) = self.blocks.first().copied()
            && is_over(second, now)
        {
            self.blocks.remove(&(second, block));
            self.seconds.remove(&block);
            due.push(block);
        }
        due
    }
}

/// Whether a second is over.
pub(super) fn is_over(second: Second, now: Millis) -> bool {
    (second + 1) * 1000 <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_looked_at_in_its_first_second() {
        let mut expiries = Expiries::default();
        for (slot, second) in [(3, 9), (BLOCK - 1, 7), (5, 8), (BLOCK, 8)] {
            expiries.note(slot, second);
        }
        assert_eq!(expiries.first(), Some(7));
        assert!(expiries.take_due(7999).is_empty(), "it is not over");
        assert_eq!(expiries.take_due(8000), [0]);
        assert_eq!(expiries.take_due(9000), [BLOCK]);
        assert_eq!(expiries.first(), None);
    }
}
