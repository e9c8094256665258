//! Parcels come: they are kept, wait for their predecessors, and go where they are to go.

use std::collections::btree_map::Entry;

use crate::delivery::{
    Delivery, Event, Output, Step,
    hop::{Queued, Seq, Waiting},
    parcels::{self, From, New, Slot},
    receipts::Fanout,
    record::{Received, Route},
};
use crate::model::{Digest, Location, Millis, Outcome, Pattern, Reason, State, UnitId};

use super::Carried;

impl Delivery {
    pub(super) fn keep(
        &mut self,
        carried: Carried<'_>,
        wall: Millis,
        from: From,
        at: Location,
    ) -> Slot {
        let header = carried.header;
        let slot = self.parcels.insert(New {
            header,
            digest: carried.digest,
            bytes: carried.bytes,
            received: wall,
            order: self.lsn,
            location: at,
            wants_read: !self.settings.kinds_without_read.contains(&header.kind),
            from,
        });
        let expires = self.parcels.get(slot).expires;
        self.expiries.note(slot, expires / 1000);
        self.name_blobs(slot, header);
        slot
    }

    pub(super) fn apply_accepted(
        &mut self,
        wall: Millis,
        content: Digest,
        routes: Vec<Route>,
        refused: Vec<(Pattern, Reason)>,
        carried: Carried<'_>,
        at: Location,
    ) {
        let header = carried.header;
        let slot = self.keep(
            carried,
            wall,
            From::Application(parcels::content(content)),
            at,
        );
        let step = Step::Accepted {
            location: at,
            parcel: carried.digest,
            bytes: carried.bytes,
            lane: header.lane,
        };
        self.step(slot, wall, step);
        for (target, reason) in refused {
            self.parcels.settle(slot, &target, State::Refused, reason);
            let ended = Step::Ended {
                receiver: target,
                state: State::Refused,
                reason,
            };
            self.step(slot, wall, ended);
        }
        for route in routes {
            self.route(slot, route);
        }
        self.let_go(slot);
    }

