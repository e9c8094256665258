//! What came from one neighbour: which numbers, what waits for a predecessor, what is still to be acked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use super::frame::{Ack, MARKS_MAX, Seq};
use crate::{
    delivery::{parcels::Slot, record::Route},
    model::{Lsn, Millis, Ranges, UnitId},
};

/// A parcel that is stored and acked, and is released when those before it are.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::delivery) struct Waiting {
    /// None when nothing of the parcel stays here: it only keeps its place, so that what comes after it waits for what came before.
    pub(in crate::delivery) slot: Option<Slot>,
    /// When the parcel was accepted, as its sender's node says.
    pub(in crate::delivery) accepted: Millis,
    pub(in crate::delivery) chain: u64,
    pub(in crate::delivery) after: Vec<Seq>,
    pub(in crate::delivery) routes: Vec<Route>,
}

/// Most gaps in the numbers that have come, and most that came and were not stored: an honest neighbour makes one where it sends what is
/// urgent past something that waits.
const GAPS_MAX: usize = 256 * 1024;

/// Numbers of one record that is not synced yet, first and last.
#[derive(Clone, Copy, Debug)]
struct Unsynced {
    lsn: Lsn,
    seqs: (Seq, Seq),
    /// Whether the neighbour's work waits for the ack.
    is_awaited: bool,
}

/// The receiving side of a hop.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Inbound {
    /// Numbers that are stored here, or known to be gone.
    got: Ranges,
    /// Those of them that are gone: they are never acked as received.
    gone: Ranges,
    /// What the greatest numbers were given to.
    marks: BTreeMap<Seq, u64>,
    waiting: BTreeMap<Seq, Waiting>,
    /// What waited when this node took a new epoch: the numbers that it waited for mean nothing any more. It is released, in order
    /// of acceptance with whatever else of its chains comes, once everything is here that the neighbour had then.
    orphans: Vec<Waiting>,
    // What follows is as short-lived as the node's run.
    settles_at: Option<Seq>,
    waiters: BTreeMap<Seq, Vec<Seq>>,
    durable: Ranges,
    unsynced: VecDeque<Unsynced>,
    is_awaited: bool,
    fresh: Ranges,
    /// Numbers that came, were not stored and have not come again; and those that the neighbour is yet to be told of.
    parked: Ranges,
    parked_fresh: Ranges,
    /// Receivers that the neighbour was told are closed, and all that it ever was as long as there were sessions.
    told_closed: BTreeSet<UnitId>,
    ever_closed: BTreeSet<UnitId>,
    /// Receivers to tell of with the next ack.
    to_close: BTreeSet<UnitId>,
    to_open: BTreeSet<UnitId>,
    /// When the next ack is due, monotonic.
    pub(in crate::delivery) ack_due: Option<Millis>,
    /// Whether the last credit told was zero for some lane, or a parcel was parked: the neighbour is told when there may be room.
    starved: bool,
    /// Room was found for what the neighbour has not been told is parked: it learns that first, and of the room in an ack of its own.
    room_untold: bool,
    /// Room was found since the last ack.
    room_found: bool,
}

/// An [`Inbound`] as a checkpoint has it.
#[derive(Debug, Encode, Decode)]
pub(in crate::delivery) struct Snapshot {
    got: Ranges,
    gone: Ranges,
    marks: Vec<(Seq, u64)>,
    waiting: Vec<(Seq, Waiting)>,
    orphans: Vec<Waiting>,
}

impl Inbound {
    pub(in crate::delivery) fn snapshot(&self) -> Snapshot {
        Snapshot {
            got: self.got.clone(),
            gone: self.gone.clone(),
            marks: self.marks.iter().map(|(s, m)| (*s, *m)).collect(),
            waiting: self.waiting.iter().map(|(s, w)| (*s, w.clone())).collect(),
            orphans: self.orphans.clone(),
        }
    }

    pub(in crate::delivery) fn restore(snapshot: Snapshot) -> Self {
        let mut inbound = Self {
            durable: snapshot.got.clone(),
            got: snapshot.got,
            gone: snapshot.gone,
            marks: snapshot.marks.into_iter().collect(),
            orphans: snapshot.orphans,
            ..Self::default()
        };
        for (seq, waiting) in snapshot.waiting {
            inbound.wait(seq, waiting);
        }
        inbound
    }

