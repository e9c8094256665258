//! The durable queue towards one neighbour.

mod chains;
mod ends;
mod expiring;
mod leases;
mod numbers;
mod order;
mod queue;
mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bincode::{Decode, Encode};

use self::{chains::Chains, expiring::Expiring, numbers::Numbers, queue::Queue};
pub(in crate::delivery) use self::{leases::BATCH_BYTES_FULL, queue::Entry};
use super::frame::Seq;
use crate::{
    delivery::{
        input::SessionId,
        parcels::{Names, Number, Parcels, Slot},
    },
    model::{Lane, Lsn, Millis, Pattern, Ranges, Reason, State, UnitId},
};

/// A copy of a parcel that is to be queued.
#[derive(Clone, Debug)]
pub(in crate::delivery) struct Queued {
    pub(in crate::delivery) slot: Slot,
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) for_whom: Vec<Pattern>,
    /// Whether those are just the receivers that the sender signed.
    pub(in crate::delivery) as_signed: bool,
}

/// A copy that has left the queue.
#[derive(Debug)]
pub(in crate::delivery) struct Left {
    pub(in crate::delivery) slot: Slot,
    pub(in crate::delivery) for_whom: Vec<Pattern>,
}

/// A copy on its way to another number.
#[derive(Debug)]
pub(in crate::delivery) struct Moved {
    pub(in crate::delivery) slot: Slot,
    lane: Lane,
    flags: u8,
    for_whom: Number,
    ending: Option<Box<Ending>>,
}

/// How a copy ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::delivery) struct Ending {
    pub(in crate::delivery) state: State,
    pub(in crate::delivery) reason: Reason,
    pub(in crate::delivery) note: String,
}

/// The queue towards one neighbour: numbers, lanes, chains and leases.
///
/// A copy's size, chain and kind are those of its parcel: who changes the queue brings the table of parcels.
#[derive(Debug)]
pub(in crate::delivery) struct Outbox {
    next: Seq,
    queue: Queue,
    /// Whom copies are for: each list once.
    targets: Names<Vec<Pattern>>,
    /// Numbers that must be released first at the neighbour, where they are not one that is near.
    afters: HashMap<Seq, Vec<Seq>>,
    /// How copies are to end, once the neighbour has said that it does not have them.
    endings: BTreeMap<Seq, Ending>,
    /// Numbers that ended here and that the neighbour has not yet answered.
    gone: Ranges,
    chains: Chains,
    // What follows is rebuilt at start.
    /// The next numbers of chains, where they are not near.
    nexts: HashMap<Seq, Seq>,
    ready: [Numbers; 4],
    /// Those that wait for their receiver to open, for a hold to end, or for a predecessor that waits so.
    blocked: Numbers,
    /// Those that are under way.
    leased: BTreeMap<Seq, SessionId>,
    /// Bytes that sessions were given and that are not acked: of those that have any.
    under_way: BTreeMap<SessionId, u64>,
    /// All numbers that the neighbour is yet to be told of: they are gone, or to end.
    untold: BTreeSet<Seq>,
    closed: BTreeSet<UnitId>,
    /// Up to which number the records are synced: nothing at or past it may leave.
    durable: Seq,
    marks: VecDeque<(Lsn, Seq)>,
    depth: [Depth; 4],
    /// Receipts among them.
    receipts: Depth,
    /// When those end that are no receipts.
    expiring: Expiring,
    in_flight: [u64; 4],
    credit: [u64; 4],
    turns: u32,
}

/// How much is queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages.
    pub messages: u64,
    /// Their parcels' bytes.
    pub bytes: u64,
}

impl Depth {
    fn add(&mut self, bytes: u32) {
        self.messages += 1;
        self.bytes += u64::from(bytes);
    }

    fn take(&mut self, bytes: u32) {
        self.messages -= 1;
        self.bytes -= u64::from(bytes);
    }
}

/// Bytes that a neighbour may have under way in a lane before it has told its credit.
const CREDIT_AT_FIRST: u64 = 256 * 1024;
/// Most parcels of one batch.
pub(in crate::delivery) const BATCH_PARCELS_MAX: usize = 64;

