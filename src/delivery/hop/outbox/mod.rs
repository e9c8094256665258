//! The durable queue towards one neighbour.

mod ends;
mod leases;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bincode::{Decode, Encode};

use super::frame::Seq;
use crate::{
    codec::Each,
    delivery::{input::SessionId, parcels::Slot},
    model::{Lane, Lsn, Pattern, Ranges, Reason, State, UnitId},
};

/// One copy of a parcel, towards one neighbour.
#[derive(Clone, Debug, Encode, Decode)]
pub(in crate::delivery) struct Queued {
    pub(in crate::delivery) slot: Slot,
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) bytes: u32,
    pub(in crate::delivery) is_receipt: bool,
    pub(in crate::delivery) chain: u64,
    /// Numbers that must be released first at the neighbour.
    pub(in crate::delivery) after: Vec<Seq>,
    pub(in crate::delivery) for_whom: Vec<Pattern>,
    /// Whether those are just the receivers that the sender signed.
    pub(in crate::delivery) as_signed: bool,
    pub(in crate::delivery) held: bool,
    /// How it is to end, once the neighbour has said that it does not have it.
    pub(in crate::delivery) ending: Option<Box<Ending>>,
    /// Whether the neighbour may have it although it has not acked it.
    pub(in crate::delivery) maybe_there: bool,
}

/// How a copy ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::delivery) struct Ending {
    pub(in crate::delivery) state: State,
    pub(in crate::delivery) reason: Reason,
    pub(in crate::delivery) note: String,
}

/// Where a copy is that cannot go now, as long as the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It waits for its receiver to open, for a hold to end, or for a predecessor that waits so.
    Blocked,
    /// It is under way.
    Leased(SessionId),
}

/// A chain: what is queued of it, and its ends.
#[derive(Clone, Debug, Default)]
struct Chain {
    queued: BTreeSet<Seq>,
    tails: Vec<Tail>,
}

/// The numbers that the next one of a chain comes after, for one target. It is the last number; when that one ended here, those that it
/// came after. An acked one counts as long as anything of its chain is queued: the neighbour may have it and wait for that.
#[derive(Clone, Debug, Encode, Decode)]
struct Tail {
    target: Pattern,
    seqs: Vec<Seq>,
}

/// The queue towards one neighbour: numbers, lanes, chains and leases.
#[derive(Debug)]
pub(in crate::delivery) struct Outbox {
    next: Seq,
    /// In boxes, since the nodes of a tree that grows at its end are half empty.
    queue: BTreeMap<Seq, Box<Queued>>,
    /// Numbers that ended here and that the neighbour has not yet answered.
    gone: Ranges,
    // What follows is rebuilt at start.
    /// Those that cannot go now.
    places: HashMap<Seq, Place>,
    ready: [BTreeSet<Seq>; 4],
    chains: HashMap<u64, Chain>,
    /// Numbers in the queue that are to end, and all numbers that the neighbour is yet to be told of: they are gone, or to end.
    endings: BTreeSet<Seq>,
    untold: BTreeSet<Seq>,
    closed: BTreeSet<UnitId>,
    /// Up to which number the records are synced: nothing at or past it may leave.
    durable: Seq,
    marks: VecDeque<(Lsn, Seq)>,
    depth: [Depth; 4],
    /// Receipts among them.
    receipts: Depth,
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

/// Bytes that a neighbour may have under way in a lane before it has told its credit.
const CREDIT_AT_FIRST: u64 = 256 * 1024;
/// Most parcels of one batch.
pub(in crate::delivery) const BATCH_PARCELS_MAX: usize = 64;

impl Default for Outbox {
    fn default() -> Self {
        Self::restore(Snapshot {
            next: 1,
            queue: Vec::new(),
            gone: Ranges::new(),
            tails: Vec::new(),
        })
    }
}

/// An [`Outbox`] as a checkpoint has it.
#[derive(Debug, Decode)]
pub(in crate::delivery) struct Snapshot {
    next: Seq,
    queue: Vec<(Seq, Queued)>,
    gone: Ranges,
    tails: Vec<(u64, Vec<Tail>)>,
}

impl Outbox {
    /// Encoded as a [`Snapshot`].
    pub(in crate::delivery) fn snapshot(&self) -> impl Encode + '_ {
        let queue = Each {
            len: self.queue.len(),
            items: || self.iter(),
        };
        let tails = Each {
            len: self.chains.len(),
            items: || self.chains.iter().map(|(key, chain)| (*key, &chain.tails)),
        };
        (self.next, queue, &self.gone, tails)
    }

