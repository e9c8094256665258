//! The copies of an outbox by number, in pages.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::super::frame::Seq;
use crate::{
    delivery::parcels::{Number, Slot},
    model::Lane,
};

/// Copies of one page.
const PAGE: usize = 64;

/// One copy of a parcel, in the queue: a handful of bytes, since there are as many as messages wait. What else belongs to a copy is
/// the parcel's, or stands beside the queue for the few that have it.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(in crate::delivery) struct Entry {
    pub(in crate::delivery) slot: Slot,
    /// For whom it is: a number of [`Outbox::targets`](super::Outbox).
    pub(super) for_whom: Number,
    /// How far back the number is that must be released first at the neighbour.
    after: Near,
    /// How far on the next number of its chain is.
    next: Near,
    pub(in crate::delivery) lane: Lane,
    flags: u8,
}

/// A distance that stands beside the queue.
pub(super) const BESIDE: u32 = u32::MAX;

/// A distance of less than 2^24, or [`BESIDE`]; 0 when there is none.
#[derive(Clone, Copy, Debug)]
struct Near([u8; 3]);

impl Near {
    const BESIDE: Self = Self([u8::MAX; 3]);

    fn get(self) -> u32 {
        match self.0 {
            [u8::MAX, u8::MAX, u8::MAX] => BESIDE,
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
        }
    }
}

impl From<u32> for Near {
    fn from(distance: u32) -> Self {
        match distance.to_le_bytes() {
            [a, b, c, 0] => Self([a, b, c]),
            _ => Self::BESIDE,
        }
    }
}

/// What is kept of a distance in its place: itself, or [`BESIDE`].
pub(super) fn near(distance: Seq) -> u32 {
    u32::try_from(distance).map_or(BESIDE, |distance| Near::from(distance).get())
}

const AS_SIGNED: u8 = 1;
const HELD: u8 = 2;
const MAYBE_THERE: u8 = 4;
const EXPORTED: u8 = 8;

impl Entry {
    pub(super) fn new(slot: Slot, for_whom: Number, lane: Lane) -> Self {
        Self {
            slot,
            for_whom,
            after: Near([0; 3]),
            next: Near([0; 3]),
            lane,
            flags: 0,
        }
    }

    /// With flags as [`Entry::flags`] told them.
    pub(super) fn flagged(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// How far back the number is that must be released first at the neighbour: 0 when there is none, [`BESIDE`] when it stands beside.
    pub(super) fn after(&self) -> u32 {
        self.after.get()
    }

    pub(super) fn set_after(&mut self, after: u32) {
        self.after = after.into();
    }

    /// How far on the next number of its chain is: 0 when there is none, [`BESIDE`] when it stands beside.
    pub(super) fn next(&self) -> u32 {
        self.next.get()
    }

    pub(super) fn set_next(&mut self, next: u32) {
        self.next = next.into();
    }

    fn set(&mut self, flag: u8, is_set: bool) {
        self.flags = self.flags & !flag | if is_set { flag } else { 0 };
    }

    /// Whether it is for just the receivers that the sender signed.
    pub(in crate::delivery) fn as_signed(&self) -> bool {
        self.flags & AS_SIGNED != 0
    }

    pub(super) fn set_as_signed(&mut self, as_signed: bool) {
        self.set(AS_SIGNED, as_signed);
    }

    pub(in crate::delivery) fn held(&self) -> bool {
        self.flags & HELD != 0
    }

    pub(super) fn set_held(&mut self, held: bool) {
        self.set(HELD, held);
        if !held {
            self.set(EXPORTED, false);
        }
    }

    /// Whether it is held because a file has it.
    pub(in crate::delivery) fn exported(&self) -> bool {
        self.flags & EXPORTED != 0
    }

    pub(super) fn set_exported(&mut self) {
        self.flags |= EXPORTED | HELD | MAYBE_THERE;
    }

    /// Whether the neighbour may have it although it has not acked it.
    pub(in crate::delivery) fn maybe_there(&self) -> bool {
        self.flags & MAYBE_THERE != 0
    }

    pub(super) fn set_maybe_there(&mut self, maybe_there: bool) {
        self.set(MAYBE_THERE, maybe_there);
    }
}

/// Copies by number.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pages: BTreeMap<u64, Box<[Option<Entry>; PAGE]>>,
    len: usize,
}

