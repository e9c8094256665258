//! What a node keeps in memory of one parcel.

use bincode::{Decode, Encode};

use super::{index::Place, names::Number};
use crate::{
    delivery::{expiries::Second, hop::Seq},
    model::{Digest, Lane, Location, Lsn, MessageId, Millis, Reason, State},
};

/// What is kept of one parcel. There is one for every parcel that is queued, so it has no byte to spare: times take six bytes, names
/// are numbers, and what few parcels have stands in a [`Rare`].
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(in crate::delivery) struct Kept {
    pub(in crate::delivery) message: MessageId,
    pub(in crate::delivery) digest: Digest,
    /// Digest of (sender, case); 0 when there is no case and so no order.
    pub(in crate::delivery) chain: u64,
    received: Six,
    order: Six,
    expires: Six,
    pub(in crate::delivery) location: Location,
    /// The parcel's size.
    pub(in crate::delivery) bytes: u32,
    pub(in crate::delivery) lane: Lane,
    pub(super) flags: u8,
    /// Whether it is in the inbox, and how many times it waits for a predecessor; what is beyond this stands in [`Rare::uses`].
    pub(super) uses: u8,
    /// The first copy in an outbox: the neighbour's number, and the copy's; 0 when it is none.
    pub(super) hop: u16,
    pub(super) seq: u32,
    pub(super) origin: Origin,
    pub(super) next_of_message: Place,
    pub(super) next_of_digest: Place,
}

/// Where a parcel has come from, and what is kept because of that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// An application of this node submitted it: custody is here.
    Own(Own),
    /// A neighbour brought it, or it is a receipt of this node.
    Passing(Passing),
}

#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(super) struct Own {
    pub(super) content: Content,
    /// The receiver, when there is one; [`MANY`] when there are more.
    target: Number,
    state: State,
    reason: Reason,
}

#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(super) struct Passing {
    pub(super) sender: Number,
    pub(super) reply_to: Number,
    attested: Six,
}

impl Own {
    fn new(content: Content, receiver: Party) -> Self {
        Self {
            content,
            target: receiver.target,
            state: receiver.state,
            reason: receiver.reason,
        }
    }

    /// The one receiver, when there are not many.
    pub(super) fn receiver(&self) -> Option<Party> {
        let party = Party {
            target: self.target,
            state: self.state,
            reason: self.reason,
        };
        (party.target != MANY).then_some(party)
    }

    pub(super) fn with(&self, receiver: Party) -> Self {
        Self::new(self.content, receiver)
    }
}

/// A receiver, as the origin keeps it until its terminal receipt has come.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(super) struct Party {
    pub(super) target: Number,
    pub(super) state: State,
    pub(super) reason: Reason,
}

/// The target that stands for several, which are in [`Rare::receivers`].
pub(super) const MANY: Number = Number::MAX;

/// What few parcels have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Copies beyond the first, or that it has no room for.
    pub(super) copies: Vec<(Number, Seq)>,
    pub(super) receivers: Vec<Party>,
    /// Who is told of a copy of an own parcel that came back, when it is not this node.
    pub(super) reply_to: Option<Number>,
    pub(super) uses: u32,
}

impl Rare {
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty()
            && self.receivers.is_empty()
            && self.reply_to.is_none()
            && self.uses == 0
    }
}

pub(super) const RECEIPT: u8 = 1;
pub(super) const WANTS_READ: u8 = 2;
/// It went into this node's inbox, and is remembered so that it does not again.
pub(super) const SEEN: u8 = 4;
/// It has a [`Rare`].
pub(super) const RARE: u8 = 8;
/// It has had its turn when it expired, and when custody ended.
const EXPIRED: u8 = 16;
const GIVEN_UP: u8 = 32;
/// What a node knows for as long as it runs, or finds out again.
const PASSING_FLAGS: u8 = RARE | EXPIRED | GIVEN_UP;

/// A digest of what an application submitted, shortened to 64 bits: it tells a repetition from another message under the same id, and
/// whoever went to the length of finding another one would deceive nobody but itself.
pub(in crate::delivery) type Content = u64;

