//! What batches are compressed against beside a dictionary: what the neighbour has acked before of what the same sender wrote.
//!
//! Both ends of a hop remember the texts of the latest parcels, for each sender and direction, in a [`Ring`]. Once enough of what a node has
//! sent is acked it offers a *generation* in a session ([`Agreement`]): which numbers, and a digest over all of them. The neighbour looks
//! whether it has just that. If it says so, batches may name the generation, and can be read in any order and over any link. What the
//! neighbour has not, or not any more (it was restarted, it needed the room), it says; what named it comes again without, and
//! both begin anew. So the two ends need not remember the same: a generation is used when they do.
//!
//! Rings are of the hop and outlive sessions; agreements are of a session. Both are only in memory. This module does nothing
//! itself: the texts are bytes that the shell has made of parcels, and it is told the time.

mod agreement;
mod ring;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive};

use bytes::Bytes;

pub use self::agreement::{Agreed, Agreement, AgreementError, Answered, Named};
use self::ring::Ring;
use super::hop::{Epoch, Generation, Seq};
use crate::model::{Digest, Millis, Ranges, UnitId};

/// Senders of which something is remembered in one direction of one hop.
const SENDERS_MAX: usize = 64;
/// How often what has not been used for long is looked for.
const TIDY_EVERY_MS: Millis = 60_000;

/// How much is remembered, and for how long.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Bytes of all hops together; what was least lately used goes first. Nothing is remembered when it is 0.
    pub all_bytes: usize,
    /// Bytes of one sender's parcels that were sent to one neighbour.
    pub sent_bytes: usize,
    /// Bytes of one sender's parcels that came from one neighbour: more, so that what is under way pushes out nothing that is still
    /// named.
    pub came_bytes: usize,
    /// Bytes of a generation.
    pub generation_bytes: usize,
    /// Bytes that must be new for another generation: an eighth of the one before, within these.
    pub step_bytes: RangeInclusive<usize>,
    /// Bytes of a batch's parcels. Of a larger one nothing is remembered, and it is not compressed against what went before: it is
    /// part of a backlog.
    pub batch_bytes: usize,
    /// What was not used for so long is forgotten by who sent it; by who received it, after a quarter more.
    pub idle_ms: Millis,
}

impl Default for Bounds {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            all_bytes: 32 * KIB * KIB,
            sent_bytes: 384 * KIB,
            came_bytes: 640 * KIB,
            generation_bytes: 256 * KIB,
            step_bytes: 4 * KIB..=32 * KIB,
            batch_bytes: 16 * KIB,
            idle_ms: 30 * 60 * 1000,
        }
    }
}

/// A parcel's text, to be remembered.
#[derive(Clone, Debug)]
pub struct Text {
    /// The parcel's number on the hop.
    pub seq: Seq,
    /// Who wrote it.
    pub sender: UnitId,
    /// The parcel's digest: it stands for the text.
    pub parcel: Digest,
    /// What later batches may repeat.
    pub bytes: Bytes,
    /// Nothing may repeat it: no generation has it, and the neighbour is told so.
    pub is_left_out: bool,
}

/// Which way parcels go over a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the neighbour.
    Sent,
    /// From it.
    Came,
}

/// The pair of epochs that a hop's numbers are of: this node's and the neighbour's.
pub type Epochs = (Epoch, Epoch);

/// What a node remembers of all its hops.
#[derive(Debug, Default)]
pub struct Generations {
    bounds: Bounds,
    hops: BTreeMap<UnitId, OfHop>,
    bytes: usize,
    tidied: Millis,
    #[cfg(any(test, feature = "sim"))]
    bug: Option<super::Bug>,
}

#[derive(Debug, Default)]
struct OfHop {
    epochs: Epochs,
    rings: BTreeMap<(Way, UnitId), Ring>,
}

impl Generations {
    /// Nothing is remembered yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether anything may be remembered, and of batches of how many bytes of parcels.
    pub fn takes(&self, batch_bytes: usize) -> bool {
        self.bounds.all_bytes > 0 && batch_bytes < self.bounds.batch_bytes
    }

    /// From now on so much is remembered at most, of all hops together.
    pub fn set_all_bytes(&mut self, all_bytes: usize) {
        self.bounds.all_bytes = all_bytes;
        self.make_room();
    }