    pub(in crate::delivery) fn restore(snapshot: Snapshot) -> Self {
        let mut outbox = Self {
            next: snapshot.next,
            queue: BTreeMap::new(),
            gone: snapshot.gone,
            places: HashMap::new(),
            ready: Default::default(),
            chains: HashMap::new(),
            endings: BTreeSet::new(),
            untold: BTreeSet::new(),
            closed: BTreeSet::new(),
            durable: snapshot.next,
            marks: VecDeque::new(),
            depth: Default::default(),
            receipts: Depth::default(),
            in_flight: [0; 4],
            credit: [CREDIT_AT_FIRST; 4],
            turns: 0,
        };
        for (seq, queued) in snapshot.queue {
            if queued.chain != 0 {
                let chain = outbox.chains.entry(queued.chain).or_default();
                chain.queued.insert(seq);
            }
            outbox.put(seq, queued);
        }
        for (key, tails) in snapshot.tails {
            outbox.chains.entry(key).or_default().tails = tails;
        }
        outbox
    }

    /// Everything in the queue may have reached the neighbour in an earlier life of this node.
    pub(in crate::delivery) fn recovered(&mut self) {
        for queued in self.queue.values_mut() {
            queued.maybe_there = true;
        }
        self.durable = self.next;
        self.marks.clear();
    }

    /// Adds a copy at the end and says which number it got. It may leave once `lsn` is synced.
    pub(in crate::delivery) fn push(&mut self, mut queued: Queued, lsn: Lsn) -> Seq {
        let seq = self.next;
        self.next += 1;
        queued.after = self.link(&queued, seq);
        queued.after.shrink_to_fit();
        queued.for_whom.shrink_to_fit();
        self.put(seq, queued);
        match self.marks.back_mut() {
            Some(mark) if mark.0 == lsn => mark.1 = self.next,
            _ => self.marks.push_back((lsn, self.next)),
        }
        seq
    }

    /// Enters the copy into its chains; says which numbers it comes after.
    fn link(&mut self, queued: &Queued, seq: Seq) -> Vec<Seq> {
        if queued.chain == 0 {
            return Vec::new();
        }
        let chain = self.chains.entry(queued.chain).or_default();
        chain.queued.insert(seq);
        let mut after: Vec<Seq> = chain
            .tails
            .iter()
            .filter(|tail| queued.for_whom.iter().any(|t| overlap(&tail.target, t)))
            .flat_map(|tail| tail.seqs.iter().copied())
            .collect();
        after.sort_unstable();
        after.dedup();
        for target in &queued.for_whom {
            match chain.tails.iter_mut().find(|tail| tail.target == *target) {
                Some(tail) => tail.seqs = vec![seq],
                None => {
                    if chain.tails.is_empty() {
                        chain.tails.reserve_exact(1);
                    }
                    chain.tails.push(Tail {
                        target: target.clone(),
                        seqs: vec![seq],
                    });
                }
            }
        }
        after
    }

    fn put(&mut self, seq: Seq, queued: Queued) {
        let depth = &mut self.depth[queued.lane.index()];
        depth.messages += 1;
        depth.bytes += u64::from(queued.bytes);
        if queued.is_receipt {
            self.receipts.messages += 1;
            self.receipts.bytes += u64::from(queued.bytes);
        }
        self.ready[queued.lane.index()].insert(seq);
        if queued.ending.is_some() {
            self.endings.insert(seq);
        }
        self.queue.insert(seq, Box::new(queued));
    }

    /// Takes a copy out: it was acked, or has ended.
    pub(in crate::delivery) fn remove(&mut self, seq: Seq) -> Option<Queued> {
        let queued = self.queue.remove(&seq)?;
        self.unlease(seq, &queued);
        self.places.remove(&seq);
        let lane = queued.lane.index();
        self.ready[lane].remove(&seq);
        self.depth[lane].messages -= 1;
        self.depth[lane].bytes -= u64::from(queued.bytes);
        if queued.is_receipt {
            self.receipts.messages -= 1;
            self.receipts.bytes -= u64::from(queued.bytes);
        }
        self.endings.remove(&seq);
        if let Some(chain) = self.chains.get_mut(&queued.chain) {
            chain.queued.remove(&seq);
            if chain.queued.is_empty() {
                self.chains.remove(&queued.chain);
            }
        }
        Some(*queued)
    }

    /// Goes on counting what is acked as under way, as a planted bug.
    #[cfg(any(test, feature = "sim"))]
    pub(in crate::delivery) fn leak(&mut self, queued: &Queued) {
        self.in_flight[queued.lane.index()] += u64::from(queued.bytes);
    }

    fn unlease(&mut self, seq: Seq, queued: &Queued) {
        if let Some(Place::Leased(_)) = self.places.get(&seq) {
            let in_flight = &mut self.in_flight[queued.lane.index()];
            debug_assert!(*in_flight >= u64::from(queued.bytes));
            *in_flight = in_flight.saturating_sub(u64::from(queued.bytes));
        }
    }