    /// What was recovered is durable.
    pub(in crate::delivery) fn recovered(&mut self) {
        self.durable = self.got.clone();
        self.unsynced.clear();
        self.fresh.clear();
    }

    pub(in crate::delivery) fn has(&self, seq: Seq) -> bool {
        self.got.contains(seq)
    }

    pub(in crate::delivery) fn durable(&self) -> &Ranges {
        &self.durable
    }

    /// Whether some stored parcel waits for this number: it is admitted whatever is full.
    pub(in crate::delivery) fn is_awaited(&self, seq: Seq) -> bool {
        self.waiters.contains_key(&seq)
    }

    /// Notes a number as stored or gone; acked once `lsn` is synced, and soon when it `is_awaited`: nobody waits for the ack of a receipt.
    pub(in crate::delivery) fn note(&mut self, seq: Seq, lsn: Lsn, is_awaited: bool) {
        if self.got.insert(seq) {
            self.unsynced.push_back(Unsynced {
                lsn,
                seqs: (seq, seq),
                is_awaited,
            });
            self.parked.remove(seq);
            self.parked_fresh.remove(seq);
        }
    }

    /// Whether a number can be noted: there may not be too many gaps.
    pub(in crate::delivery) fn takes(&self, seq: Seq) -> bool {
        self.got.ranges() < GAPS_MAX
            || self.got.contains(seq.saturating_sub(1))
            || self.got.contains(seq.saturating_add(1))
    }

