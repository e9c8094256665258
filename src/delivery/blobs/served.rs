//! What one neighbour wants, and what of it is under way.

use std::collections::{BTreeMap, VecDeque};

use super::Here;
use crate::delivery::SessionId;
use crate::model::{BlobDigest, Millis, Ranges, UnitId};

/// What one neighbour wants.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) wants: BTreeMap<BlobDigest, Serving>,
    /// Those that it waits for now, in the order of its asking.
    pub(super) active: VecDeque<BlobDigest>,
    pub(super) turns: u32,
}

#[derive(Debug)]
pub(super) struct Serving {
    /// Who named it.
    pub(super) senders: Vec<UnitId>,
    pub(super) described: Described,
    /// What the neighbour has.
    pub(super) theirs: Ranges,
    /// That, and what is under way.
    pub(super) given: Ranges,
    pub(super) leases: Vec<Lease>,
    /// Whether it was told that there is something again, and has not asked since.
    pub(super) is_called: bool,
    pub(super) until: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Described {
    No,
    UnderWay(SessionId),
    Yes,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) session: SessionId,
    pub(super) until: Millis,
    /// The neighbour has asked again since. That it wanted the attachment no longer, and let go of what came, may have been said over a
    /// session that died.
    pub(super) is_doubted: bool,
}

/// What is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) describe: bool,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Served {
    pub(super) fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    pub(super) fn senders_of(&self, digest: &BlobDigest) -> &[UnitId] {
        self.wants.get(digest).map_or(&[], |want| &want.senders)
    }

    /// What it waits for now, and the chunks that it has of each.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (&BlobDigest, &Ranges)> {
        let wants = self.active.iter();
        wants.filter_map(|digest| Some((digest, &self.wants.get(digest)?.theirs)))
    }

    pub(super) fn unacked(&self) -> u64 {
        let wants = self.active.iter().filter_map(|d| self.wants.get(d));
        let leases = wants.flat_map(|serving| &serving.leases);
        leases.map(|lease| lease.last - lease.first + 1).sum()
    }
}

impl Serving {
    /// The next run, of at most so many chunks.
    pub(super) fn next(&self, here: &Here, chunks_max: u64) -> Option<Run> {
        if matches!(self.described, Described::UnderWay(_)) {
            return None;
        }
        let describe = self.described == Described::No;
        let mut at = self.given.gap(0);
        while let Some((first, last)) = here.run(at) {
            if first > at {
                at = self.given.gap(first);
                if at > first {
                    continue;
                }
            }
            let free = self
                .given
                .run(at)
                .map_or(last, |(next, _)| last.min(next - 1));
            let count = (free - at + 1).min(chunks_max);
            return Some(Run {
                describe,
                first: at,
                count,
            });
        }
        describe.then_some(Run {
            describe,
            first: 0,
            count: 0,
        })
    }

    /// Gives up leases; what was under way by them goes again.
    pub(super) fn give_back(&mut self, is_lost: impl Fn(&Lease) -> bool) {
        let lost: Vec<Lease> = self.leases.extract_if(.., |lease| is_lost(lease)).collect();
        for lease in lost {
            for chunk in lease.first..=lease.last {
                let elsewhere = self
                    .leases
                    .iter()
                    .any(|l| (l.first..=l.last).contains(&chunk));
                if !elsewhere && !self.theirs.contains(chunk) {
                    self.given.remove(chunk);
                }
            }
            if self.described == Described::UnderWay(lease.session) {
                self.described = Described::No;
            }
        }
    }

    pub(super) fn is_complete(&self, here: &Here) -> bool {
        self.described == Described::Yes && self.theirs.gap(0) >= here.count()
    }
}
