//! Parcels by slot: what they are looked for by is at hand, all else is packed when it has not been touched for long.

use std::mem;

use super::{
    blocks::Blocks,
    index::Place,
    kept::{COLUMNS, Ids, Kept, Row},
    packed::Packed,
};

/// Slots of one block.
pub(in crate::delivery) const BLOCK: u32 = 512;
const SLOTS: usize = BLOCK as usize;
/// Blocks that are open at a time; each takes 68 KiB so. Parcels are touched in the order in which they came, most of them twice: when
/// they come, and when they go.
const OPEN_MAX: usize = 32;

/// What a node keeps of its parcels.
#[derive(Debug, Default)]
pub(super) struct Table {
    ids: Blocks<Ids, SLOTS>,
    /// By block.
    rows: Vec<Rows>,
    /// Blocks that are open.
    open: Vec<usize>,
    /// Counts the changes.
    changes: u64,
}

/// All else of a block.
#[derive(Debug, Default)]
enum Rows {
    /// No slot of it is used.
    #[default]
    Unused,
    Open {
        rows: Box<[Row]>,
        changed: u64,
    },
    Packed(Packed<COLUMNS>),
}

impl Table {
    /// Puts a parcel into a free slot.
    pub(super) fn put(&mut self, kept: &Kept) -> Place {
        let slot = self.ids.put(kept.ids());
        *self.row_mut(slot) = kept.row();
        slot
    }

    /// Puts a parcel into a slot, after all those before it, into a table that is being filled; false when it is no such slot. When
    /// the last one is there, call [`Table::all_put`].
    pub(super) fn put_at(&mut self, slot: Place, kept: &Kept) -> bool {
        let is_put = self.ids.put_at(slot, kept.ids());
        if is_put {
            *self.row_mut(slot) = kept.row();
        }
        is_put
    }

    /// Finds the slots that are free.
    pub(super) fn all_put(&mut self) {
        self.ids.all_put();
    }

    pub(super) fn take(&mut self, slot: Place) -> Option<Kept> {
        let kept = self.get(slot)?;
        self.ids.take(slot);
        let block = block(slot);
        if !self.ids.is_used(block) {
            self.rows[block] = Rows::Unused;
            self.open.retain(|open| *open != block);
        }
        Some(kept)
    }

    pub(super) fn get(&self, slot: Place) -> Option<Kept> {
        Some(self.whole(slot, self.ids.get(slot)?))
    }

    /// Changes what is kept of a parcel, but for what it is looked for by.
    pub(super) fn change<R>(
        &mut self,
        slot: Place,
        change: impl FnOnce(&mut Kept) -> R,
    ) -> Option<R> {
        let mut kept = self.get(slot)?;
        let changed = change(&mut kept);
        *self.row_mut(slot) = kept.row();
        Some(changed)
    }

    /// What a parcel is looked for by.
    pub(super) fn ids(&self, slot: Place) -> Option<&Ids> {
        self.ids.get(slot)
    }

    pub(super) fn ids_mut(&mut self, slot: Place) -> Option<&mut Ids> {
        self.ids.get_mut(slot)
    }

    /// Every parcel at `first` and after it, in order of their slots.
    pub(super) fn iter_from(&self, first: Place) -> impl Iterator<Item = (Place, Kept)> {
        let ids = self.ids.iter_from(first);
        ids.map(|(slot, ids)| (slot, self.whole(slot, ids)))
    }

    fn whole(&self, slot: Place, ids: &Ids) -> Kept {
        let at = slot as usize % SLOTS;
        let row = match &self.rows[block(slot)] {
            Rows::Open { rows, .. } => rows[at],
            Rows::Packed(packed) => packed.row(at),
            Rows::Unused => unreachable!("a slot in use has a row"),
        };
        Kept::of(ids, &row)
    }

    fn row_mut(&mut self, slot: Place) -> &mut Row {
        let block = block(slot);
        if self.rows.len() <= block {
            self.rows.resize_with(block + 1, Rows::default);
        }
        if !matches!(self.rows[block], Rows::Open { .. }) {
            self.open(block);
        }
        self.changes += 1;
        match &mut self.rows[block] {
            Rows::Open { rows, changed } => {
                *changed = self.changes;
                &mut rows[slot as usize % SLOTS]
            }
            _ => unreachable!("it was opened just now"),
        }
    }

    fn open(&mut self, block: usize) {
        let mut rows = match self.open.len() < OPEN_MAX {
            true => vec![[0; COLUMNS]; SLOTS].into(),
            false => self.pack_one(),
        };
        if let Rows::Packed(packed) = &self.rows[block] {
            for (at, row) in rows.iter_mut().enumerate() {
                *row = packed.row(at);
            }
        }
        self.rows[block] = Rows::Open { rows, changed: 0 };
        self.open.push(block);
    }

    /// Packs the block that was changed least lately, and hands out the memory that it took.
    fn pack_one(&mut self) -> Box<[Row]> {
        let changed = |block: &usize| match self.rows[*block] {
            Rows::Open { changed, .. } => changed,
            _ => 0,
        };
        let open = self.open.iter().map(changed).enumerate();
        let (at, _) = open.min_by_key(|(_, changed)| *changed).unwrap_or_default();
        let block = self.open.swap_remove(at);
        match mem::take(&mut self.rows[block]) {
            Rows::Open { rows, .. } => {
                let first = (block * SLOTS) as Place;
                let is_used = |at: usize| self.ids.get(first + at as Place).is_some();
                self.rows[block] = Rows::Packed(Packed::of(&rows, is_used));
                rows
            }
            _ => unreachable!("what is in the list is open"),
        }
    }
}

fn block(slot: Place) -> usize {
    slot as usize / SLOTS
}
