//! Why an attachment is needed, and what becomes of messages whose attachments are here, or never will be.

use super::{Alarm, Blobs, fetch::Fetch};
use crate::delivery::{BlobNews, Delivery, NotAccepted, Output, parcels::Slot, record::Record};
use crate::model::{BlobDigest, Log, Millis, Reason, State};
use crate::parcel::Header;

/// How long the fetching of an attachment goes on that nobody needs any more. Its message may just have gone on to a neighbour that will
/// want it in a moment.
const LINGER_MS: Millis = 15_000;

impl Delivery {
    /// Whether an attachment is needed: then its keeper may not remove it.
    pub fn needs_blob(&self, digest: &BlobDigest) -> bool {
        self.blobs.needs.contains_key(digest) || self.blobs.ended.contains_key(digest)
    }

    /// Records are synced: what they ended needs nothing any more.
    pub(in crate::delivery) fn blobs_synced(&mut self) {
        let synced = self.synced;
        self.blobs.ended.retain(|_, lsn| *lsn > synced);
    }

    /// A parcel is kept: what it names is needed from now on.
    pub(in crate::delivery) fn name_blobs(&mut self, slot: Slot, header: &Header) {
        if header.attachments.is_empty() {
            return;
        }
        let digests = header.attachments.iter().map(|bytes| BlobDigest(*bytes));
        let mut digests: Vec<BlobDigest> = digests.collect();
        digests.sort_unstable();
        digests.dedup();
        for digest in &digests {
            let need = self.blobs.needs.entry(*digest).or_default();
            need.parcels.insert(slot);
            self.blobs.touched.insert(*digest);
        }
        self.blobs.named.insert(slot, digests.into());
    }

    /// A parcel is kept no longer.
    pub(in crate::delivery) fn unname_blobs(&mut self, slot: Slot) {
        let Some(digests) = self.blobs.named.remove(&slot) else {
            return;
        };
        self.blobs.unsettled.remove(&slot);
        for digest in digests {
            if let Some(need) = self.blobs.needs.get_mut(&digest) {
                need.parcels.remove(&slot);
                self.blobs.touched.insert(digest);
            }
        }
    }

    /// Whether an application may name these attachments: they are here, and can now not be removed.
    pub(in crate::delivery) fn has_blobs(&self, header: &Header) -> Result<(), NotAccepted> {
        let mut digests = header.attachments.iter().map(|bytes| BlobDigest(*bytes));
        match digests.find(|digest| !self.blobs.is_whole(digest)) {
            None => Ok(()),
            Some(digest) => Err(NotAccepted::Attachment(digest)),
        }
    }

    /// The keeper of attachments has something to say of one.
    pub(in crate::delivery) fn on_blob(&mut self, digest: BlobDigest, news: BlobNews) {
        match news {
            BlobNews::Part { size, have } => self.blob_described(digest, size, have),
            BlobNews::Stored(chunks) => self.blob_stored(digest, &chunks),
            BlobNews::Whole { size } => self.blob_whole(digest, size),
            BlobNews::TooLarge => self.blob_refused(digest),
            BlobNews::NoRoom => self.blob_parked(digest),
            BlobNews::Lost => self.blob_lost(digest),
            BlobNews::Unasked { session } => self.blob_unasked(session, digest),
        }
    }

    /// Follows from whatever has happened: what is needed is fetched, what is not is let go, and messages whose attachments are all
    /// here are delivered.
    pub(in crate::delivery) fn settle_blobs(&mut self, log: &mut dyn Log) {
        loop {
            let touched = std::mem::take(&mut self.blobs.touched);
            let unsettled = std::mem::take(&mut self.blobs.unsettled);
            if touched.is_empty() && unsettled.is_empty() {
                return;
            }
            for digest in touched {
                self.reconsider(digest);
            }
            for slot in unsettled {
                self.settle_parcel(slot, log);
            }
        }
    }

    /// The need of an attachment, or what is here of it, may have changed.
    pub(super) fn reconsider(&mut self, digest: BlobDigest) {
        let is_whole = self.blobs.is_whole(&digest);
        let Blobs {
            needs,
            fetches,
            unsettled,
            ..
        } = &mut self.blobs;
        let is_fetched = matches!(fetches.get(&digest), Some(Fetch::Asked { .. }));
        let mut has_ended = false;
        match needs.get_mut(&digest) {
            Some(need) if need.is_empty() && is_fetched && !is_whole && !need.has_lingered => {
                if !std::mem::replace(&mut need.lingers, true) {
                    let at = self.now.mono + LINGER_MS;
                    self.blobs.wake(at, Alarm::Linger(digest));
                }
                return;
            }
            Some(need) if need.is_empty() => {
                needs.remove(&digest);
                has_ended = true;
            }
            Some(need) => (need.lingers, need.has_lingered) = (false, false),
            None => {}
        }
        let Some(need) = needs.get(&digest) else {
            self.end_fetch(digest);
            if has_ended && self.blobs.here.contains_key(&digest) {
                if self.lsn > self.synced {
                    self.blobs.ended.insert(digest, self.lsn);
                }
                self.after_sync(Output::BlobFreed(digest));
            }
            return;
        };
        if is_whole {
            unsettled.extend(&need.parcels);
            self.end_fetch(digest);
            return;
        }
        let is_idle = *fetches.entry(digest).or_default() == Fetch::Idle;
        // Some of them may be refused.
        unsettled.extend(&need.parcels);
        if is_idle {
            // Who needs it now may be somebody else: those that had nothing of it are asked again.
            for source in self.blobs.sources.values_mut() {
                source.may_have(&digest);
            }
        }
        self.refuse_wanters(digest);
        self.seek(digest);
        self.tell_senders(digest);
    }

    /// An attachment has lingered.
    pub(super) fn end_linger(&mut self, digest: BlobDigest) {
        if let Some(need) = self.blobs.needs.get_mut(&digest) {
            need.has_lingered = need.lingers;
            self.blobs.touched.insert(digest);
        }
    }

    fn settle_parcel(&mut self, slot: Slot, log: &mut dyn Log) {
        let Some(digests) = self.blobs.named.get(&slot) else {
            return;
        };
        let sender = self.parcels.sender(slot);
        let is_refused = digests.iter().any(|d| self.is_refused(d, sender));
        let is_whole = digests.iter().all(|d| self.blobs.is_whole(d));
        let parcel = self.parcels.get(slot).digest;
        let wall = self.now.wall;
        if is_refused {
            let (state, reason) = (State::Refused, Reason::AttachmentTooLarge);
            for (neighbour, seq) in self.parcels.copies_of(slot) {
                self.begin_end(&neighbour, seq, state, reason, "", log);
            }
            if self.inbox.is_shut(slot) {
                let record = Record::Unattached {
                    parcel,
                    state,
                    reason,
                    wall,
                };
                self.commit(record, log);
                self.reopen();
            }
        } else if is_whole && self.inbox.is_shut(slot) {
            self.commit(Record::Attached { parcel, wall }, log);
            self.serve_polls();
        }
    }
}