impl Default for Outbox {
    fn default() -> Self {
        Self {
            next: 1,
            queue: Queue::default(),
            targets: Names::default(),
            afters: HashMap::new(),
            endings: BTreeMap::new(),
            gone: Ranges::new(),
            chains: Chains::default(),
            nexts: HashMap::new(),
            ready: Default::default(),
            blocked: Numbers::default(),
            leased: BTreeMap::new(),
            under_way: BTreeMap::new(),
            untold: BTreeSet::new(),
            closed: BTreeSet::new(),
            durable: 1,
            marks: VecDeque::new(),
            depth: Default::default(),
            receipts: Depth::default(),
            expiring: Expiring::default(),
            in_flight: [0; 4],
            credit: [CREDIT_AT_FIRST; 4],
            turns: 0,
        }
    }
}

impl Outbox {
    /// Everything in the queue may have reached the neighbour in an earlier life of this node.
    pub(in crate::delivery) fn recovered(&mut self) {
        self.queue.each_mut(|entry| entry.set_maybe_there(true));
        self.durable = self.next;
        self.marks.clear();
    }

    /// Adds a copy at the end and says which number it got. It may leave once `lsn` is synced.
    pub(in crate::delivery) fn push(
        &mut self,
        queued: &Queued,
        lsn: Lsn,
        parcels: &Parcels,
    ) -> Seq {
        let moved = self.moved(queued);
        self.put(moved, lsn, parcels)
    }

    /// A copy that is to get a number.
    pub(in crate::delivery) fn moved(&mut self, queued: &Queued) -> Moved {
        let for_whom = self.targets.take(&queued.for_whom);
        let mut entry = Entry::new(queued.slot, for_whom, queued.lane);
        entry.set_as_signed(queued.as_signed);
        Moved {
            slot: queued.slot,
            lane: queued.lane,
            flags: entry.flags(),
            for_whom,
            ending: None,
        }
    }

    fn put(&mut self, moved: Moved, lsn: Lsn, parcels: &Parcels) -> Seq {
        let seq = self.next;
        self.next += 1;
        let entry = Entry::new(moved.slot, moved.for_whom, moved.lane).flagged(moved.flags);
        self.queue.insert(seq, entry);
        self.link(seq, moved.for_whom, parcels.get(moved.slot).chain);
        self.count(seq, &entry, parcels);
        if let Some(ending) = moved.ending {
            self.endings.insert(seq, *ending);
        }
        match self.marks.back_mut() {
            Some(mark) if mark.0 == lsn => mark.1 = self.next,
            _ => self.marks.push_back((lsn, self.next)),
        }
        seq
    }

    /// What is queued now can go, and counts.
    fn count(&mut self, seq: Seq, entry: &Entry, parcels: &Parcels) {
        let kept = parcels.get(entry.slot);
        self.depth[entry.lane.index()].add(kept.bytes);
        if kept.is_receipt() {
            self.receipts.add(kept.bytes);
        } else {
            self.expiring.add(kept.expires);
        }
        self.ready[entry.lane.index()].insert(seq);
    }

    /// Takes a copy out: it was acked, or has ended.
    pub(in crate::delivery) fn remove(&mut self, seq: Seq, parcels: &Parcels) -> Option<Left> {
        let next = self.next_of(seq);
        let entry = self.queue.remove(seq)?;
        let kept = parcels.get(entry.slot);
        self.unlease(seq, entry.lane, kept.bytes);
        self.blocked.remove(seq);
        self.afters.remove(&seq);
        self.nexts.remove(&seq);
        self.endings.remove(&seq);
        let lane = entry.lane.index();
        self.ready[lane].remove(seq);
        self.depth[lane].take(kept.bytes);
        if kept.is_receipt() {
            self.receipts.take(kept.bytes);
        } else {
            self.expiring.take(kept.expires);
        }
        self.unlink(seq, next, kept.chain);
        let for_whom = self.targets.get(entry.for_whom).clone();
        self.targets.give(entry.for_whom);
        Some(Left {
            slot: entry.slot,
            for_whom,
        })
    }

    /// Goes on counting what is acked as under way, as a planted bug.
    #[cfg(any(test, feature = "sim"))]
    pub(in crate::delivery) fn leak(&mut self, lane: Lane, bytes: u32) {
        self.in_flight[lane.index()] += u64::from(bytes);
    }