    /// Notes what a number was given to.
    pub(in crate::delivery) fn mark(&mut self, seq: Seq, mark: u64) {
        self.marks.insert(seq, mark);
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_first();
        }
    }

    /// What a hello says of the greatest numbers.
    pub(in crate::delivery) fn marks(&self) -> Vec<(Seq, u64)> {
        let durable = self
            .marks
            .iter()
            .filter(|(s, _)| self.durable.contains(**s));
        durable.map(|(seq, mark)| (*seq, *mark)).collect()
    }

    /// Of numbers that the neighbour says are gone: those whose parcels have come, and those that were not known before.
    pub(in crate::delivery) fn split_gone(&self, seqs: &Ranges) -> (Ranges, Ranges) {
        let unknown = seqs.without(&self.got);
        let had = seqs.without(&unknown).without(&self.gone);
        (had, unknown)
    }

    /// Whether such numbers, not known before, can be noted.
    pub(in crate::delivery) fn takes_gone(&self, unknown: &Ranges) -> bool {
        let joined = |(first, last): (Seq, Seq)| {
            let sides = [first.checked_sub(1), last.checked_add(1)];
            let known = sides.into_iter().flatten();
            known.filter(|seq| self.got.contains(*seq)).count()
        };
        let joined: usize = unknown.iter().map(joined).sum();
        self.got.ranges() + unknown.ranges() <= GAPS_MAX + joined
    }

    /// Notes numbers as gone, but for those whose parcels have come. Says for which of all of them something waits, lowest first.
    pub(in crate::delivery) fn note_gone(&mut self, seqs: &Ranges, lsn: Lsn) -> Vec<Seq> {
        let unknown = seqs.without(&self.got);
        for seqs in unknown.iter() {
            self.unsynced.push_back(Unsynced {
                lsn,
                seqs,
                is_awaited: true,
            });
        }
        self.got.union(&unknown);
        self.gone.union(&unknown);
        self.parked.remove_all(&unknown);
        self.parked_fresh.remove_all(&unknown);
        let awaited = |(first, last)| self.waiters.range(first..=last).map(|(seq, _)| *seq);
        seqs.iter().flat_map(awaited).collect()
    }

    /// The neighbour will not speak of numbers below `base` again.
    pub(in crate::delivery) fn forget_gone_below(&mut self, base: Seq) {
        self.gone.remove_below(base);
    }

    /// What a hello says: everything durable but what is gone.
    pub(in crate::delivery) fn received(&self) -> Ranges {
        self.durable.without(&self.gone)
    }

    /// Everything is to be told again: an ack may have died with a session, or a hello was made before it.
    pub(in crate::delivery) fn say_all(&mut self) {
        self.is_awaited = true;
        self.fresh = self.received();
        self.parked_fresh = self.parked.clone();
        self.to_close = self.told_closed.clone();
        self.to_open = &self.ever_closed - &self.told_closed;
    }

    /// Says again what is durable: the neighbour sent it once more.
    pub(in crate::delivery) fn repeat(&mut self, seq: Seq) {
        if self.durable.contains(seq) && !self.gone.contains(seq) {
            self.fresh.insert(seq);
            self.is_awaited = true;
        }
    }

    /// Notes that a number came and was not stored.
    pub(in crate::delivery) fn park(&mut self, seq: Seq) {
        self.parked.insert(seq);
        self.parked_fresh.insert(seq);
    }

    /// Whether more came and was not stored than can be remembered.
    pub(in crate::delivery) fn is_overrun(&self) -> bool {
        self.parked.ranges() > GAPS_MAX
    }

    /// There is no room for a parcel that came.
    pub(in crate::delivery) fn lacks_room(&mut self) {
        self.starved = true;
    }

    /// There may be room: whether the neighbour is to be told.
    pub(in crate::delivery) fn found_room(&mut self) -> bool {
        let starved = std::mem::take(&mut self.starved);
        self.room_untold |= starved && !self.parked_fresh.is_empty();
        self.room_found |= starved;
        starved
    }

    /// A receiver has no room: the neighbour is told, now or again.
    pub(in crate::delivery) fn close(&mut self, unit: UnitId) {
        self.to_open.remove(&unit);
        self.to_close.insert(unit.clone());
        self.ever_closed.insert(unit.clone());
        self.told_closed.insert(unit);
    }

    /// A receiver has room again: the neighbour is told.
    pub(in crate::delivery) fn open(&mut self, unit: UnitId) {
        self.told_closed.remove(&unit);
        self.to_close.remove(&unit);
        self.to_open.insert(unit);
    }

    /// Receivers that the neighbour believes to be closed.
    pub(in crate::delivery) fn closed(&self) -> impl Iterator<Item = &UnitId> {
        self.told_closed.iter()
    }

    /// Records up to `lsn` are synced. Says whether there is something to ack.
    pub(in crate::delivery) fn synced(&mut self, lsn: Lsn) -> bool {
        while let Some(noted) = self.unsynced.front().copied() {
            if noted.lsn > lsn {
                break;
            }
            self.unsynced.pop_front();
            let (first, last) = noted.seqs;
            self.is_awaited |= noted.is_awaited;
            self.durable.insert_range(first, last);
            // Of one that is gone all are.
            if !self.gone.contains(first) {
                self.fresh.insert_range(first, last);
            }
        }
        !self.fresh.is_empty()
    }

    /// Whether there is more to say than that receipts came.
    pub(in crate::delivery) fn is_ack_awaited(&self) -> bool {
        self.is_awaited
            || !(self.parked_fresh.is_empty()
                && self.to_close.is_empty()
                && self.to_open.is_empty())
    }

    /// How many numbers are to be acked.
    pub(in crate::delivery) fn news(&self) -> u64 {
        self.fresh.count()
    }

    /// Forgets the greatest number, as a planted bug.
    #[cfg(any(test, feature = "sim"))]
    pub(in crate::delivery) fn forget_last(&mut self) {
        if let Some(last) = self.got.last() {
            self.got.remove(last);
            self.durable.remove(last);
        }
    }

    pub(in crate::delivery) fn has_to_say(&self) -> bool {
        !(self.fresh.is_empty()
            && self.parked_fresh.is_empty()
            && self.to_close.is_empty()
            && self.to_open.is_empty())
    }

    /// What the next ack tells, with `credit`, and whether it goes over every session: what it says of room takes the place of what
    /// earlier ones said, and one that was sent earlier over another session may come later.
    pub(in crate::delivery) fn take_news(&mut self, credit: [u64; 4]) -> (Ack, bool) {
        // Due again at once when there is room to be told of.
        let is_last = !std::mem::take(&mut self.room_untold);
        self.ack_due = self.ack_due.filter(|_| !is_last);
        self.is_awaited = false;
        let is_starved = credit.contains(&0);
        self.starved |= is_starved;
        let ack = Ack {
            received: std::mem::take(&mut self.fresh),
            parked: std::mem::take(&mut self.parked_fresh),
            credit,
            closed: std::mem::take(&mut self.to_close).into_iter().collect(),
            open: std::mem::take(&mut self.to_open).into_iter().collect(),
        };
        let is_of_room = std::mem::take(&mut self.room_found)
            || is_starved
            || !(ack.parked.is_empty() && ack.closed.is_empty() && ack.open.is_empty());
        (ack, is_of_room)
    }

    /// Acks for a session that is gone need not be told: the next hello says everything.
    pub(in crate::delivery) fn forget_news(&mut self) {
        self.fresh.clear();
        self.parked.clear();
        self.parked_fresh.clear();
        self.told_closed.clear();
        self.ever_closed.clear();
        self.to_close.clear();
        self.to_open.clear();
        self.ack_due = None;
        self.is_awaited = false;
        self.starved = false;
        self.room_untold = false;
        self.room_found = false;
    }

    // ---- order

    /// Whether a number has been released or has ended.
    fn is_through(&self, seq: Seq) -> bool {
        self.got.contains(seq) && !self.waiting.contains_key(&seq)
    }

    /// Whether a parcel that comes after these numbers, in this chain, must wait.
    pub(in crate::delivery) fn must_wait(&self, after: &[Seq], chain: u64) -> bool {
        after.iter().any(|seq| !self.is_through(*seq))
            || (chain != 0 && self.orphans.iter().any(|o| o.chain == chain))
    }

    pub(in crate::delivery) fn wait(&mut self, seq: Seq, waiting: Waiting) {
        if waiting.chain != 0 && self.orphans.iter().any(|o| o.chain == waiting.chain) {
            self.orphans.push(waiting);
            return;
        }
        for before in &waiting.after {
            self.waiters.entry(*before).or_default().push(seq);
        }
        self.waiting.insert(seq, waiting);
    }

    /// Parcels that can be released now that `seq` is through, in order; each in turn lets others through.
    pub(in crate::delivery) fn released_by(&mut self, seq: Seq) -> Vec<Waiting> {
        let mut released = Vec::new();
        let mut through = vec![seq];
        while let Some(seq) = through.pop() {
            if !self.is_through(seq) {
                continue;
            }
            let mut waiters = self.waiters.remove(&seq).unwrap_or_default();
            waiters.sort_unstable();
            for waiter in waiters {
                let is_free = self
                    .waiting
                    .get(&waiter)
                    .is_some_and(|w| w.after.iter().all(|s| self.is_through(*s)));
                if is_free && let Some(waiting) = self.waiting.remove(&waiter) {
                    released.push(waiting);
                    through.push(waiter);
                }
            }
        }
        released
    }

    /// Everything that waits.
    pub(in crate::delivery) fn all_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values().chain(&self.orphans)
    }

    pub(in crate::delivery) fn waiting(&self) -> usize {
        self.waiting.len() + self.orphans.len()
    }

    // ---- new epochs

    /// Numbers mean nothing any more; what waited becomes orphans.
    pub(in crate::delivery) fn renumber(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.extend(waiting.into_values().filter(|w| w.slot.is_some()));
        *self = Self {
            orphans,
            ..Self::default()
        };
    }

    /// Numbers mean nothing any more; says what waited, which is not kept.
    pub(in crate::delivery) fn reset(&mut self) -> Vec<Waiting> {
        self.renumber();
        std::mem::take(&mut self.orphans)
    }

    /// The neighbour's next number when the session opened: everything that it had before the reset is below it.
    pub(in crate::delivery) fn settle_at(&mut self, next: Seq) {
        if !self.orphans.is_empty() && self.settles_at.is_none() {
            self.settles_at = Some(next);
        }
    }

    /// Whether everything that the neighbour had is here, so that the orphans can go.
    pub(in crate::delivery) fn has_settled(&self) -> bool {
        self.settles_at
            .is_some_and(|next| self.durable.gap(1) >= next)
    }

    pub(in crate::delivery) fn take_orphans(&mut self) -> Vec<Waiting> {
        self.settles_at = None;
        std::mem::take(&mut self.orphans)
    }
}