/// The content of a digest, and the digest that stands for it in a memory.
pub(in crate::delivery) fn content(digest: Digest) -> Content {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

pub(in crate::delivery) fn digest_of(content: Content) -> Digest {
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&content.to_le_bytes());
    digest
}

/// A number of six bytes, enough for the milliseconds of 8,900 years and for any record: a greater one is kept as the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Six([u8; 6]);

impl From<u64> for Six {
    fn from(number: u64) -> Self {
        let [a, b, c, d, e, f, ..] = number.min((1 << 48) - 1).to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl From<Six> for u64 {
    fn from(Six([a, b, c, d, e, f]): Six) -> Self {
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

impl Kept {
    pub(in crate::delivery) fn is_receipt(&self) -> bool {
        self.flags & RECEIPT != 0
    }

    /// Whether the sender wants to know that the application took it.
    pub(in crate::delivery) fn wants_read(&self) -> bool {
        self.flags & WANTS_READ != 0
    }

    /// Whether it is in the memory of what came here.
    pub(in crate::delivery) fn is_seen(&self) -> bool {
        self.flags & SEEN != 0
    }

    /// Whether an application of this node submitted it.
    pub(in crate::delivery) fn is_own(&self) -> bool {
        matches!(self.origin, Origin::Own(_))
    }

    /// What was submitted, when it is this node's own.
    pub(in crate::delivery) fn content(&self) -> Option<Content> {
        match self.origin {
            Origin::Own(own) => Some(own.content),
            Origin::Passing(_) => None,
        }
    }

    pub(in crate::delivery) fn received(&self) -> Millis {
        self.received.into()
    }

    /// The record that brought it, or that brought what it had waited for: parcels go on in this order.
    pub(in crate::delivery) fn order(&self) -> Lsn {
        self.order.into()
    }

    pub(in crate::delivery) fn set_order(&mut self, order: Lsn) {
        self.order = order.into();
    }

    pub(in crate::delivery) fn expires(&self) -> Millis {
        self.expires.into()
    }

    /// When the first hub judged its signer; 0 when none has.
    pub(in crate::delivery) fn attested(&self) -> Millis {
        match self.origin {
            Origin::Own(_) => 0,
            Origin::Passing(passing) => passing.attested.into(),
        }
    }

    /// The second at whose end it is due, when custody of it ends so long after it has expired.
    pub(in crate::delivery) fn due(&self, in_custody: bool, grace: Millis) -> Option<Second> {
        let expires = self.expires() / 1000;
        if self.flags & EXPIRED == 0 {
            Some(expires)
        } else if self.flags & GIVEN_UP == 0 && in_custody {
            Some(((self.expires() + grace) / 1000).max(expires + 1))
        } else {
            None
        }
    }

    /// It has had the turn that it was due for.
    pub(in crate::delivery) fn had_turn(&mut self) {
        self.flags |= match self.flags & EXPIRED {
            0 => EXPIRED,
            _ => GIVEN_UP,
        };
    }

    pub(super) fn has_copy(&self) -> bool {
        self.seq != 0
    }
}

/// A parcel as a checkpoint has it, with everything that is kept of it.
#[derive(Debug, Encode, Decode)]
pub(super) struct Whole {
    pub(super) message: MessageId,
    pub(super) digest: Digest,
    pub(super) chain: u64,
    pub(super) received: Millis,
    pub(super) order: Lsn,
    pub(super) expires: Millis,
    pub(super) location: Location,
    pub(super) bytes: u32,
    pub(super) lane: Lane,
    pub(super) flags: u8,
    pub(super) uses: u32,
    pub(super) copies: Vec<(Number, Seq)>,
    pub(super) origin: WholeOrigin,
}

#[derive(Debug, Encode, Decode)]
pub(super) enum WholeOrigin {
    Own {
        content: Content,
        receivers: Vec<Party>,
        reply_to: Option<Number>,
    },
    Passing {
        sender: Number,
        reply_to: Number,
        attested: Millis,
    },
}

impl Whole {
    /// Takes it apart: what every parcel has, and what few have.
    pub(super) fn split(self) -> (Kept, Rare) {
        let mut rare = Rare {
            copies: self.copies,
            uses: self.uses,
            ..Rare::default()
        };
        let origin = match self.origin {
            WholeOrigin::Own {
                content,
                receivers,
                reply_to,
            } => {
                rare.reply_to = reply_to;
                let receiver = match receivers[..] {
                    [receiver] => receiver,
                    _ => {
                        rare.receivers = receivers;
                        Party {
                            target: MANY,
                            state: State::Queued,
                            reason: Reason::None,
                        }
                    }
                };
                Origin::Own(Own::new(content, receiver))
            }
            WholeOrigin::Passing {
                sender,
                reply_to,
                attested,
            } => Origin::Passing(Passing {
                sender,
                reply_to,
                attested: attested.into(),
            }),
        };
        let mut kept = Kept {
            message: self.message,
            digest: self.digest,
            chain: self.chain,
            received: self.received.into(),
            order: self.order.into(),
            expires: self.expires.into(),
            location: self.location,
            bytes: self.bytes,
            lane: self.lane,
            flags: self.flags & !PASSING_FLAGS,
            uses: 0,
            hop: 0,
            seq: 0,
            origin,
            next_of_message: super::index::NOWHERE,
            next_of_digest: super::index::NOWHERE,
        };
        kept.level(&mut rare);
        (kept, rare)
    }

    /// Puts it together again.
    pub(super) fn of(kept: &Kept, rare: Option<&Rare>) -> Self {
        Self {
            message: kept.message,
            digest: kept.digest,
            chain: kept.chain,
            received: kept.received(),
            order: kept.order(),
            expires: kept.expires(),
            location: kept.location,
            bytes: kept.bytes,
            lane: kept.lane,
            flags: kept.flags & !PASSING_FLAGS,
            uses: u32::from(kept.uses) + rare.map_or(0, |rare| rare.uses),
            copies: kept.copies(rare).collect(),
            origin: match kept.origin {
                Origin::Own(own) => WholeOrigin::Own {
                    content: own.content,
                    receivers: match own.receiver() {
                        Some(receiver) => vec![receiver],
                        None => rare.map_or_else(Vec::new, |rare| rare.receivers.clone()),
                    },
                    reply_to: rare.and_then(|rare| rare.reply_to),
                },
                Origin::Passing(passing) => WholeOrigin::Passing {
                    sender: passing.sender,
                    reply_to: passing.reply_to,
                    attested: passing.attested.into(),
                },
            },
        }
    }
}

impl Kept {
    /// Takes from `rare` what has room here.
    pub(super) fn level(&mut self, rare: &mut Rare) {
        if !self.has_copy()
            && let Some((hop, seq)) = rare.copies.first()
            && let (Ok(hop), Ok(seq)) = (u16::try_from(*hop), u32::try_from(*seq))
        {
            (self.hop, self.seq) = (hop, seq);
            rare.copies.remove(0);
        }
        let room = u32::from(u8::MAX - self.uses).min(rare.uses);
        self.uses += room as u8;
        rare.uses -= room;
    }

    /// Copies in outboxes, by neighbour, in the order in which they were queued.
    pub(super) fn copies<'a>(
        &self,
        rare: Option<&'a Rare>,
    ) -> impl Iterator<Item = (Number, Seq)> + use<'a> {
        let (hop, seq) = (self.hop, self.seq);
        let first = (seq != 0).then_some((Number::from(hop), Seq::from(seq)));
        let rest = rare.into_iter().flat_map(|rare| &rare.copies);
        first.into_iter().chain(rest.copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_takes_no_more_memory_than_it_was_given() {
        assert_eq!(size_of::<Kept>(), 106);
        assert_eq!(size_of::<Option<Kept>>(), 106, "a free place takes no more");
    }

    #[test]
    fn a_time_beyond_all_times_is_the_last_one() {
        for n in [0, 1, 1 << 47, (1 << 48) - 1] {
            assert_eq!(u64::from(Six::from(n)), n);
        }
        assert_eq!(u64::from(Six::from(u64::MAX)), (1 << 48) - 1);
    }
}
