//! What is going to happen, in order of time.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    delivery::{SessionId, Ticket, hop::Seq},
    model::{BlobDigest, Location, MessageId},
};

use super::{
    attachments::BlobWork,
    net::{Batch, SessionIndex},
};

/// Simulated microseconds since the world began.
pub(super) type Us = u64;

/// A node's place in the world.
pub(super) type NodeIndex = usize;

/// Counts a node's starts; what was meant for an earlier life is void.
pub(super) type Life = u32;

pub(super) const MILLISECOND: Us = 1_000;
pub(super) const SECOND: Us = 1_000_000;

/// Something that happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    /// A node's machine asked to be woken.
    Tick { node: NodeIndex, life: Life },
    /// A node's disk goes one step further with what is under way.
    Disk {
        node: NodeIndex,
        life: Life,
        step: DiskStep,
    },
    /// A node learns that a parcel cannot be read, which was to leave by a session and number or to be handed over.
    Unreadable {
        node: NodeIndex,
        life: Life,
        at: Location,
        lease: Option<(SessionId, Seq)>,
    },
    /// The keeper of a node's attachments has done something.
    Blob {
        node: NodeIndex,
        life: Life,
        digest: BlobDigest,
        work: Box<BlobWork>,
    },
    /// A node keeps its journal's house.
    House { node: NodeIndex, life: Life },

    /// A node tries to set up a session with its upstream.
    Dial { child: NodeIndex, link: usize },
    /// An end of a session learns that it is up.
    Up { session: SessionIndex, end: usize },
    /// An end of a session learns that it is over.
    Down { session: SessionIndex, end: usize },
    /// The next control frame reaches an end.
    Control { session: SessionIndex, end: usize },
    /// A batch reaches an end, unpacked and judged.
    Batch {
        session: SessionIndex,
        end: usize,
        batch: Box<Batch>,
    },
    /// An end learns that the other could not read a batch.
    Unread { session: SessionIndex, end: usize },
    /// A session can carry one more batch from an end.
    Room {
        session: SessionIndex,
        end: usize,
        express: bool,
    },

    /// The ends of a link's sessions learn whether it answers.
    Answers { child: NodeIndex, link: usize },

    /// A node's application submits something.
    Clerk { node: NodeIndex },
    /// A node's application asks for messages, or does something else with its inbox.
    Poll { node: NodeIndex },
    /// A node's application is done with messages.
    Take {
        node: NodeIndex,
        messages: Vec<MessageId>,
    },
    /// A node's application gives messages back.
    GiveBack {
        node: NodeIndex,
        messages: Vec<MessageId>,
    },
    /// Nobody waits for a node's answer any more.
    Forget {
        node: NodeIndex,
        life: Life,
        ticket: Ticket,
    },
    /// An operator does something somewhere.
    Operator,
    /// The rogue does something.
    Rogue,

    /// Something breaks.
    Fault,
    /// A node that crashed starts again.
    Start { node: NodeIndex },
    /// A link that was cut works again.
    Mend { child: NodeIndex, link: usize },
    /// A disk that was full or failed does neither any more.
    Sound { node: NodeIndex },
    /// A unit that was blocked is welcome again.
    Unblock { unit: NodeIndex },
    /// Nothing breaks any more.
    Calm,
    /// Is everything where it must be?
    Look,
}

/// A step of a node's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskStep {
    /// The write is done.
    Write,
    /// The node learns of it.
    Written,
    /// The checkpoint is done.
    Checkpoint,
    /// The node learns of it.
    Checkpointed,
}

/// The events to come. Two of one moment happen in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    now: Us,
    entered: u64,
    heap: BinaryHeap<Reverse<Entry>>,
}

#[derive(Debug)]
struct Entry {
    at: Us,
    order: u64,
    event: Event,
}

impl Agenda {
    pub(super) fn now(&self) -> Us {
        self.now
    }

    /// Enters what happens `delay` from now.
    pub(super) fn after(&mut self, delay: Us, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Enters what happens at `at`, or now when that is past.
    pub(super) fn at(&mut self, at: Us, event: Event) {
        self.entered += 1;
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.entered,
            event,
        }));
    }

    /// The next event; the clock moves there.
    pub(super) fn next(&mut self) -> Option<Event> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
