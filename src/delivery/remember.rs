//! What is remembered of messages so that none is taken twice (G4): by their parcels as long as those are here, then in a
//! [`Memory`](super::memory::Memory).

use super::{
    Delivery,
    parcels::{Content, Kept, content, digest_of},
};
use crate::model::{Digest, MessageId};

impl Delivery {
    /// The content of a message that was submitted here, while it is remembered.
    pub(super) fn sent_as(&self, message: MessageId) -> Option<Content> {
        let mut here = self
            .parcels
            .of_message(message)
            .map(|slot| self.parcels.get(slot));
        let here =
            here.find_map(|kept| kept.content().filter(|_| !self.sent.is_past(kept.expires)));
        here.or_else(|| self.sent.get(&message).map(content))
    }

    /// The parcel of a message that came for this node, while it is remembered.
    pub(super) fn seen_as(&self, message: MessageId) -> Option<Digest> {
        let mut here = self
            .parcels
            .of_message(message)
            .map(|slot| self.parcels.get(slot));
        let here = here.find(|kept| kept.is_seen() && !self.seen.is_past(kept.expires));
        here.map(|kept| kept.digest)
            .or_else(|| self.seen.get(&message))
    }

    /// Messages that were submitted here and are remembered.
    pub(super) fn remembered_sent(&self) -> u64 {
        self.parcels.own() + self.sent.len() as u64
    }

    /// Messages that came for this node and are remembered.
    pub(super) fn remembered_seen(&self) -> u64 {
        self.parcels.seen() + self.seen.len() as u64
    }

    /// A parcel is here no longer: its message stays remembered until its time.
    pub(super) fn remember(&mut self, kept: &Kept) {
        let (message, expires) = (kept.message, kept.expires);
        if let Some(content) = kept.content()
            && !self.sent.is_past(expires)
        {
            self.sent.insert(message, digest_of(content), expires);
        }
        if kept.is_seen() && !self.seen.is_past(expires) {
            self.seen.insert(message, kept.digest, expires);
        }
    }

    /// Forgets a message that came and was not released, when it is to come again.
    pub(super) fn forget_seen(&mut self, message: MessageId) {
        let here: Vec<_> = self.parcels.of_message(message).collect();
        for slot in here {
            self.parcels.set_seen(slot, false);
        }
        self.seen.forget(&message);
    }
}
