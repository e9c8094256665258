//! Bounds: what the journal, the queues, the inbox and the memory still take (G7).
//!
//! Messages and receipts have separate budgets in each queue, so that neither crowds the other out. So has what waits for a predecessor,
//! by the queue that it will go to: if it took the place of what can go, the predecessor might find none.

use std::collections::BTreeMap;

use super::{
    Delivery, NotAccepted,
    hop::{Depth, Waiting},
    record::Route,
};
use crate::model::{Lane, Pattern, UnitId};

/// Receipts that a queue takes for each message that it takes: one may be relayed, delivered and read, and repeated.
const RECEIPTS_PER_MESSAGE: u64 = 4;

/// A message for several receivers is taken while one of them has room; another that is full takes it until it has so many times its
/// bound.
const OVERFULL: u64 = 2;

/// Parcels of one neighbour that wait for a predecessor.
pub(super) const WAITING_MAX: usize = 4096;

/// How full the queue towards a neighbour is, as its bounds count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Messages that are queued, or that will be when a predecessor has come.
    pub messages: Depth,
    /// Receipts that are queued, and lines that are still to be signed.
    pub receipts: Depth,
}

/// Messages that wait for a predecessor, by the unit whose queue or inbox they will go to.
#[derive(Debug, Default)]
pub(super) struct WaitingFor(BTreeMap<UnitId, Depth>);

impl WaitingFor {
    fn of(&self, unit: &UnitId) -> Depth {
        self.0.get(unit).copied().unwrap_or_default()
    }

    fn add(&mut self, unit: &UnitId, bytes: u64) {
        let depth = self.0.entry(unit.clone()).or_default();
        depth.messages += 1;
        depth.bytes += bytes;
    }

    fn take(&mut self, unit: &UnitId, bytes: u64) {
        if let Some(depth) = self.0.get_mut(unit) {
            depth.messages = depth.messages.saturating_sub(1);
            depth.bytes = depth.bytes.saturating_sub(bytes);
            if depth.messages == 0 {
                self.0.remove(unit);
            }
        }
    }
}

impl Delivery {
    /// How full the queue towards a neighbour is.
    pub fn queue_load(&self, unit: &UnitId) -> QueueLoad {
        let (mut messages, mut receipts) = match self.hops.get(unit) {
            Some(hop) => (hop.outbox.messages(), hop.outbox.receipts()),
            None => Default::default(),
        };
        let waiting = self.waiting_for.of(unit);
        messages.messages += waiting.messages;
        messages.bytes += waiting.bytes;
        receipts.messages += self.owed.to(unit) as u64;
        QueueLoad { messages, receipts }
    }

    /// How full the inbox is, with what waits for a predecessor.
    pub fn inbox_load(&self) -> Depth {
        let waiting = self.waiting_for.of(&self.settings.unit);
        let has = self.inbox.depth();
        Depth {
            messages: has.messages + waiting.messages,
            bytes: has.bytes + waiting.bytes,
        }
    }

    /// Whether one more message may wait for a predecessor, towards a receiver.
    pub(super) fn may_wait_for(&self, unit: &UnitId, lane: Lane, bytes: u64) -> bool {
        let (name, count, mib) = self.bounds_of(unit);
        let has = self.waiting_for.of(unit);
        self.fits(lane, has.messages + 1, name, count, 1).is_ok()
            && self
                .fits(lane, has.bytes + bytes, name, mib, 1 << 20)
                .is_ok()
    }

    /// A receiver's bounds: the name of the first, messages, and MiB.
    fn bounds_of(&self, unit: &UnitId) -> (&'static str, u64, u64) {
        let limits = &self.settings.limits;
        let (name, count, mib) = if *unit == self.settings.unit {
            ("inbox-messages", limits.inbox_messages, limits.inbox_mib)
        } else if self.is_upstream(unit) {
            ("outbox-messages", limits.outbox_messages, limits.outbox_mib)
        } else {
            (
                "mailbox-messages",
                limits.mailbox_messages,
                limits.mailbox_mib,
            )
        };
        (name, count.into(), mib.into())
    }

    /// Whether the outcome of one more pattern may be summed up. What came down and what goes up have separate budgets: an upstream that
    /// waits for this node's sums never waits for itself.
    pub(super) fn sums_up(&self, route: &Route) -> bool {
        let Route::Fanout { back, .. } = route else {
            return true;
        };
        let bound = self.settings.limits.mailbox_messages as usize;
        if self.fanouts.len() < bound {
            return true; // they need not be counted one by one
        }
        let comes_down = self.is_upstream(back);
        let all = self.fanouts.values().flatten();
        let same = all.filter(|f| self.is_upstream(&f.back) == comes_down);
        same.take(bound).count() < bound
    }

    /// Counts what waits.
    pub(super) fn count_waiting(&mut self, waiting: &Waiting) {
        self.each_awaiting(waiting, WaitingFor::add);
    }

    /// What waited waits no longer.
    pub(super) fn uncount_waiting(&mut self, waiting: &Waiting) {
        self.each_awaiting(waiting, WaitingFor::take);
    }

    fn each_awaiting(&mut self, waiting: &Waiting, count: fn(&mut WaitingFor, &UnitId, u64)) {
        let Some(slot) = waiting.slot else { return };
        let bytes = u64::from(self.parcels.get(slot).bytes);
        let me = self.settings.unit.clone();
        for unit in waiting.routes.iter().filter_map(|route| route.unit(&me)) {
            count(&mut self.waiting_for, unit, bytes);
        }
    }

