//! What an all-seeing clerk writes down of every message: who submitted it, what was promised, who got it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    delivery::Ticket,
    model::{Digest, Lsn, MessageId, Millis, Pattern},
    parcel::{Header, Parcel},
};

use super::agenda::{Life, NodeIndex, Us};

/// A message's place in the ledger.
pub(super) type MessageIndex = usize;

/// Everything about one message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) sender: NodeIndex,
    /// As it was submitted first.
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
    pub(super) content: Digest,
    /// The parcels that were made of it.
    pub(super) parcels: Vec<Digest>,
    /// The earliest expiry among them.
    pub(super) expires: Millis,
    /// Submissions are numbered through: the first and the last that may have been the one that counted.
    pub(super) tried: Option<(u64, u64)>,
    /// Submissions that were never answered.
    pub(super) unanswered: u32,
    /// Its record, as long as that is not known to be durable.
    pub(super) record: Option<(Life, Lsn)>,
    pub(super) accepted_at: Option<Us>,
    /// Its sender's disk forgot it: nothing is promised any more.
    pub(super) is_lost: bool,
    /// A node could not read it back, or may find so: it may end there.
    pub(super) is_damaged: bool,
    /// Orders to drop it that were not refused.
    pub(super) drops: u32,
    /// The receivers whose end the sender has learned of.
    pub(super) concluded: BTreeSet<Pattern>,
    /// The nodes that it may reach.
    pub(super) copies: BTreeMap<NodeIndex, Copy>,
}

/// A message, for one receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Copy {
    /// Policy forbids it to arrive.
    pub(super) is_forbidden: bool,
    /// The receiver's disk was set back after the message may have been in it: it need not arrive.
    pub(super) is_excused: bool,
    /// The receiver said that it has it.
    pub(super) is_delivered: bool,
    pub(super) handed: u32,
    /// To whom it is leased: in which life of the node, under which ticket, until when by its monotonic clock.
    pub(super) lease: Option<(Life, Ticket, Millis)>,
    /// When the application first said that it is done with it.
    pub(super) took_at: Option<Us>,
    /// When the node said that it knows.
    pub(super) taken_at: Option<Us>,
}

/// All messages.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: Vec<Message>,
    by_id: HashMap<MessageId, MessageIndex>,
    by_parcel: HashMap<Digest, MessageIndex>,
    chains: HashMap<(NodeIndex, String), Vec<MessageIndex>>,
}

impl Ledger {
    pub(super) fn add(&mut self, message: Message) -> MessageIndex {
        let index = self.messages.len();
        self.by_id.insert(message.id, index);
        if let Some(case) = &message.header.case {
            let chain = (message.sender, case.clone());
            self.chains.entry(chain).or_default().push(index);
        }
        self.messages.push(message);
        index
    }

    /// Notes that a parcel carries the message.
    pub(super) fn add_parcel(&mut self, index: MessageIndex, parcel: &Parcel, expires: Millis) {
        let digest = parcel.digest();
        self.by_parcel.insert(digest, index);
        let message = &mut self.messages[index];
        message.parcels.push(digest);
        message.expires = message.expires.min(expires);
    }

    pub(super) fn get(&self, index: MessageIndex) -> &Message {
        &self.messages[index]
    }

    pub(super) fn get_mut(&mut self, index: MessageIndex) -> &mut Message {
        &mut self.messages[index]
    }

    pub(super) fn find(&self, id: MessageId) -> Option<MessageIndex> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn of_parcel(&self, parcel: &Digest) -> Option<MessageIndex> {
        self.by_parcel.get(parcel).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.messages.iter_mut()
    }

    /// Messages that were accepted for certain before this one, in its case.
    pub(super) fn predecessors(&self, of: &Message) -> impl Iterator<Item = &Message> {
        let first = of.tried.map_or(0, |(first, _)| first);
        let chain = of
            .header
            .case
            .as_ref()
            .and_then(|case| self.chains.get(&(of.sender, case.clone())));
        chain
            .into_iter()
            .flatten()
            .map(|index| &self.messages[*index])
            .filter(move |m| {
                m.accepted_at.is_some() && m.tried.is_some_and(|(_, last)| last < first)
            })
    }
}

impl Message {
    /// Whether what was promised of it holds still.
    pub(super) fn is_promised(&self) -> bool {
        self.accepted_at.is_some() && !self.is_lost
    }

    /// Whether the message may have come to an end before it was delivered, at the latest clock's `wall`.
    pub(super) fn may_have_ended(&self, wall: Millis) -> bool {
        self.expires <= wall || self.drops > 0 || self.is_damaged
    }
}
