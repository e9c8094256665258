//! The parcels that a node has: metadata only, never bodies.

mod blocks;
mod index;
mod kept;
mod names;
mod packed;
mod table;

use std::{collections::HashMap, hash::BuildHasher as _, mem};

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use hashbrown::DefaultHashBuilder;

pub(super) use self::{
    blocks::Blocks,
    index::{Index, Links, NOWHERE, Place},
    kept::{Content, Kept, content, digest_of},
    names::{Names, Number},
    table::BLOCK,
};
use self::{
    kept::{
        Ids, MANY, Origin, Party, RARE, RECEIPT, Rare, SEEN, WANTS_READ, Whole, WholeOrigin,
        Written,
    },
    table::Table,
};
use super::hop::Seq;
use crate::{
    codec::Each,
    model::{Digest, Location, Lsn, MessageId, Millis, Pattern, Reason, State, UnitId},
    parcel::Header,
};

/// Names a parcel in the table of parcels; used again once the parcel is gone.
pub(super) type Slot = Place;

/// A receiver of a parcel of this node's own: where its copy is, until its terminal receipt has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiver<'a> {
    pub(super) target: &'a Pattern,
    pub(super) state: State,
    pub(super) reason: Reason,
}

/// A parcel that comes.
pub(super) struct New<'a> {
    pub(super) header: &'a Header,
    pub(super) digest: Digest,
    pub(super) bytes: u32,
    pub(super) received: Millis,
    pub(super) order: Lsn,
    pub(super) location: Location,
    pub(super) wants_read: bool,
    pub(super) from: From,
}

/// Where it comes from.
pub(super) enum From {
    /// An application of this node submitted it, with this content.
    Application(Content),
    /// A neighbour brought it, or this node made it; when the first hub judged its signer.
    Elsewhere { attested: Millis },
}

/// The table of parcels, found by message and by digest.
#[derive(Debug)]
pub(super) struct Parcels {
    /// This node's unit: who signed its own parcels.
    me: UnitId,
    slots: Table,
    by_message: Index,
    by_digest: Index,
    hasher: DefaultHashBuilder,
    rare: HashMap<Slot, Rare>,
    /// Units that signed parcels or are told of them.
    units: Names<UnitId>,
    /// Neighbours that copies are queued for.
    neighbours: Names<UnitId>,
    /// Receivers of this node's own parcels.
    targets: Names<Pattern>,
    own: u64,
    seen: u64,
}

impl Parcels {
    /// An empty table of the node that is this unit.
    pub(super) fn new(me: UnitId) -> Self {
        Self {
            me,
            slots: Table::default(),
            by_message: Index::default(),
            by_digest: Index::default(),
            hasher: DefaultHashBuilder::default(),
            rare: HashMap::new(),
            units: Names::default(),
            neighbours: Names::default(),
            targets: Names::default(),
            own: 0,
            seen: 0,
        }
    }

    pub(super) fn insert(&mut self, new: New<'_>) -> Slot {
        let header = new.header;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let origin = match new.from {
            From::Application(content) => {
                let receivers = header.to.iter().map(|target| Party {
                    target: self.targets.take(target),
                    state: State::Queued,
                    reason: Reason::None,
                });
                WholeOrigin::Own {
                    content,
                    receivers: receivers.collect(),
                    reply_to: None,
                }
            }
            From::Elsewhere { attested } => WholeOrigin::Passing {
                sender: self.units.take(&header.sender),
                reply_to: self.units.take(&header.sender),
                attested,
            },
        };
        let whole = Whole {
            message: header.message_id(),
            digest: new.digest,
            chain: chain(&header.sender, header.case.as_deref()),
            received: new.received,
            order: new.order,
            expires: header.expires,
            location: new.location,
            bytes: new.bytes,
            lane: header.lane,
            flags: flag(header.kind.is_receipt(), RECEIPT) | flag(new.wants_read, WANTS_READ),
            uses: 0,
            copies: Vec::new(),
            origin,
        };
        let (kept, rare) = whole.split();
        let slot = self.slots.put(&kept);
        self.enter(slot, rare);
        slot
    }

