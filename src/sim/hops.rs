//! What neighbours say to each other, watched: numbers name one parcel, and an ack covers only what is on stable storage (G2).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    delivery::hop::{Ack, Epoch, Hello, Seq},
    model::{Digest, Lsn, Ranges},
};

use super::agenda::NodeIndex;

/// One direction of a hop in one pair of epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Direction {
    pub(super) from: NodeIndex,
    pub(super) to: NodeIndex,
    pub(super) from_epoch: Epoch,
    pub(super) to_epoch: Epoch,
}

/// All hops.
#[derive(Debug, Default)]
pub(super) struct HopWatch {
    directions: BTreeMap<Direction, Numbers>,
    /// Nodes that break rules on purpose.
    pub(super) rogues: BTreeSet<NodeIndex>,
}

#[derive(Debug, Default)]
struct Numbers {
    /// What each number named when it left.
    sent: BTreeMap<Seq, Digest>,
    /// What it named when it left, before the sender's disk was set back: the sender has forgotten that.
    sent_before: BTreeMap<Seq, Digest>,
    /// Numbers that came with a parcel, or of which it came that they are gone, and where the receiver's log stood then.
    came: BTreeMap<Seq, (Lsn, Option<Digest>)>,
    /// Numbers that the receiver was told are gone.
    gone: BTreeSet<Seq>,
    /// Numbers that the receiver has said are safe.
    acked: Ranges,
    /// Those of them that it had said before it last started. (A hello may be made long before it leaves, so that it lacks the rest.)
    acked_before: Ranges,
}

impl HopWatch {
    /// A number leaves.
    pub(super) fn sends(
        &mut self,
        direction: Direction,
        seq: Seq,
        parcel: Digest,
    ) -> Result<(), String> {
        if self.rogues.contains(&direction.from) {
            return Ok(());
        }
        let numbers = self.directions.entry(direction).or_default();
        let before = numbers.sent.insert(seq, parcel);
        // A sender whose disk was set back cannot know which numbers it has used; it may use one again that never came.
        let is_acked = numbers.acked.contains(seq);
        let forgotten = numbers.sent_before.get(&seq).filter(|_| is_acked);
        match before.as_ref().or(forgotten) {
            Some(before) if *before != parcel => Err(format!(
                "number {seq} of {direction:?} named {before} and now names {parcel}"
            )),
            _ => Ok(()),
        }
    }

    /// A number has been taken in with a parcel, or it was told to be gone; the log stands at `lsn`.
    pub(super) fn comes(
        &mut self,
        direction: Direction,
        seq: Seq,
        parcel: Option<Digest>,
        lsn: Lsn,
    ) {
        let numbers = self.directions.entry(direction).or_default();
        numbers.came.entry(seq).or_insert((lsn, parcel));
        if parcel.is_none() {
            numbers.gone.insert(seq);
        }
    }

    /// An ack leaves; the receiver's log is durable up to `synced`.
    pub(super) fn acks(
        &mut self,
        direction: Direction,
        ack: &Ack,
        synced: Lsn,
    ) -> Result<(), String> {
        self.says_safe(direction, &ack.received, synced)
    }

    /// A hello leaves: it says what was received, all of it.
    pub(super) fn greets(
        &mut self,
        direction: Direction,
        hello: &Hello,
        synced: Lsn,
    ) -> Result<(), String> {
        if let Some(numbers) = self.directions.get(&direction) {
            let missing: Vec<Seq> = each(&numbers.acked_before)
                .filter(|seq| !hello.received.contains(*seq) && !numbers.gone.contains(seq))
                .collect();
            if !missing.is_empty() && !self.rogues.contains(&direction.to) {
                return Err(format!(
                    "hello for {direction:?} has forgotten numbers that were acked: {missing:?}"
                ));
            }
        }
        self.says_safe(direction, &hello.received, synced)
    }

    fn says_safe(
        &mut self,
        direction: Direction,
        received: &Ranges,
        synced: Lsn,
    ) -> Result<(), String> {
        if self.rogues.contains(&direction.from) || self.rogues.contains(&direction.to) {
            return Ok(());
        }
        let numbers = self.directions.entry(direction).or_default();
        for seq in each(received) {
            match numbers.came.get(&seq) {
                Some((lsn, parcel)) if *lsn <= synced => {
                    let names = numbers.sent.get(&seq).or(numbers.sent_before.get(&seq));
                    let named = parcel.as_ref();
                    if let (Some(named), Some(names)) = (named, names)
                        && named != names
                    {
                        return Err(format!(
                            "number {seq} of {direction:?} came as {named} and is acked for {names}"
                        ));
                    }
                }
                Some((lsn, _)) => {
                    return Err(format!(
                        "number {seq} of {direction:?} is acked, came by record {lsn}, and only {synced} is durable"
                    ));
                }
                None => {
                    return Err(format!(
                        "number {seq} of {direction:?} is acked and never came, or was lost since"
                    ));
                }
            }
        }
        numbers.acked.union(received);
        Ok(())
    }

    /// A node numbers its hop with a neighbour afresh, in a pair of epochs that there may have been before.
    pub(super) fn resets(&mut self, node: NodeIndex, neighbour: NodeIndex) {
        for (direction, numbers) in &mut self.directions {
            if (direction.to, direction.from) == (node, neighbour) {
                numbers.acked.clear();
                numbers.acked_before.clear();
                // Of the present pair some may have come ahead of the hello: they still count, whatever they name.
                for (_, parcel) in numbers.came.values_mut() {
                    *parcel = None;
                }
            } else if (direction.from, direction.to) == (node, neighbour) {
                numbers.sent.clear();
                numbers.sent_before.clear();
            }
        }
    }

    /// A node has recovered its log up to `last`; `set_back` when its disk is not the one that it had before.
    pub(super) fn recovered(&mut self, node: NodeIndex, last: Lsn, set_back: bool) {
        for (direction, numbers) in &mut self.directions {
            if direction.to == node {
                numbers.came.retain(|_, (lsn, _)| *lsn <= last);
                if set_back {
                    numbers.acked.clear();
                    // Whatever a number named, this node does not know it.
                    numbers.sent.clear();
                    numbers.sent_before.clear();
                }
                numbers.acked_before = numbers.acked.clone();
            } else if direction.from == node && set_back {
                let sent = std::mem::take(&mut numbers.sent);
                numbers.sent_before.extend(sent);
            }
        }
    }
}

fn each(ranges: &Ranges) -> impl Iterator<Item = Seq> + '_ {
    ranges.iter().flat_map(|(start, end)| start..=end)
}
