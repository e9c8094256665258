//! What a node keeps in memory of one parcel.

use std::slice;

use bincode::{Decode, Encode, enc::Encoder, error::EncodeError};

use super::{
    index::{NOWHERE, Place},
    names::Number,
};
use crate::{
    codec::Each,
    delivery::{expiries::Second, hop::Seq},
    model::{Digest, Lane, Location, Lsn, MessageId, Millis, Reason, State},
};

/// What is kept of one parcel, but for what few have, which stands in a [`Rare`]. It is put together when it is asked for: a node may have
/// a million, and keeps [`Ids`] and a [`Row`] of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery) struct Kept {
    pub(in crate::delivery) message: MessageId,
    pub(in crate::delivery) digest: Digest,
    /// Digest of (sender, case); 0 when there is no case and so no order.
    pub(in crate::delivery) chain: u64,
    pub(in crate::delivery) received: Millis,
    /// The record that brought it, or that brought what it had waited for: parcels go on in this order.
    pub(in crate::delivery) order: Lsn,
    pub(in crate::delivery) expires: Millis,
    pub(in crate::delivery) location: Location,
    /// The parcel's size.
    pub(in crate::delivery) bytes: u32,
    pub(in crate::delivery) lane: Lane,
    pub(super) flags: u8,
    /// Whether it is in the inbox, and how many times it waits for a predecessor.
    pub(super) uses: u32,
    /// The first copy in an outbox: the neighbour's number, and the copy's; 0 when there is none.
    pub(super) hop: Number,
    pub(super) seq: Seq,
    pub(super) origin: Origin,
}

/// Where a parcel has come from, and what is kept because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An application of this node submitted it: custody is here.
    Own {
        content: Content,
        /// The receiver, when there is one; its target is [`MANY`] when there are more.
        receiver: Party,
    },
    /// A neighbour brought it, or it is a receipt of this node.
    Passing {
        sender: Number,
        reply_to: Number,
        /// When the first hub judged its signer.
        attested: Millis,
    },
}

/// What a parcel is looked for by. There is one for every parcel that is queued, so it has no byte to spare.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(super) struct Ids {
    pub(super) message: MessageId,
    pub(super) digest: Digest,
    pub(super) next_of_message: Place,
    pub(super) next_of_digest: Place,
    lane: Lane,
}

/// All else of a parcel as numbers, of which those of parcels that came one after another are near each other: in this way a block of
/// them packs well.
pub(super) type Row = [u64; COLUMNS];
pub(super) const COLUMNS: usize = 17;

/// A time is kept as so many of these after another one, and what is left.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const OWN: u64 = 0;
/// The last moment, milliseconds since the Unix epoch: later ones are taken for it, so that sums of times stay times.
const TIME_MAX: Millis = (1 << 48) - 1;

impl Kept {
    pub(super) fn ids(&self) -> Ids {
        Ids {
            message: self.message,
            digest: self.digest,
            next_of_message: NOWHERE,
            next_of_digest: NOWHERE,
            lane: self.lane,
        }
    }

    pub(super) fn row(&self) -> Row {
        // Most expire a number of days after they came, give or take a moment.
        let ahead = self.expires.wrapping_sub(self.received);
        let ahead = ahead.wrapping_add(DAY_MS / 2);
        let Location {
            segment,
            offset,
            len,
        } = self.location;
        let (is_passing, first, second, third) = match self.origin {
            Origin::Own { content, receiver } => {
                let Party {
                    target,
                    state,
                    reason,
                } = receiver;
                let end = (state as u64) << 8 | reason as u64;
                (OWN, content, target.into(), end)
            }
            Origin::Passing {
                sender,
                reply_to,
                attested,
            } => (OWN + 1, attested, sender.into(), reply_to.into()),
        };
        [
            self.chain,
            self.received,
            self.order,
            ahead / DAY_MS,
            ahead % DAY_MS,
            segment.into(),
            offset.into(),
            len.wrapping_sub(self.bytes).into(),
            self.bytes.into(),
            self.flags.into(),
            self.uses.into(),
            self.hop.into(),
            self.seq,
            is_passing,
            first,
            second,
            third,
        ]
    }

    /// From what [`Kept::ids`] and [`Kept::row`] made of it.
    pub(super) fn of(ids: &Ids, row: &Row) -> Self {
        let [
            chain,
            received,
            order,
            days,
            rest,
            segment,
            offset,
            beyond,
            bytes,
            flags,
            uses,
            hop,
            seq,
            is_passing,
            first,
            second,
            third,
        ] = *row;
        let ahead = days.wrapping_mul(DAY_MS).wrapping_add(rest);
        let expires = received.wrapping_add(ahead).wrapping_sub(DAY_MS / 2);
        let origin = match is_passing {
            OWN => Origin::Own {
                content: first,
                receiver: Party {
                    target: second as Number,
                    state: State::ALL[(third >> 8) as usize],
                    reason: Reason::ALL[(third & 0xff) as usize],
                },
            },
            _ => Origin::Passing {
                sender: second as Number,
                reply_to: third as Number,
                attested: first,
            },
        };
        Self {
            message: ids.message,
            digest: ids.digest,
            chain,
            received,
            order,
            expires,
            location: Location {
                segment: segment as u32,
                offset: offset as u32,
                len: (beyond as u32).wrapping_add(bytes as u32),
            },
            bytes: bytes as u32,
            lane: ids.lane,
            flags: flags as u8,
            uses: uses as u32,
            hop: hop as Number,
            seq,
            origin,
        }
    }
}