    fn unlease(&mut self, seq: Seq, lane: Lane, bytes: u32) {
        if let Some(session) = self.leased.remove(&seq) {
            let in_flight = &mut self.in_flight[lane.index()];
            debug_assert!(*in_flight >= u64::from(bytes));
            *in_flight = in_flight.saturating_sub(u64::from(bytes));
            if let Some(under_way) = self.under_way.get_mut(&session) {
                debug_assert!(*under_way >= u64::from(bytes));
                *under_way = under_way.saturating_sub(u64::from(bytes));
                if *under_way == 0 {
                    self.under_way.remove(&session);
                }
            }
        }
    }

    pub(in crate::delivery) fn get(&self, seq: Seq) -> Option<&Entry> {
        self.queue.get(seq)
    }

    /// For whom a copy is.
    pub(in crate::delivery) fn for_whom(&self, entry: &Entry) -> &[Pattern] {
        self.targets.get(entry.for_whom)
    }

    /// How a copy is to end.
    pub(in crate::delivery) fn ending(&self, seq: Seq) -> Option<&Ending> {
        self.endings.get(&seq)
    }

    pub(in crate::delivery) fn set_held(&mut self, seq: Seq, held: bool) {
        if let Some(entry) = self.queue.get_mut(seq) {
            entry.set_held(held);
        }
    }

    /// A file has it: it is held, and the neighbour may have it.
    pub(in crate::delivery) fn set_exported(&mut self, seq: Seq) {
        if let Some(entry) = self.queue.get_mut(seq) {
            entry.set_exported();
        }
    }

    pub(in crate::delivery) fn iter(&self) -> impl Iterator<Item = (Seq, &Entry)> {
        self.queue.iter()
    }

    /// From a number on, for pages.
    pub(in crate::delivery) fn iter_after(
        &self,
        after: Seq,
    ) -> impl Iterator<Item = (Seq, &Entry)> {
        self.queue.range(after.saturating_add(1)..=Seq::MAX)
    }

    /// Numbers in the queue that are in `seqs`.
    pub(in crate::delivery) fn among(&self, seqs: &Ranges) -> Vec<Seq> {
        seqs.iter()
            .flat_map(|(start, end)| self.queue.range(start..=end).map(|(seq, _)| seq))
            .collect()
    }

    /// Whether some of these numbers are queued and cannot have reached the neighbour.
    pub(in crate::delivery) fn has_unsent(&self, seqs: &Ranges) -> bool {
        seqs.iter()
            .flat_map(|(start, end)| self.queue.range(start..=end))
            .any(|(_, entry)| !entry.maybe_there())
    }

    /// The state of a copy, for people.
    pub(in crate::delivery) fn state(&self, seq: Seq) -> State {
        if self.queue.get(seq).is_some_and(Entry::held) {
            State::Held
        } else if self.leased.contains_key(&seq) {
            State::Sending
        } else {
            State::Queued
        }
    }

    pub(in crate::delivery) fn lessee(&self, seq: Seq) -> Option<SessionId> {
        self.leased.get(&seq).copied()
    }

    pub(in crate::delivery) fn next(&self) -> Seq {
        self.next
    }

    /// Every number below this one has been acked or answered.
    pub(in crate::delivery) fn base(&self) -> Seq {
        let queued = self.queue.iter().next().map(|(seq, _)| seq);
        let gone = self.gone.iter().next().map(|(seq, _)| seq);
        queued.into_iter().chain(gone).min().unwrap_or(self.next)
    }

    pub(in crate::delivery) fn depth(&self) -> [Depth; 4] {
        self.depth
    }

    /// Messages that are queued, without receipts.
    pub(in crate::delivery) fn messages(&self) -> Depth {
        let all = self.depth.iter().fold(Depth::default(), |sum, d| Depth {
            messages: sum.messages + d.messages,
            bytes: sum.bytes + d.bytes,
        });
        Depth {
            messages: all.messages - self.receipts.messages,
            bytes: all.bytes - self.receipts.bytes,
        }
    }

    /// Messages that are queued and end by then, receipts aside.
    pub(in crate::delivery) fn expiring_by(&self, at: Millis) -> u64 {
        self.expiring.by(at)
    }