    /// Takes a parcel that was put into its slot into everything else.
    fn enter(&mut self, slot: Slot, rare: Rare) {
        self.put_rare(slot, rare);
        let kept = self.get(slot);
        let (own, seen) = (kept.is_own(), kept.is_seen());
        self.own += u64::from(own);
        self.seen += u64::from(seen);
        let (slots, hasher) = (&mut self.slots, &self.hasher);
        self.by_message
            .insert(&mut ByMessage { slots, hasher }, slot);
        self.by_digest.insert(&mut ByDigest { slots, hasher }, slot);
    }

    /// Takes a parcel out, and says what was kept of it.
    pub(super) fn remove(&mut self, slot: Slot) -> Kept {
        let (slots, hasher) = (&mut self.slots, &self.hasher);
        self.by_message
            .remove(&mut ByMessage { slots, hasher }, slot);
        self.by_digest.remove(&mut ByDigest { slots, hasher }, slot);
        let kept = self.slots.take(slot);
        let kept = kept.unwrap_or_else(|| unreachable!("a slot is given up once"));
        let rare = self.rare.remove(&slot);
        self.own -= u64::from(kept.is_own());
        self.seen -= u64::from(kept.is_seen());
        let rare = rare.as_ref();
        kept.copies(rare).for_each(|(n, _)| self.neighbours.give(n));
        let receivers = kept.receivers(rare).iter();
        receivers.for_each(|r| self.targets.give(r.target));
        let units = match kept.origin {
            Origin::Own { .. } => [None, rare.and_then(|rare| rare.reply_to)],
            Origin::Passing {
                sender, reply_to, ..
            } => [Some(sender), Some(reply_to)],
        };
        let units = units.into_iter().flatten();
        units.for_each(|unit| self.units.give(unit));
        kept
    }

    pub(super) fn get(&self, slot: Slot) -> Kept {
        let kept = self.slots.get(slot);
        kept.unwrap_or_else(|| unreachable!("a slot in use is filled"))
    }

    /// The parcel in a slot that may have been given up.
    pub(super) fn find(&self, slot: Slot) -> Option<Kept> {
        self.slots.get(slot)
    }