/// A receiver, as the origin keeps it until its terminal receipt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Party {
    pub(super) target: Number,
    pub(super) state: State,
    pub(super) reason: Reason,
}

/// The target that stands for several, which are in [`Rare::receivers`].
pub(super) const MANY: Number = Number::MAX;

/// What few parcels have.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rare {
    /// Copies beyond the first.
    pub(super) copies: Vec<(Number, Seq)>,
    pub(super) receivers: Vec<Party>,
    /// Who is told of a copy of an own parcel that came back, when it is not this node.
    pub(super) reply_to: Option<Number>,
}

impl Rare {
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.receivers.is_empty() && self.reply_to.is_none()
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

/// A digest of what an application submitted, shortened to 40 bits: it tells a repetition from another message under the same id, and
/// whoever went to the length of finding another one would deceive nobody but itself.
pub(in crate::delivery) type Content = u64;

/// Versions before kept 64 bits of it.
const CONTENT_BITS: u32 = 40;
const CONTENT_MASK: Content = (1 << CONTENT_BITS) - 1;

/// The content of a digest, and the digest that stands for it in a memory.
pub(in crate::delivery) fn content(digest: Digest) -> Content {
    digest.mark() & CONTENT_MASK
}

pub(in crate::delivery) fn digest_of(content: Content) -> Digest {
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&content.to_le_bytes());
    digest
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
        matches!(self.origin, Origin::Own { .. })
    }

    /// What was submitted, when it is this node's own.
    pub(in crate::delivery) fn content(&self) -> Option<Content> {
        match self.origin {
            Origin::Own { content, .. } => Some(content),
            Origin::Passing { .. } => None,
        }
    }

    /// When the first hub judged its signer; 0 when none has.
    pub(in crate::delivery) fn attested(&self) -> Millis {
        match self.origin {
            Origin::Own { .. } => 0,
            Origin::Passing { attested, .. } => attested,
        }
    }

    /// The second at whose end it is due, when custody of it ends so long after it has expired.
    pub(in crate::delivery) fn due(&self, in_custody: bool, grace: Millis) -> Option<Second> {
        let expires = self.expires / 1000;
        if self.flags & EXPIRED == 0 {
            Some(expires)
        } else if self.flags & GIVEN_UP == 0 && in_custody {
            Some(((self.expires + grace) / 1000).max(expires + 1))
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
#[derive(Debug, Decode)]
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

#[derive(Debug, Decode)]
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
                let content = content & CONTENT_MASK;
                Origin::Own { content, receiver }
            }
            WholeOrigin::Passing {
                sender,
                reply_to,
                attested,
            } => Origin::Passing {
                sender,
                reply_to,
                attested: attested.min(TIME_MAX),
            },
        };
        let mut kept = Kept {
            message: self.message,
            digest: self.digest,
            chain: self.chain,
            received: self.received.min(TIME_MAX),
            order: self.order,
            expires: self.expires.min(TIME_MAX),
            location: self.location,
            bytes: self.bytes,
            lane: self.lane,
            flags: self.flags & !PASSING_FLAGS,
            uses: self.uses,
            hop: 0,
            seq: 0,
            origin,
        };
        kept.level(&mut rare);
        (kept, rare)
    }
}

/// A parcel, written as the [`Whole`] that it is read back as.
pub(super) struct Written<'a> {
    pub(super) kept: Kept,
    pub(super) rare: Option<&'a Rare>,
}

/// Without the lists that a [`Whole`] has: a node may have a million, and nothing else is done while they are written.
impl Encode for Written<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self { kept, rare } = self;
        let copies = Each {
            len: kept.copies(*rare).count(),
            items: || kept.copies(*rare),
        };
        let times = (kept.received, kept.order, kept.expires);
        let flags = kept.flags & !PASSING_FLAGS;
        (kept.message, kept.digest, kept.chain, times).encode(encoder)?;
        (kept.location, kept.bytes, kept.lane, flags, kept.uses).encode(encoder)?;
        copies.encode(encoder)?;
        // As a `WholeOrigin`: its kind, then what it has.
        match kept.origin {
            Origin::Own { content, .. } => {
                let reply_to = rare.and_then(|rare| rare.reply_to);
                (0_u32, content, kept.receivers(*rare), reply_to).encode(encoder)
            }
            Origin::Passing {
                sender,
                reply_to,
                attested,
            } => (1_u32, sender, reply_to, attested).encode(encoder),
        }
    }
}