    /// What is remembered, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A hello says by which epochs the hop is numbered. What was remembered by other numbers is forgotten.
    pub fn numbered(&mut self, neighbour: &UnitId, epochs: Epochs) {
        let hop = self.hops.entry(neighbour.clone()).or_default();
        if hop.epochs != epochs {
            let gone: usize = hop.rings.values().map(Ring::bytes).sum();
            self.bytes -= gone;
            hop.rings.clear();
            hop.epochs = epochs;
        }
    }

    /// Remembers what is sent or has come over a session whose hello has named these epochs; what goes by other numbers counts for
    /// nothing.
    pub fn remember(
        &mut self,
        now: Millis,
        (neighbour, epochs): (&UnitId, Epochs),
        way: Way,
        texts: Vec<Text>,
    ) {
        if self.bounds.all_bytes == 0 {
            return;
        }
        let bytes_max = match way {
            Way::Sent => self.bounds.sent_bytes,
            Way::Came => self.bounds.came_bytes,
        };
        let Some(hop) = self.hops.get_mut(neighbour) else {
            return;
        };
        if hop.epochs != epochs {
            return;
        }
        for text in texts {
            let ring = hop.rings.entry((way, text.sender.clone())).or_default();
            self.bytes -= ring.bytes();
            ring.put(text, bytes_max);
            ring.used = now;
            self.bytes += ring.bytes();
        }
        self.bytes -= hop.keep_within(way, self.bounds.all_bytes / 4);
        self.make_room();
        self.tidy(now);
    }

    /// These go to the neighbour in a way that it does not remember.
    pub fn forget(&mut self, neighbour: &UnitId, seqs: impl Iterator<Item = Seq> + Clone) {
        let Some(hop) = self.hops.get_mut(neighbour) else {
            return;
        };
        for ((way, _), ring) in &mut hop.rings {
            if *way == Way::Sent {
                self.bytes -= ring.bytes();
                seqs.clone().for_each(|seq| ring.forget(seq));
                self.bytes += ring.bytes();
            }
        }
    }

    /// The neighbour has acked these, over a session whose hello has named these epochs.
    pub fn acked(&mut self, (neighbour, epochs): (&UnitId, Epochs), seqs: &Ranges) {
        if let Some(hop) = self.hops.get_mut(neighbour)
            && hop.epochs == epochs
        {
            for ((way, _), ring) in &mut hop.rings {
                if *way == Way::Sent {
                    ring.acked(seqs);
                }
            }
        }
    }

    /// The neighbour has said hello, and that it has these by the numbers of these epochs: its own and this node's.
    pub fn greeted(&mut self, neighbour: &UnitId, epochs: Epochs, received: &Ranges) {
        self.acked((neighbour, (epochs.1, epochs.0)), received);
    }

    /// What was sent of a generation, oldest first, if all of it is still here.
    pub fn ours(
        &mut self,
        now: Millis,
        neighbour: &UnitId,
        generation: &Generation,
        base: Digest,
    ) -> Option<Vec<Bytes>> {
        self.texts(now, neighbour, Way::Sent, generation, base)
    }

    /// What has come of a generation, oldest first, if it is here and the same.
    pub fn theirs(
        &mut self,
        now: Millis,
        neighbour: &UnitId,
        generation: &Generation,
        base: Digest,
    ) -> Option<Vec<Bytes>> {
        self.texts(now, neighbour, Way::Came, generation, base)
    }

    /// What has not been used for long is forgotten. Cheap when there was nothing to do.
    pub fn tidy(&mut self, now: Millis) {
        if now < self.tidied + TIDY_EVERY_MS {
            return;
        }
        self.tidied = now;
        let idle_ms = self.bounds.idle_ms;
        self.retain(|(way, _), ring| {
            let idle_ms = match way {
                Way::Sent => idle_ms,
                // Who sends must not name what is not there any more.
                Way::Came => idle_ms + idle_ms / 4,
            };
            ring.used + idle_ms > now
        });
    }

    /// Forgets everything, as when there is no room.
    pub fn clear(&mut self) {
        self.retain(|_, _| false);
    }

    /// What of a sender's parcels to the neighbour may be offered now, if there is enough that is new since `newest`.
    fn propose(
        &self,
        neighbour: &UnitId,
        sender: &UnitId,
        newest: Option<&Generation>,
    ) -> Option<ring::Span> {
        let key = (Way::Sent, sender.clone());
        let ring = self.hops.get(neighbour)?.rings.get(&key)?;
        let any = false;
        #[cfg(any(test, feature = "sim"))]
        let any = any || self.bug == Some(super::Bug::OfferedUnacked);
        ring.propose(&self.bounds, newest, any)
    }

