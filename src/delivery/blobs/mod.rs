//! Attachments: which are needed here and for what, which are here, whom they are fetched from, and who fetches them from here.
//!
//! A parcel names its attachments by digest and travels ahead of them; they are pulled behind it, hop by hop, and chunk by chunk. Why an
//! attachment is needed follows from the parcels that are kept, and from what neighbours want; so nothing of a transfer is durable here
//! but the parcels' names of attachments. What has come is on the disk, whose keeper tells at the start what it has.
//!
//! - [`needs`]: an attachment is needed while a parcel that names it is here, or a neighbour wants it. A message whose attachments are not
//!   all here stays shut in the inbox.
//! - [`fetch`]: what is needed and not here is wanted from the neighbour on the way to a sender that named it. What this node has of it is
//!   said with the want, and again in every session: nothing that was acked in between needs to be durable.
//! - [`serve`]: what a neighbour wants is given to its sessions in runs of chunks, against bulk grants. A run is leased: it goes again
//!   when its session dies. What is still being fetched is passed on as it comes.

mod fetch;
mod needs;
mod serve;
mod served;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use self::view::{BlobOnItsWay, BlobView};
use self::{
    fetch::{Fetch, Source},
    served::Served,
};
use super::parcels::Slot;
use crate::model::{BlobDigest, Lsn, Millis, Ranges, UnitId, chunk_count};

/// Everything about attachments.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// The attachments of each parcel that has some. The only part that is durable.
    named: BTreeMap<Slot, Box<[BlobDigest]>>,
    needs: BTreeMap<BlobDigest, Need>,
    here: BTreeMap<BlobDigest, Here>,
    /// Each that is needed and not whole.
    fetches: BTreeMap<BlobDigest, Fetch>,
    /// The neighbours that something is, or was, fetched from.
    sources: BTreeMap<UnitId, Source>,
    /// The neighbours that want something.
    served: BTreeMap<UnitId, Served>,
    /// Those whose need ended by a record that may not be on stable storage yet: a power cut would bring it back.
    ended: BTreeMap<BlobDigest, Lsn>,
    /// When something is to be looked at again, monotonic.
    alarms: BTreeSet<(Millis, Alarm)>,
    /// The same by what it is, each once.
    due: BTreeMap<Alarm, Millis>,
    /// Attachments whose need may have changed, and parcels that may be opened or must end.
    touched: BTreeSet<BlobDigest>,
    unsettled: BTreeSet<Slot>,
}

/// Why an attachment is needed.
#[derive(Debug, Default)]
struct Need {
    /// Parcels that name it.
    parcels: BTreeSet<Slot>,
    /// Neighbours that want it.
    wanted: BTreeSet<UnitId>,
    /// Nobody needs it now, and its fetching goes on for a moment.
    lingers: bool,
    has_lingered: bool,
}

/// What of an attachment is here.
#[derive(Clone, Debug)]
enum Here {
    /// Its description, and these of its chunks.
    Part { size: u64, have: Ranges },
    /// All of it, on stable storage.
    Whole { size: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// An attachment that could not be had, or not be kept, is sought again.
    Seek(BlobDigest),
    /// An attachment may be needed no longer.
    Linger(BlobDigest),
    /// What a neighbour wanted so long ago that it may not any more.
    Stale(UnitId, BlobDigest),
}

impl Here {
    fn size(&self) -> u64 {
        match self {
            Here::Part { size, .. } | Here::Whole { size } => *size,
        }
    }

    fn count(&self) -> u64 {
        chunk_count(self.size())
    }

    /// The first run of chunks from `from` on that are here.
    fn run(&self, from: u64) -> Option<(u64, u64)> {
        match self {
            Here::Part { have, .. } => have.run(from),
            Here::Whole { .. } => (from < self.count()).then(|| (from, self.count() - 1)),
        }
    }
}

impl Need {
    fn is_empty(&self) -> bool {
        self.parcels.is_empty() && self.wanted.is_empty()
    }
}

impl Blobs {
    /// Whether all of an attachment is here.
    fn is_whole(&self, digest: &BlobDigest) -> bool {
        matches!(self.here.get(digest), Some(Here::Whole { .. }))
    }

    /// Whether a parcel has attachments.
    pub(super) fn has_some(&self, slot: Slot) -> bool {
        self.named.contains_key(&slot)
    }

    /// The attachments of each parcel that has some, for a checkpoint.
    pub(super) fn snapshot(&self) -> &BTreeMap<Slot, Box<[BlobDigest]>> {
        &self.named
    }

    /// From what [`Blobs::snapshot`] gave.
    pub(super) fn restore(named: BTreeMap<Slot, Box<[BlobDigest]>>) -> Self {
        let mut blobs = Self::default();
        for (slot, digests) in &named {
            for digest in digests {
                blobs
                    .needs
                    .entry(*digest)
                    .or_default()
                    .parcels
                    .insert(*slot);
                blobs.touched.insert(*digest);
            }
            blobs.unsettled.insert(*slot);
        }
        blobs.named = named;
        blobs
    }

    /// A parcel's messages may be opened, or must end: it is looked at when the input has been taken.
    pub(super) fn look_at(&mut self, slot: Slot) {
        if self.has_some(slot) {
            self.unsettled.insert(slot);
        }
    }

    /// Whether a neighbour may be given runs.
    pub(super) fn serves(&self, neighbour: &UnitId) -> bool {
        self.served.get(neighbour).is_some_and(Served::is_active)
    }

    fn wake(&mut self, at: Millis, alarm: Alarm) {
        self.calm(&alarm);
        self.due.insert(alarm.clone(), at);
        self.alarms.insert((at, alarm));
    }

    fn calm(&mut self, alarm: &Alarm) {
        if let Some(at) = self.due.remove(alarm) {
            self.alarms.remove(&(at, alarm.clone()));
        }
    }
}

/// Takes a digest out of a queue.
fn take_out(queue: &mut VecDeque<BlobDigest>, digest: &BlobDigest) -> bool {
    let before = queue.len();
    queue.retain(|d| d != digest);
    queue.len() < before
}