impl Kept {
    /// Takes from `rare` what has room here.
    pub(super) fn level(&mut self, rare: &mut Rare) {
        if !self.has_copy() && !rare.copies.is_empty() {
            (self.hop, self.seq) = rare.copies.remove(0);
        }
    }

    /// At the origin, its receivers. Elsewhere none.
    pub(super) fn receivers<'a>(&'a self, rare: Option<&'a Rare>) -> &'a [Party] {
        match &self.origin {
            Origin::Own { receiver, .. } if receiver.target == MANY => {
                rare.map_or(&[], |rare| &rare.receivers)
            }
            Origin::Own { receiver, .. } => slice::from_ref(receiver),
            Origin::Passing { .. } => &[],
        }
    }

    /// Copies in outboxes, by neighbour, in the order in which they were queued.
    pub(super) fn copies<'a>(
        &self,
        rare: Option<&'a Rare>,
    ) -> impl Iterator<Item = (Number, Seq)> + use<'a> {
        let (hop, seq) = (self.hop, self.seq);
        let first = (seq != 0).then_some((hop, seq));
        let rest = rare.into_iter().flat_map(|rare| &rare.copies);
        first.into_iter().chain(rest.copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    #[test]
    fn what_a_parcel_is_looked_for_by_takes_no_more_memory_than_it_was_given() {
        assert_eq!(size_of::<Ids>(), 41);
        assert_eq!(size_of::<Option<Ids>>(), 41, "a free place takes no more");
    }

    fn party() -> impl Strategy<Value = Party> {
        let party = (any::<Number>(), 0..State::ALL.len(), 0..Reason::ALL.len());
        party.prop_map(|(target, state, reason)| Party {
            target,
            state: State::ALL[state],
            reason: Reason::ALL[reason],
        })
    }

    fn kept() -> impl Strategy<Value = Kept> {
        let origin = prop_oneof![
            (any::<Content>(), party())
                .prop_map(|(content, receiver)| Origin::Own { content, receiver }),
            any::<(Number, Number, Millis)>().prop_map(|(sender, reply_to, attested)| {
                Origin::Passing {
                    sender,
                    reply_to,
                    attested,
                }
            }),
        ];
        let ids = any::<([u8; 16], [u8; 16], u64)>();
        let times = any::<(Millis, Lsn, Millis)>();
        let place = any::<(u32, u32, u32, u32)>();
        let rest = (0..Lane::ALL.len(), any::<(u8, u32, Number, Seq)>());
        (ids, times, place, rest, origin).prop_map(
            |((message, digest, chain), times, place, (lane, rest), origin)| Kept {
                message: MessageId(message),
                digest: Digest(digest),
                chain,
                received: times.0,
                order: times.1,
                expires: times.2,
                location: Location {
                    segment: place.0,
                    offset: place.1,
                    len: place.2,
                },
                bytes: place.3,
                lane: Lane::ALL[lane],
                flags: rest.0,
                uses: rest.1,
                hop: rest.2,
                seq: rest.3,
                origin,
            },
        )
    }

    proptest! {
        #[test]
        fn a_parcel_is_put_together_as_it_was(kept in kept()) {
            prop_assert_eq!(Kept::of(&kept.ids(), &kept.row()), kept);
        }

        #[test]
        fn a_parcel_is_read_from_a_checkpoint_as_it_was_written(
            kept in kept(),
            copies in prop::collection::vec((any::<Number>(), 1..Seq::MAX), 0..3),
            receivers in prop::collection::vec(party(), 2..4),
            reply_to in any::<Option<Number>>(),
        ) {
            let read = |kept: Kept, rare: &Rare| {
                let bytes = codec::encode(&Written { kept, rare: Some(rare) });
                codec::decode::<Whole, 4096>(&bytes).map(Whole::split).expect("as written")
            };
            let mut kept = kept;
            let mut rare = Rare { copies, ..Rare::default() };
            if let Origin::Own { receiver, .. } = &mut kept.origin {
                rare.reply_to = reply_to;
                if receiver.target % 2 == 0 {
                    (receiver.target, rare.receivers) = (MANY, receivers);
                    (receiver.state, receiver.reason) = (State::Queued, Reason::None);
                }
            }
            kept.level(&mut rare);
            let (first, first_rare) = read(kept, &rare);
            prop_assert_eq!(&first_rare, &rare);
            let in_bounds = Kept {
                received: kept.received.min(TIME_MAX),
                expires: kept.expires.min(TIME_MAX),
                flags: kept.flags & !PASSING_FLAGS,
                origin: first.origin,
                ..kept
            };
            prop_assert_eq!(first, in_bounds);
            prop_assert_eq!(first.receivers(Some(&rare)), kept.receivers(Some(&rare)));
            prop_assert_eq!(read(first, &first_rare), (first, first_rare));
        }
    }
}