    pub(super) fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Kept) -> R) -> R {
        let changed = self.slots.change(slot, change);
        changed.unwrap_or_else(|| unreachable!("a slot in use is filled"))
    }

    /// Every parcel of a message: more than one only while another content under the same id passes through a hub.
    pub(super) fn of_message(&self, message: MessageId) -> impl Iterator<Item = Slot> + '_ {
        let first = self.by_message.first(self.hasher.hash_one(message));
        self.bucket(first, |ids| ids.next_of_message)
            .filter(move |(_, ids)| ids.message == message)
            .map(|(slot, _)| slot)
    }

    pub(super) fn of_digest(&self, digest: Digest) -> Option<Slot> {
        let first = self.by_digest.first(self.hasher.hash_one(digest));
        self.bucket(first, |ids| ids.next_of_digest)
            .find(|(_, ids)| ids.digest == digest)
            .map(|(slot, _)| slot)
    }

    fn bucket(
        &self,
        first: Slot,
        next: fn(&Ids) -> Slot,
    ) -> impl Iterator<Item = (Slot, &Ids)> + '_ {
        let mut at = first;
        std::iter::from_fn(move || {
            let (slot, ids) = (at, self.slots.ids(at)?);
            at = next(ids);
            Some((slot, ids))
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, Kept)> {
        self.slots.iter_from(0)
    }

    /// Those of the block that begins with a slot.
    pub(super) fn block(&self, first: Slot) -> impl Iterator<Item = (Slot, Kept)> {
        let block = self.slots.iter_from(first);
        block.take_while(move |(slot, _)| slot - first < BLOCK)
    }

    /// Those after a slot.
    pub(super) fn iter_after(&self, after: Option<Slot>) -> impl Iterator<Item = (Slot, Kept)> {
        self.slots.iter_from(after.map_or(0, |slot| slot + 1))
    }

    pub(super) fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// How many are this node's own.
    pub(super) fn own(&self) -> u64 {
        self.own
    }

    /// How many are remembered as having come here.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    // ---- who has to do with it

    pub(super) fn sender(&self, slot: Slot) -> &UnitId {
        match self.get(slot).origin {
            Origin::Own { .. } => &self.me,
            Origin::Passing { sender, .. } => self.units.get(sender),
        }
    }

    /// Whoever is told what becomes of a copy that ends here: the sender, or the hub that expanded a pattern.
    pub(super) fn reply_to(&self, slot: Slot) -> &UnitId {
        match self.get(slot).origin {
            Origin::Own { .. } => match self.rare_of(slot).and_then(|rare| rare.reply_to) {
                Some(unit) => self.units.get(unit),
                None => &self.me,
            },
            Origin::Passing { reply_to, .. } => self.units.get(reply_to),
        }
    }

    pub(super) fn set_reply_to(&mut self, slot: Slot, unit: &UnitId) {
        let number = self.units.take(unit);
        let before = self.change(slot, |kept| match &mut kept.origin {
            Origin::Own { .. } => None,
            Origin::Passing { reply_to, .. } => Some(mem::replace(reply_to, number)),
        });
        let before = match before {
            None => self.change_rare(slot, |_, rare| rare.reply_to.replace(number)),
            passing => passing,
        };
        before.into_iter().for_each(|unit| self.units.give(unit));
    }

    /// At the origin, each signed receiver and where its copy is. Elsewhere none.
    pub(super) fn receivers(&self, slot: Slot) -> impl Iterator<Item = Receiver<'_>> + Clone {
        let (one, many) = match self.get(slot).origin {
            Origin::Own { receiver, .. } => {
                let one = (receiver.target != MANY).then_some(receiver);
                (one, self.rare_of(slot))
            }
            Origin::Passing { .. } => (None, None),
        };
        let many = many.into_iter().flat_map(|rare| rare.receivers.iter());
        one.into_iter().chain(many.copied()).map(|party| Receiver {
            target: self.targets.get(party.target),
            state: party.state,
            reason: party.reason,
        })
    }

    /// Notes at the origin where a receiver's copy is, unless more is known already.
    pub(super) fn settle(&mut self, slot: Slot, target: &Pattern, state: State, reason: Reason) {
        let Some(target) = self.targets.find(target) else {
            return;
        };
        let settle = |party: &mut Party| {
            if party.target == target && party.state.gives_way_to(state, reason) {
                (party.state, party.reason) = (state, reason);
            }
        };
        let has_many = self.change(slot, |kept| match &mut kept.origin {
            Origin::Own { receiver, .. } => {
                settle(receiver);
                receiver.target == MANY
            }
            Origin::Passing { .. } => false,
        });
        if has_many {
            self.change_rare(slot, |_, rare| {
                let party = rare.receivers.iter_mut().find(|r| r.target == target);
                party.map(settle)
            });
        }
    }

    /// Whether this node is the origin and keeps custody.
    pub(super) fn in_custody(&self, slot: Slot) -> bool {
        self.receivers(slot).any(|r| !r.state.is_terminal())
    }

    /// Whether nothing is awaited any more: the parcel and its body can go.
    pub(super) fn is_over(&self, slot: Slot) -> bool {
        let kept = self.get(slot);
        kept.uses == 0 && self.copies(slot).next().is_none() && !self.in_custody(slot)
    }

    /// One more reason to keep it: it is in the inbox, or waits for a predecessor.
    pub(super) fn begin_use(&mut self, slot: Slot) {
        self.change(slot, |kept| kept.uses += 1);
    }

    /// Such a reason is gone.
    pub(super) fn end_use(&mut self, slot: Slot) {
        self.change(slot, |kept| kept.uses -= 1);
    }

    // ---- its copies in outboxes

    /// By neighbour, in the order in which they were queued.
    pub(super) fn copies(&self, slot: Slot) -> impl Iterator<Item = (&UnitId, Seq)> + '_ {
        let copies = self.get(slot).copies(self.rare_of(slot));
        copies.map(|(neighbour, seq)| (self.neighbours.get(neighbour), seq))
    }

    /// The same, with names of its own.
    pub(super) fn copies_of(&self, slot: Slot) -> Vec<(UnitId, Seq)> {
        let copies = self.copies(slot);
        copies.map(|(unit, seq)| (unit.clone(), seq)).collect()
    }

    pub(super) fn has_copy_for(&self, slot: Slot, neighbour: &UnitId) -> bool {
        self.copies(slot).any(|(unit, _)| unit == neighbour)
    }

    pub(super) fn add_copy(&mut self, slot: Slot, neighbour: &UnitId, seq: Seq) {
        let number = self.neighbours.take(neighbour);
        let is_first = self.change(slot, |kept| {
            let is_first = kept.flags & RARE == 0 && !kept.has_copy();
            if is_first {
                (kept.hop, kept.seq) = (number, seq);
            }
            is_first
        });
        if !is_first {
            self.change_rare(slot, |_, rare| rare.copies.push((number, seq)));
        }
    }

    pub(super) fn drop_copy(&mut self, slot: Slot, neighbour: &UnitId, seq: Seq) {
        self.drop_copies(slot, neighbour, |s| s == seq);
    }

    pub(super) fn drop_copies(
        &mut self,
        slot: Slot,
        neighbour: &UnitId,
        is_dropped: impl Fn(Seq) -> bool,
    ) {
        let Some(number) = self.neighbours.find(neighbour) else {
            return;
        };
        let is_dropped = |hop: Number, seq: Seq| hop == number && is_dropped(seq);
        let mut dropped = 0;
        let is_rare = self.change(slot, |kept| {
            if kept.has_copy() && is_dropped(kept.hop, kept.seq) {
                kept.seq = 0;
                dropped += 1;
            }
            kept.flags & RARE != 0
        });
        if is_rare {
            self.change_rare(slot, |_, rare| {
                rare.copies.retain(|(hop, seq)| {
                    let goes = is_dropped(*hop, *seq);
                    dropped += usize::from(goes);
                    !goes
                });
            });
        }
        (0..dropped).for_each(|_| self.neighbours.give(number));
    }

    // ---- the memory of what came here, as long as it is here

    /// Remembers a parcel as one that came here, or does no longer.
    pub(super) fn set_seen(&mut self, slot: Slot, is_seen: bool) {
        let was_seen = self.change(slot, |kept| {
            let was_seen = kept.is_seen();
            kept.flags = kept.flags & !SEEN | if is_seen { SEEN } else { 0 };
            was_seen
        });
        self.seen += u64::from(is_seen);
        self.seen -= u64::from(was_seen);
    }

    // ---- what few have

    fn rare_of(&self, slot: Slot) -> Option<&Rare> {
        self.rare_if(&self.get(slot), slot)
    }

    /// What of the parcel in this slot few have.
    fn rare_if(&self, kept: &Kept, slot: Slot) -> Option<&Rare> {
        let has = kept.flags & RARE != 0;
        has.then(|| self.rare.get(&slot)).flatten()
    }

    fn change_rare<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Kept, &mut Rare) -> R) -> R {
        let mut rare = self.rare.remove(&slot).unwrap_or_default();
        let changed = self.change(slot, |kept| {
            let changed = change(kept, &mut rare);
            kept.level(&mut rare);
            changed
        });
        self.put_rare(slot, rare);
        changed
    }

    fn put_rare(&mut self, slot: Slot, rare: Rare) {
        let has = if rare.is_empty() { 0 } else { RARE };
        self.change(slot, |kept| kept.flags = kept.flags & !RARE | has);
        if !rare.is_empty() {
            self.rare.insert(slot, rare);
        }
    }

    // ---- checkpoints

    /// Everything, each in its slot, for a checkpoint.
    pub(super) fn snapshot(&self) -> impl Encode + '_ {
        let parcels = Each {
            len: self.len(),
            items: || {
                let written = |(slot, kept): (Slot, Kept)| {
                    let rare = self.rare_if(&kept, slot);
                    (slot, Written { kept, rare })
                };
                self.iter().map(written)
            },
        };
        (
            &self.me,
            self.units.snapshot(),
            self.neighbours.snapshot(),
            self.targets.snapshot(),
            parcels,
        )
    }

    /// From what [`Parcels::snapshot`] encoded, one after another.
    pub(super) fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let me = UnitId::decode(decoder)?;
        let mut parcels = Self {
            units: Names::decode(decoder)?,
            neighbours: Names::decode(decoder)?,
            targets: Names::decode(decoder)?,
            ..Self::new(me)
        };
        for _ in 0..u64::decode(decoder)? {
            let (slot, whole) = <(Slot, Whole)>::decode(decoder)?;
            if !parcels.count(&whole) {
                return Err(DecodeError::Other("a parcel's name has no number"));
            }
            let (kept, rare) = whole.split();
            if !parcels.slots.put_at(slot, &kept) {
                return Err(DecodeError::Other("a parcel's slot is out of order"));
            }
            parcels.enter(slot, rare);
        }
        parcels.slots.all_put();
        Ok(parcels)
    }

    /// Counts the uses of its names; false when one of them has no number.
    fn count(&mut self, whole: &Whole) -> bool {
        let mut copies = whole.copies.iter();
        copies.all(|(number, _)| self.neighbours.again(*number))
            && match &whole.origin {
                WholeOrigin::Own {
                    receivers,
                    reply_to,
                    ..
                } => {
                    receivers.iter().all(|r| self.targets.again(r.target))
                        && reply_to.is_none_or(|unit| self.units.again(unit))
                }
                WholeOrigin::Passing {
                    sender, reply_to, ..
                } => self.units.again(*sender) && self.units.again(*reply_to),
            }
    }
}