    pub(in crate::delivery) fn get(&self, seq: Seq) -> Option<&Queued> {
        self.queue.get(&seq).map(|queued| &**queued)
    }

    pub(in crate::delivery) fn get_mut(&mut self, seq: Seq) -> Option<&mut Queued> {
        self.queue.get_mut(&seq).map(|queued| &mut **queued)
    }

    pub(in crate::delivery) fn iter(&self) -> impl DoubleEndedIterator<Item = (Seq, &Queued)> {
        self.queue.iter().map(|(seq, queued)| (*seq, &**queued))
    }

    /// From a number on, for pages.
    pub(in crate::delivery) fn iter_after(
        &self,
        after: Seq,
    ) -> impl Iterator<Item = (Seq, &Queued)> {
        self.queue
            .range(after.saturating_add(1)..)
            .map(|(seq, queued)| (*seq, &**queued))
    }

    /// Numbers in the queue that are in `seqs`.
    pub(in crate::delivery) fn among(&self, seqs: &Ranges) -> Vec<Seq> {
        seqs.iter()
            .flat_map(|(start, end)| self.queue.range(start..=end).map(|(seq, _)| *seq))
            .collect()
    }

    /// Whether some of these numbers are queued and cannot have reached the neighbour.
    pub(in crate::delivery) fn has_unsent(&self, seqs: &Ranges) -> bool {
        seqs.iter()
            .flat_map(|(start, end)| self.queue.range(start..=end))
            .any(|(_, queued)| !queued.maybe_there)
    }

    /// The state of a copy, for people.
    pub(in crate::delivery) fn state(&self, seq: Seq) -> State {
        match (self.queue.get(&seq), self.places.get(&seq)) {
            (Some(queued), _) if queued.held => State::Held,
            (_, Some(Place::Leased(_))) => State::Sending,
            _ => State::Queued,
        }
    }

    pub(in crate::delivery) fn lessee(&self, seq: Seq) -> Option<SessionId> {
        match self.places.get(&seq) {
            Some(Place::Leased(session)) => Some(*session),
            _ => None,
        }
    }

    pub(in crate::delivery) fn next(&self) -> Seq {
        self.next
    }

    /// Every number below this one has been acked or answered.
    pub(in crate::delivery) fn base(&self) -> Seq {
        let queued = self.queue.first_key_value().map(|(seq, _)| *seq);
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

    /// Receipts that are queued.
    pub(in crate::delivery) fn receipts(&self) -> Depth {
        self.receipts
    }

    pub(in crate::delivery) fn in_flight(&self) -> u64 {
        self.in_flight.iter().sum()
    }

    pub(in crate::delivery) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Copies that cannot go now: held, or for a receiver that is closed.
    pub(in crate::delivery) fn blocked(&self) -> u64 {
        self.places
            .values()
            .filter(|place| **place == Place::Blocked)
            .count() as u64
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

    /// Every number afresh from 1, in the order of `order`. They may leave once `lsn` is synced.
    pub(in crate::delivery) fn renumber(&mut self, order: Vec<Queued>, lsn: Lsn) {
        *self = Self {
            turns: self.turns,
            ..Self::default()
        };
        self.durable = 1;
        for mut queued in order {
            queued.maybe_there = false;
            self.push(queued, lsn);
        }
        if self.marks.is_empty() {
            self.marks.push_back((lsn, self.next));
        }
        self.tell_again();
    }

    /// Takes everything out, in the order of the numbers.
    pub(in crate::delivery) fn drain(&mut self) -> Vec<Queued> {
        let queue = std::mem::take(&mut self.queue).into_values();
        queue.map(|queued| *queued).collect()
    }

    pub(in crate::delivery) fn set_lane(&mut self, seq: Seq, lane: Lane) {
        let Some(queued) = self.queue.get_mut(&seq) else {
            return;
        };
        let (old, bytes) = (queued.lane.index(), u64::from(queued.bytes));
        queued.lane = lane;
        self.depth[old].messages -= 1;
        self.depth[old].bytes -= bytes;
        self.depth[lane.index()].messages += 1;
        self.depth[lane.index()].bytes += bytes;
        if self.ready[old].remove(&seq) {
            self.ready[lane.index()].insert(seq);
        }
        if let Some(Place::Leased(_)) = self.places.get(&seq) {
            self.in_flight[old] = self.in_flight[old].saturating_sub(bytes);
            self.in_flight[lane.index()] += bytes;
        }
    }
}

/// Whether two targets may mean the same unit.
fn overlap(a: &Pattern, b: &Pattern) -> bool {
    match (a.is_name(), b.is_name()) {
        (true, true) => a == b,
        (true, false) => b.matches(a.as_str()),
        (false, true) => a.matches(b.as_str()),
        (false, false) => true,
    }
}