fn place(seq: Seq) -> (u64, usize) {
    (seq / PAGE as u64, (seq % PAGE as u64) as usize)
}

impl Queue {
    pub(super) fn insert(&mut self, seq: Seq, entry: Entry) {
        let (page, at) = place(seq);
        let page = self
            .pages
            .entry(page)
            .or_insert_with(|| Box::new([None; PAGE]));
        self.len += usize::from(page[at].is_none());
        page[at] = Some(entry);
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Option<Entry> {
        let (number, at) = place(seq);
        let page = self.pages.get_mut(&number)?;
        let entry = page[at].take()?;
        self.len -= 1;
        if page.iter().all(Option::is_none) {
            self.pages.remove(&number);
        }
        Some(entry)
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Entry> {
        let (page, at) = place(seq);
        self.pages.get(&page)?[at].as_ref()
    }

    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        let (page, at) = place(seq);
        self.pages.get_mut(&page)?[at].as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &Entry)> {
        self.range(0..=Seq::MAX)
    }

    pub(super) fn range(&self, seqs: RangeInclusive<Seq>) -> impl Iterator<Item = (Seq, &Entry)> {
        let (first, last) = (seqs.start() / PAGE as u64, seqs.end() / PAGE as u64);
        self.pages
            .range(first..=last.max(first))
            .flat_map(|(number, page)| {
                let entries = page.iter().enumerate();
                entries.filter_map(move |(at, entry)| {
                    Some((number * PAGE as u64 + at as u64, entry.as_ref()?))
                })
            })
            .filter(move |(seq, _)| seqs.contains(seq))
    }

    pub(super) fn each_mut(&mut self, change: impl FnMut(&mut Entry)) {
        let pages = self.pages.values_mut();
        pages
            .flat_map(|page| page.iter_mut().flatten())
            .for_each(change);
    }

    /// Takes everything out, in the order of the numbers.
    pub(super) fn drain(&mut self) -> Vec<(Seq, Entry)> {
        let all = self.iter().map(|(seq, entry)| (seq, *entry)).collect();
        *self = Self::default();
        all
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_takes_no_more_memory_than_it_was_given() {
        assert_eq!(size_of::<Option<Entry>>(), 16);
    }

    #[test]
    fn a_distance_that_has_no_room_stands_beside() {
        for distance in [0, 1, 0xffff, 0xff_fffe] {
            assert_eq!(near(distance), distance as u32);
            assert_eq!(Near::from(distance as u32).get(), distance as u32);
        }
        for distance in [0xff_ffff, 0x100_0000, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(near(distance), BESIDE);
        }
        assert_eq!(Near::from(BESIDE).get(), BESIDE);
    }

    #[test]
    fn copies_are_found_by_number_and_empty_pages_take_no_memory() {
        let mut queue = Queue::default();
        let seqs = [1, 63, 64, 1000];
        for seq in seqs {
            queue.insert(seq, Entry::new(seq as Slot, 0, Lane::Normal));
        }
        let found =
            |queue: &Queue, range| -> Vec<Seq> { queue.range(range).map(|(seq, _)| seq).collect() };
        assert_eq!(found(&queue, 0..=Seq::MAX), seqs);
        assert_eq!(found(&queue, 63..=999), [63, 64]);
        assert!(found(&queue, 2..=62).is_empty());
        assert!(queue.get(2).is_none() && queue.get(64).is_some_and(|e| e.slot == 64));
        assert!(queue.remove(64).is_some() && queue.remove(64).is_none());
        assert_eq!((queue.len(), queue.pages.len()), (3, 2));
        assert_eq!(queue.drain().len(), 3);
        assert_eq!((queue.len(), queue.pages.len()), (0, 0));
    }
}