    /// What a generation of what was sent is called.
    fn id(&self, neighbour: &UnitId, generation: &Generation, base: Digest) -> Option<Digest> {
        let key = (Way::Sent, generation.sender.clone());
        let ring = self.hops.get(neighbour)?.rings.get(&key)?;
        Some(ring.id(generation, base))
    }

    /// The neighbour lacks what was sent of a sender's: both begin anew.
    fn lacked(&mut self, neighbour: &UnitId, sender: &UnitId) {
        if let Some(hop) = self.hops.get_mut(neighbour)
            && let Some(ring) = hop.rings.remove(&(Way::Sent, sender.clone()))
        {
            self.bytes -= ring.bytes();
        }
    }

    fn has_theirs(&self, neighbour: &UnitId, generation: &Generation, base: Digest) -> bool {
        #[cfg(any(test, feature = "sim"))]
        if self.bug == Some(super::Bug::UncomparedGeneration) {
            return true;
        }
        let key = (Way::Came, generation.sender.clone());
        let ring = self.hops.get(neighbour).and_then(|hop| hop.rings.get(&key));
        ring.is_some_and(|ring| ring.id(generation, base) == generation.id)
    }

    fn texts(
        &mut self,
        now: Millis,
        neighbour: &UnitId,
        way: Way,
        generation: &Generation,
        base: Digest,
    ) -> Option<Vec<Bytes>> {
        let key = (way, generation.sender.clone());
        let ring = self.hops.get_mut(neighbour)?.rings.get_mut(&key);
        #[cfg(any(test, feature = "sim"))]
        if way == Way::Came && self.bug == Some(super::Bug::UncomparedGeneration) {
            return Some(ring.map_or(Vec::new(), |ring| ring.texts(generation)));
        }
        let ring = ring?;
        if ring.id(generation, base) != generation.id {
            return None;
        }
        ring.used = now;
        Some(ring.texts(generation))
    }

    /// The least lately used go until there is some room again.
    fn make_room(&mut self) {
        if self.bytes <= self.bounds.all_bytes {
            return;
        }
        let mut by_use: Vec<(Millis, usize)> = self
            .hops
            .values()
            .flat_map(|hop| hop.rings.values())
            .map(|ring| (ring.used, ring.bytes()))
            .collect();
        by_use.sort_unstable();
        let mut left = self.bytes;
        let enough = self.bounds.all_bytes - self.bounds.all_bytes / 8;
        let last_gone = by_use.into_iter().find_map(|(used, bytes)| {
            left -= bytes;
            (left <= enough).then_some(used)
        });
        self.retain(|_, ring| last_gone.is_some_and(|last| ring.used > last));
    }

    fn retain(&mut self, mut keeps: impl FnMut(&(Way, UnitId), &Ring) -> bool) {
        for hop in self.hops.values_mut() {
            hop.rings.retain(|key, ring| keeps(key, ring));
        }
        let rings = self.hops.values().flat_map(|hop| hop.rings.values());
        self.bytes = rings.map(Ring::bytes).sum();
    }

    /// The numbers of what was sent that a generation has.
    #[cfg(any(test, feature = "sim"))]
    pub fn seqs(&self, neighbour: &UnitId, generation: &Generation) -> Vec<Seq> {
        let key = (Way::Sent, generation.sender.clone());
        let ring = self.hops.get(neighbour).and_then(|hop| hop.rings.get(&key));
        ring.map_or(Vec::new(), |ring| ring.seqs(generation))
    }

    /// Plants a bug.
    #[cfg(any(test, feature = "sim"))]
    pub fn plant(&mut self, bug: Option<super::Bug>) {
        self.bug = bug;
    }
}

impl OfHop {
    /// Keeps what one neighbour can make this node remember within a share of all. Bytes that have gone.
    fn keep_within(&mut self, way: Way, bytes_max: usize) -> usize {
        let mut gone = 0;
        loop {
            let of_way = || self.rings.iter().filter(|((w, _), _)| *w == way);
            let count = of_way().count();
            let bytes: usize = of_way().map(|(_, ring)| ring.bytes()).sum();
            if count <= 1 || (count <= SENDERS_MAX && bytes <= bytes_max) {
                return gone;
            }
            let oldest = of_way().min_by_key(|(_, ring)| ring.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return gone;
            };
            gone += self.rings.remove(&oldest).map_or(0, |ring| ring.bytes());
        }
    }
}
