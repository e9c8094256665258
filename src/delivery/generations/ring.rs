//! The texts of one sender's latest parcels, over one hop in one direction.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Bounds, Text};
use crate::{
    delivery::hop::{GENERATION_RANGES_MAX, Generation, Seq},
    model::{Digest, Millis, Ranges},
};

/// What a text takes beside its bytes, about.
const TEXT_BYTES: usize = 128;

/// Texts by number. Of more than there is room for the lowest go: what stays depends on what was put in, and not on the order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    texts: BTreeMap<Seq, Kept>,
    bytes: usize,
    /// When it was last used.
    pub(super) used: Millis,
}

#[derive(Debug)]
struct Kept {
    parcel: Digest,
    bytes: Bytes,
    is_acked: bool,
    is_left_out: bool,
}

/// What can be offered.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) without: Ranges,
}

impl Kept {
    fn size(&self) -> usize {
        self.bytes.len() + TEXT_BYTES
    }
}

impl Ring {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put(&mut self, text: Text, bytes_max: usize) {
        let Text {
            seq,
            parcel,
            bytes,
            is_left_out,
            ..
        } = text;
        // It may have been acked by an earlier session.
        let before = self.texts.get(&seq);
        let is_acked = before.is_some_and(|kept| kept.parcel == parcel && kept.is_acked);
        self.forget(seq);
        let kept = Kept {
            parcel,
            bytes,
            is_acked,
            is_left_out,
        };
        self.bytes += kept.size();
        self.texts.insert(seq, kept);
        while self.bytes > bytes_max {
            let Some((_, gone)) = self.texts.pop_first() else {
                break;
            };
            self.bytes -= gone.size();
        }
    }

    pub(super) fn forget(&mut self, seq: Seq) {
        if let Some(gone) = self.texts.remove(&seq) {
            self.bytes -= gone.size();
        }
    }

    pub(super) fn acked(&mut self, seqs: &Ranges) {
        for (seq, kept) in self.texts.iter_mut().filter(|(_, kept)| !kept.is_acked) {
            kept.is_acked = seqs.contains(*seq);
        }
    }

    /// The latest that is acked, if enough of it is new since `newest`. With `any`, what is not acked too.
    pub(super) fn propose(
        &self,
        bounds: &Bounds,
        newest: Option<&Generation>,
        any: bool,
    ) -> Option<Span> {
        let acked = |kept: &Kept| (kept.is_acked || any) && !kept.is_left_out;
        let size = |texts: std::collections::btree_map::Range<'_, Seq, Kept>| {
            let sizes = texts.map(|(_, kept)| kept).filter(|kept| acked(kept));
            sizes.map(|kept| kept.bytes.len()).sum::<usize>()
        };
        let first = *self.texts.first_key_value()?.0;
        // Of one that is not all here any more nothing can be used.
        let newest = newest.filter(|newest| first <= newest.first);
        let new = size(self.texts.range(newest.map_or(0, |g| g.last + 1)..));
        let (least, most) = (*bounds.step_bytes.start(), *bounds.step_bytes.end());
        let step = |newest: &Generation| {
            let before = size(self.texts.range(newest.first..=newest.last));
            (before / 8).clamp(least, most)
        };
        if new < least || newest.is_some_and(|newest| new < step(newest)) {
            return None;
        }
        let mut span: Option<Span> = None;
        let mut left = bounds.generation_bytes;
        let mut missing = Vec::new();
        for (seq, kept) in self.texts.iter().rev() {
            if !acked(kept) {
                missing.push(*seq);
                continue;
            }
            let Some(rest) = left.checked_sub(kept.bytes.len()) else {
                break;
            };
            left = rest;
            let span = span.get_or_insert(Span {
                first: *seq,
                last: *seq,
                without: Ranges::new(),
            });
            let mut without = span.without.clone();
            for seq in missing.drain(..).filter(|seq| *seq < span.last) {
                without.insert(seq);
            }
            if without.ranges() > GENERATION_RANGES_MAX {
                break;
            }
            span.without = without;
            span.first = *seq;
        }
        span
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn seqs(&self, generation: &Generation) -> Vec<Seq> {
        let span = self.texts.range(generation.first..=generation.last);
        let seqs = span.map(|(seq, _)| *seq);
        seqs.filter(|seq| !generation.without.contains(*seq))
            .collect()
    }

    fn of<'a>(&'a self, generation: &'a Generation) -> impl Iterator<Item = &'a Kept> {
        self.texts
            .range(generation.first..=generation.last)
            .filter(|(seq, _)| !generation.without.contains(**seq))
            .map(|(_, kept)| kept)
    }

    /// What a generation of these numbers is called here.
    pub(super) fn id(&self, generation: &Generation, base: Digest) -> Digest {
        let mut all = base.0.to_vec();
        for kept in self.of(generation) {
            all.extend_from_slice(&kept.parcel.0);
        }
        Digest::of(&all)
    }

    pub(super) fn texts(&self, generation: &Generation) -> Vec<Bytes> {
        self.of(generation).map(|kept| kept.bytes.clone()).collect()
    }
}