struct ByMessage<'a> {
    slots: &'a mut Table,
    hasher: &'a DefaultHashBuilder,
}

impl Links for ByMessage<'_> {
    fn hash(&self, slot: Slot) -> u64 {
        let message = self.slots.ids(slot).map(|ids| ids.message);
        self.hasher.hash_one(message.unwrap_or_default())
    }

    fn next(&self, slot: Slot) -> Slot {
        let ids = self.slots.ids(slot);
        ids.map_or(NOWHERE, |ids| ids.next_of_message)
    }

    fn set_next(&mut self, slot: Slot, next: Slot) {
        if let Some(ids) = self.slots.ids_mut(slot) {
            ids.next_of_message = next;
        }
    }
}

struct ByDigest<'a> {
    slots: &'a mut Table,
    hasher: &'a DefaultHashBuilder,
}

impl Links for ByDigest<'_> {
    fn hash(&self, slot: Slot) -> u64 {
        let digest = self.slots.ids(slot).map(|ids| ids.digest);
        self.hasher.hash_one(digest.unwrap_or_default())
    }

    fn next(&self, slot: Slot) -> Slot {
        let ids = self.slots.ids(slot);
        ids.map_or(NOWHERE, |ids| ids.next_of_digest)
    }

    fn set_next(&mut self, slot: Slot, next: Slot) {
        if let Some(ids) = self.slots.ids_mut(slot) {
            ids.next_of_digest = next;
        }
    }
}

/// The key of a chain: messages of one sender and one case keep their order. Two chains that fall on the same key are ordered
/// together, which does no harm.
pub(super) fn chain(sender: &UnitId, case: Option<&str>) -> u64 {
    let Some(case) = case else { return 0 };
    let mut hasher = blake3::Hasher::new_derive_key("casegate 2026-11 chain");
    hasher.update(&(sender.as_str().len() as u32).to_le_bytes());
    hasher.update(sender.as_str().as_bytes());
    hasher.update(case.as_bytes());
    let hash = hasher.finalize();
    let key = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
    key.max(1)
}