    /// Receipts that are queued.
    pub(in crate::delivery) fn receipts(&self) -> Depth {
        self.receipts
    }

    pub(in crate::delivery) fn in_flight(&self) -> u64 {
        self.in_flight.iter().sum()
    }

    /// Bytes that a session was given and that are not acked.
    pub(in crate::delivery) fn under_way(&self, session: SessionId) -> u64 {
        self.under_way.get(&session).copied().unwrap_or_default()
    }

    /// Bytes of a class that wait to be given to a session. Those that cannot go now (held, for a closed receiver) count too: the choice of
    /// a link by it may then be of a slower one, and no worse.
    pub(in crate::delivery) fn waiting(&self, express: bool) -> u64 {
        let waiting = |lane: &Lane| {
            let bytes = self.depth[lane.index()].bytes;
            bytes.saturating_sub(self.in_flight[lane.index()])
        };
        leases::lanes(express).iter().map(waiting).sum()
    }

    pub(in crate::delivery) fn is_empty(&self) -> bool {
        self.queue.len() == 0
    }

    /// Copies that cannot go now: held, or for a receiver that is closed.
    pub(in crate::delivery) fn blocked(&self) -> u64 {
        self.blocked.len()
    }

    /// Numbers that records up to `lsn` gave may leave.
    pub(in crate::delivery) fn synced(&mut self, lsn: Lsn) {
        while let Some((mark, next)) = self.marks.front().copied() {
            if mark > lsn {
                break;
            }
            self.durable = next;
            self.marks.pop_front();
        }
    }

    /// The numbers hold from record `lsn` on, whenever they were given: none leaves before it is synced. Without it all may be numbered
    /// afresh.
    pub(in crate::delivery) fn stay_until(&mut self, lsn: Lsn) {
        self.durable = 1;
        self.marks.clear();
        self.marks.push_back((lsn, self.next));
    }

    /// Every number afresh from 1, in the order of `order`. They may leave once `lsn` is synced.
    pub(in crate::delivery) fn renumber(&mut self, order: Vec<Moved>, lsn: Lsn, parcels: &Parcels) {
        for moved in order {
            self.put(moved, lsn, parcels);
        }
        if self.marks.is_empty() {
            self.marks.push_back((lsn, self.next));
        }
        self.tell_again();
    }

    /// Takes everything out, in the order of the numbers, and forgets what the numbers meant. What the neighbour said of room and of
    /// closed receivers in this session holds whatever the numbers are.
    pub(in crate::delivery) fn drain(&mut self) -> Vec<Moved> {
        let new = Self {
            turns: self.turns,
            credit: self.credit,
            closed: std::mem::take(&mut self.closed),
            ..Self::default()
        };
        let before = std::mem::replace(self, new);
        let Self {
            mut queue,
            mut targets,
            mut endings,
            chains,
            ..
        } = before;
        for (_, tails) in chains.iter() {
            tails.iter().for_each(|(target, _)| targets.give(*target));
        }
        self.targets = targets;
        let moved = |(seq, mut entry): (Seq, Entry)| {
            entry.set_maybe_there(false);
            Moved {
                slot: entry.slot,
                lane: entry.lane,
                flags: entry.flags(),
                for_whom: entry.for_whom,
                ending: endings.remove(&seq).map(Box::new),
            }
        };
        queue.drain().into_iter().map(moved).collect()
    }

    pub(in crate::delivery) fn set_lane(&mut self, seq: Seq, lane: Lane, parcels: &Parcels) {
        let Some(entry) = self.queue.get_mut(seq) else {
            return;
        };
        let bytes = parcels.get(entry.slot).bytes;
        let old = entry.lane.index();
        entry.lane = lane;
        self.depth[old].take(bytes);
        self.depth[lane.index()].add(bytes);
        if self.ready[old].remove(seq) {
            self.ready[lane.index()].insert(seq);
        }
        if self.leased.contains_key(&seq) {
            let bytes = u64::from(bytes);
            self.in_flight[old] = self.in_flight[old].saturating_sub(bytes);
            self.in_flight[lane.index()] += bytes;
        }
    }
}