    /// Whether this node keeps so many more messages of its own, until a receipt has told of their end.
    pub(super) fn keeps(&self, lane: Lane, messages: u64) -> Result<(), NotAccepted> {
        let bound = self.settings.limits.outbox_messages;
        self.fits(
            lane,
            self.parcels.own() + messages,
            "outbox-messages",
            bound.into(),
            1,
        )
    }

    /// Whether so many more messages can be remembered (G4).
    pub(super) fn remembers(&self, messages: u64) -> Result<(), NotAccepted> {
        let bound = self.settings.limits.remembered_messages;
        let wanted = self.remembered_sent().max(self.remembered_seen()) + messages;
        self.fits(Lane::Flash, wanted, "remembered-messages", bound.into(), 1)
    }

    /// Whether a receipt for `to` finds room on its way there; one for this node itself takes none.
    pub(super) fn receipts_take(&self, to: &UnitId, bytes: u64) -> bool {
        let Some(next) = self.next_hop(&Pattern::from(to)) else {
            return true;
        };
        let (_, count, mib) = self.bounds_of(&next);
        let has = self.queue_load(&next).receipts;
        has.messages < RECEIPTS_PER_MESSAGE * count && has.bytes + bytes <= mib << 20
    }

    /// What a lane may use of a bound: the reserve is for urgent lanes.
    fn share(&self, bound: u64, lane: Lane) -> u64 {
        if lane.has_reserve() {
            bound
        } else {
            bound - bound * u64::from(self.settings.limits.reserve_percent.min(90)) / 100
        }
    }

    pub(super) fn journal_takes(&self, lane: Lane, bytes: u64) -> Result<(), NotAccepted> {
        let Some(room) = self.room else {
            return Ok(());
        };
        let reserve = room.bound - self.share(room.bound, lane);
        let short = room.free < reserve + 2 * bytes;
        if room.disk_full && (short || !lane.has_reserve()) {
            return Err(NotAccepted::DiskFull);
        }
        if short {
            return Err(NotAccepted::Bound {
                name: "journal-mib",
                bound: u64::from(self.settings.limits.journal_mib),
            });
        }
        Ok(())
    }

    /// What is queued for a receiver, a neighbour or this node itself.
    pub(crate) fn load(&self, unit: &UnitId) -> Depth {
        if *unit == self.settings.unit {
            return self.inbox.depth();
        }
        let hop = self.hops.get(unit);
        hop.map_or_else(Depth::default, |hop| hop.outbox.messages())
    }

    /// Whether `has` is so far beyond a receiver's bounds that it takes nothing whatever the others do.
    pub(super) fn is_overfull(&self, unit: &UnitId, has: Depth) -> bool {
        let (_, count, mib) = self.bounds_of(unit);
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::IgnoredBound) {
            return false;
        }
        has.messages >= OVERFULL * count || has.bytes >= (OVERFULL * mib) << 20
    }

    /// Whether the queue towards a neighbour takes so many more messages with so many more bytes.
    pub(super) fn queue_takes(
        &self,
        unit: &UnitId,
        lane: Lane,
        messages: u64,
        bytes: u64,
    ) -> Result<(), NotAccepted> {
        let limits = &self.settings.limits;
        let depth = self.load(unit);
        let ((count_name, count), (mib_name, mib)) = if self.is_upstream(unit) {
            (
                ("outbox-messages", limits.outbox_messages),
                ("outbox-mib", limits.outbox_mib),
            )
        } else {
            (
                ("mailbox-messages", limits.mailbox_messages),
                ("mailbox-mib", limits.mailbox_mib),
            )
        };
        self.fits(lane, depth.messages + messages, count_name, count.into(), 1)?;
        self.fits(lane, depth.bytes + bytes, mib_name, mib.into(), 1 << 20)
    }

    pub(super) fn inbox_takes(
        &self,
        lane: Lane,
        messages: u64,
        bytes: u64,
    ) -> Result<(), NotAccepted> {
        let limits = &self.settings.limits;
        let (count, mib) = (limits.inbox_messages, limits.inbox_mib);
        self.remembers(messages)?;
        let has = self.inbox.depth();
        let wanted = has.messages + messages;
        self.fits(lane, wanted, "inbox-messages", count.into(), 1)?;
        self.fits(lane, has.bytes + bytes, "inbox-mib", mib.into(), 1 << 20)
    }

    fn fits(
        &self,
        lane: Lane,
        wanted: u64,
        name: &'static str,
        bound: u64,
        unit: u64,
    ) -> Result<(), NotAccepted> {
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::IgnoredBound) {
            return Ok(());
        }
        if wanted <= self.share(bound * unit, lane) {
            Ok(())
        } else {
            Err(NotAccepted::Bound { name, bound })
        }
    }
}

impl Route {
    /// The unit whose bound the copy counts against; none for a sum.
    pub(super) fn unit<'a>(&'a self, me: &'a UnitId) -> Option<&'a UnitId> {
        match self {
            Route::Here { .. } => Some(me),
            Route::Neighbour { unit, .. } => Some(unit),
            Route::Fanout { .. } => None,
        }
    }
}