    pub(super) fn apply_received(
        &mut self,
        received: Received,
        carried: Option<Carried<'_>>,
        at: Location,
    ) {
        let (neighbour, seq, wall) = (received.neighbour, received.seq, received.wall);
        let lsn = self.lsn;
        let inbound = &mut self.hop(&neighbour).inbound;
        let is_receipt = received.issuer.is_some()
            || carried.as_ref().is_some_and(|c| c.header.kind.is_receipt());
        inbound.note(seq, lsn, !is_receipt);
        inbound.mark(seq, received.mark);
        if let Some(carried) = carried {
            self.apply_stored(
                &neighbour,
                seq,
                received.after,
                received.routes,
                received.attested,
                wall,
                carried,
                at,
            );
        } else {
            let waiting = Waiting {
                slot: None,
                accepted: 0,
                chain: 0,
                after: received.after,
                routes: Vec::new(),
            };
            let inbound = &mut self.hop(&neighbour).inbound;
            if inbound.must_wait(&waiting.after, 0) {
                inbound.wait(seq, waiting);
            }
        }
        for (to, line) in received.owed {
            self.owe(to, line, wall);
        }
        if let Some(issuer) = received.issuer {
            for item in received.lines {
                self.take_line(&item, &issuer, wall);
            }
        }
        self.release_after(&neighbour, seq);
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of one record, taken apart once"
    )]
    fn apply_stored(
        &mut self,
        neighbour: &UnitId,
        seq: Seq,
        after: Vec<Seq>,
        routes: Vec<Route>,
        attested: Millis,
        wall: Millis,
        carried: Carried<'_>,
        at: Location,
    ) {
        let slot = match self.parcels.of_digest(carried.digest) {
            // The same parcel for other targets, or once more: one body is stored once.
            Some(slot) => {
                self.freed(at);
                slot
            }
            None => {
                let from = From::Elsewhere { attested };
                let slot = self.keep(carried, wall, from, at);
                let step = Step::Received {
                    location: at,
                    parcel: carried.digest,
                    bytes: carried.bytes,
                    lane: carried.header.lane,
                    from: neighbour.clone(),
                };
                self.step(slot, wall, step);
                if self.parcels.get(slot).is_receipt() {
                    self.event(Event::ReceiptPasses { location: at });
                }
                slot
            }
        };
        if routes.iter().any(|r| matches!(r, Route::Here { .. })) {
            self.forget_seen(carried.header.message_id());
            self.parcels.set_seen(slot, true);
        }
        let chain = self.parcels.get(slot).chain;
        self.parcels.begin_use(slot);
        let waiting = Waiting {
            slot: Some(slot),
            accepted: carried.header.accepted,
            chain,
            after,
            routes,
        };
        self.count_waiting(&waiting);
        let inbound = &mut self.hop(neighbour).inbound;
        if inbound.must_wait(&waiting.after, chain) {
            inbound.wait(seq, waiting);
        } else {
            self.release(waiting);
        }
    }

    /// Releases whatever waited for `seq` of `neighbour`.
    pub(super) fn release_after(&mut self, neighbour: &UnitId, seq: Seq) {
        for waiting in self.hop(neighbour).inbound.released_by(seq) {
            self.release(waiting);
        }
    }

    pub(super) fn release(&mut self, waiting: Waiting) {
        let Some(slot) = waiting.slot else {
            return;
        };
        self.uncount_waiting(&waiting);
        let lsn = self.lsn;
        if self.parcels.copies(slot).next().is_none() {
            // It may have waited for one that came after it.
            self.parcels.change(slot, |kept| kept.order = lsn);
        }
        for route in waiting.routes {
            self.route(slot, route);
        }
        self.parcels.end_use(slot);
        self.let_go(slot);
    }

    /// Puts a copy where it goes.
    pub(super) fn route(&mut self, slot: Slot, route: Route) {
        let wall = self.wall;
        self.blobs.look_at(slot);
        match route {
            Route::Here { reply_to } => {
                if self.inbox.contains(slot) {
                    return;
                }
                self.parcels.begin_use(slot);
                self.parcels.set_reply_to(slot, &reply_to);
                let kept = self.parcels.get(slot);
                let (lane, chain, bytes) = (kept.lane, kept.chain, kept.bytes);
                let lsn = self.lsn;
                let is_shut = self.blobs.has_some(slot);
                #[cfg(any(test, feature = "sim"))]
                let is_shut = is_shut && !self.has(crate::delivery::Bug::OpenInbox);
                self.inbox.push(slot, lane, chain, bytes, lsn, is_shut);
                if !is_shut {
                    self.step(slot, wall, Step::Delivered);
                    self.tell(slot, Outcome::Delivered, Reason::None, wall);
                }
            }
            Route::Neighbour {
                unit,
                targets,
                as_signed,
            } => {
                if let Some((_, seq)) = self.parcels.copies(slot).find(|(hop, _)| **hop == unit)
                    && let Some(outbox) = self.hops.get(&unit).map(|hop| &hop.outbox)
                    && let Some(queued) = outbox.get(seq)
                    && targets.iter().all(|t| outbox.for_whom(queued).contains(t))
                {
                    return;
                }
                let kept = self.parcels.get(slot);
                let step = Step::Queued {
                    neighbour: unit.clone(),
                    receivers: targets.clone(),
                };
                let queued = Queued {
                    slot,
                    lane: kept.lane,
                    for_whom: targets,
                    as_signed,
                };
                let lsn = self.lsn;
                let (hop, parcels) = self.hop_and_parcels(&unit);
                let seq = hop.outbox.push(&queued, lsn, parcels);
                self.parcels.add_copy(slot, &unit, seq);
                self.step(slot, wall, step);
            }
            Route::Fanout {
                pattern,
                units,
                back,
            } => {
                let kept = self.parcels.get(slot);
                let (digest, expires) = (kept.digest, kept.expires);
                let fanout = Fanout {
                    pattern,
                    back,
                    remaining: units.into_iter().collect(),
                    delivered: 0,
                    failed: Vec::new(),
                    expires,
                };
                if fanout.remaining.is_empty() {
                    self.owe_summary(&fanout, digest, wall);
                    return;
                }
                let all = self.fanouts.entry(digest).or_default();
                // The parcel has come once more: what is awaited is awaited once.
                all.retain(|f| (&f.pattern, &f.back) != (&fanout.pattern, &fanout.back));
                all.push(fanout);
            }
        }
    }

    /// Gives a parcel up when nothing is awaited any more.
    pub(in crate::delivery) fn let_go(&mut self, slot: Slot) {
        #[cfg(any(test, feature = "sim"))]
        if self.has(crate::delivery::Bug::LeakedParcel) {
            return;
        }
        if self.parcels.is_over(slot) {
            if let Some(concluded) = self.concluded(slot) {
                self.event(concluded);
            }
            self.unname_blobs(slot);
            let kept = self.parcels.remove(slot);
            self.remember(&kept);
            self.freed(kept.location);
            if let Some((_, before)) = self.moving.remove(&slot) {
                self.freed(before);
            }
        }
    }

    /// How a message of this node has ended; none of others.
    fn concluded(&self, slot: Slot) -> Option<Event> {
        let mut all = self.parcels.receivers(slot);
        let failed = all.clone().find(|receiver| receiver.state.is_failure());
        let is_one = all.clone().nth(1).is_none();
        let told = failed.or_else(|| all.next())?;
        let receiver = is_one.then(|| told.target.clone());
        let kept = self.parcels.get(slot);
        Some(Event::Concluded {
            message: kept.message,
            accepted: kept.received,
            at: self.now.wall.max(self.wall),
            bytes: kept.bytes,
            lane: kept.lane,
            receiver,
            state: told.state,
            reason: told.reason,
        })
    }

    /// A payload was written again. It is read where it was until it can be read where it is: then its old place is freed.
    pub(super) fn moved(&mut self, slot: Slot, before: Location) {
        if self.replaying {
            return;
        }
        match self.moving.entry(slot) {
            // It has not even been written where it was in between.
            Entry::Occupied(mut moving) => {
                moving.get_mut().0 = self.lsn;
                self.freed(before);
            }
            Entry::Vacant(vacant) => {
                vacant.insert((self.lsn, before));
            }
        }
    }

    /// Payloads that records up to `synced` wrote again are where they are now.
    pub(in crate::delivery) fn settle_moved(&mut self) {
        let synced = self.synced;
        let mut settled = Vec::new();
        self.moving.retain(|_, (lsn, before)| {
            let is_readable = *lsn <= synced;
            if is_readable {
                settled.push(*before);
            }
            !is_readable
        });
        for before in settled {
            self.freed(before);
        }
    }

    /// Where a parcel can be read.
    pub(in crate::delivery) fn place_of(&self, slot: Slot) -> Location {
        match self.moving.get(&slot) {
            Some((_, before)) => *before,
            None => self.parcels.get(slot).location,
        }
    }

    pub(super) fn freed(&mut self, at: Location) {
        if !self.replaying {
            self.outputs.push_back(Output::Freed(at));
        }
    }
}
