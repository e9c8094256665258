//! The only place that changes durable state.

use std::collections::btree_map::Entry;

use super::{
    Delivery, Event, Output, ReplayError, Step,
    hop::{Hop, Queued, Seq, Waiting},
    parcels::{Kept, Receiver, Slot, chain},
    receipts::{Fanout, Line},
    record::{Received, Record, Route},
};
use crate::{
    codec,
    model::{
        Digest, Location, Log, Lsn, MessageId, Millis, Outcome, Pattern, Payload, Reason,
        ReceiptItem, State, UnitId,
    },
    parcel::{Header, Parcel},
};

/// Largest encoded record, in bytes.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The parcel that a record carries.
#[derive(Clone, Copy)]
pub(super) struct Carried<'a> {
    pub(super) header: &'a Header,
    pub(super) bytes: u32,
    pub(super) digest: Digest,
}

impl Delivery {
    /// Takes one record of the journal, in order. `payload` is what the record carries, and `at` its place.
    ///
    /// # Errors
    /// The record or its payload does not decode; nothing has changed then.
    pub fn replay(
        &mut self,
        record: &[u8],
        payload: &[u8],
        lsn: Lsn,
        at: Location,
    ) -> Result<(), ReplayError> {
        let record = codec::decode::<Record, RECORD_BYTES_MAX>(record)?;
        let carries_new = !payload.is_empty() && !matches!(record, Record::Kept { .. });
        if carries_new {
            let parcel = Parcel::read(bytes::Bytes::copy_from_slice(payload))?;
            let header = parcel.header()?;
            let carried = Carried {
                header: &header,
                bytes: payload.len() as u32,
                digest: parcel.digest(),
            };
            self.apply(record, Some(carried), lsn, at);
        } else {
            self.apply(record, None, lsn, at);
        }
        Ok(())
    }

    /// Appends a record, then applies it.
    pub(super) fn commit(&mut self, record: Record, log: &mut dyn Log) {
        self.commit_with(record, None, Payload::None, log);
    }

    /// Appends a record with a payload, then applies it.
    pub(super) fn commit_with(
        &mut self,
        record: Record,
        carried: Option<Carried<'_>>,
        payload: Payload<'_>,
        log: &mut dyn Log,
    ) {
        let (lsn, at) = log.append(&codec::encode(&record), payload);
        self.apply(record, carried, lsn, at);
    }

    fn apply(&mut self, record: Record, carried: Option<Carried<'_>>, lsn: Lsn, at: Location) {
        debug_assert!(lsn > self.lsn, "records come in order");
        self.lsn = lsn;
        match record {
            Record::Epoch { epoch, wall } => {
                self.saw(wall);
                self.apply_epoch(epoch);
            }
            Record::Accepted {
                wall,
                content,
                routes,
                refused,
            } => {
                self.saw(wall);
                if let Some(carried) = carried {
                    self.apply_accepted(wall, content, routes, refused, carried, at);
                }
            }
            Record::Received(received) => {
                self.saw(received.wall);
                self.apply_received(*received, carried, at);
            }
            Record::Acked { neighbour, seqs } => self.apply_acked(&neighbour, &seqs),
            Record::GoneIn { neighbour, seqs } => {
                for seq in seqs.iter().flat_map(|(start, end)| start..=end) {
                    self.hop(&neighbour).inbound.note_gone(seq, lsn);
                    self.release_after(&neighbour, seq);
                }
            }
            Record::Ending {
                neighbour,
                seq,
                state,
                reason,
                note,
                wall,
            } => {
                self.saw(wall);
                let ending = super::hop::Ending {
                    state,
                    reason,
                    note,
                };
                self.hop(&neighbour).outbox.begin_ending(seq, ending);
            }
            Record::Ended {
                neighbour,
                seq,
                state,
                reason,
                note,
                wall,
            } => {
                self.saw(wall);
                self.apply_ended(&neighbour, seq, state, reason, &note, wall);
            }
            Record::HopReset {
                neighbour,
                peer_epoch,
                forget_waiting,
            } => self.apply_reset(&neighbour, peer_epoch, forget_waiting),
            Record::Settled { neighbour } => {
                let mut orphans = self.hop(&neighbour).inbound.take_orphans();
                orphans.sort_by_key(|w| w.slot.map(|slot| self.parcels.get(slot).accepted));
                for waiting in orphans {
                    self.release(waiting);
                }
            }
            Record::Requeued { neighbour, lacked } => self.apply_requeued(&neighbour, &lacked),
            Record::UnitMet { unit } => {
                self.met.insert(unit.clone());
                self.event(Event::UnitMet(unit));
            }
            Record::ReceiptMade {
                to,
                lines,
                route,
                wall,
            } => {
                self.saw(wall);
                self.owed.signed(&to, lines);
                if let Some(carried) = carried {
                    let slot = self.keep(carried, wall, 0, at);
                    if let Some(unit) = route {
                        let targets = vec![Pattern::from(&to)];
                        self.route(
                            slot,
                            Route::Neighbour {
                                unit,
                                targets,
                                as_signed: true,
                            },
                        );
                    }
                    self.let_go(slot);
                }
            }
            Record::InboxAcked { messages, wall } => {
                self.saw(wall);
                for message in messages {
                    self.apply_taken(message, wall);
                }
            }
            Record::Held { message } => {
                self.each_copy(message, |queued| queued.held = true);
                self.message_step(message, Step::Held);
            }
            Record::Released { message } => {
                self.each_copy(message, |queued| queued.held = false);
                self.message_step(message, Step::Released);
            }
            Record::Reprioritised { message, lane } => {
                for (neighbour, seq) in self.copies_of(message) {
                    self.hop(&neighbour).outbox.set_lane(seq, lane);
                }
                self.message_step(message, Step::Reprioritised { lane });
            }
            Record::Purged { through } => {
                self.sent.purge(through);
                self.seen.purge(through);
            }
            Record::GivenUp { parcel, wall } => {
                self.saw(wall);
                self.apply_given_up(parcel, wall);
            }
            Record::FanoutEnded { parcel, wall } => {
                self.saw(wall);
                for mut fanout in self.fanouts.remove(&parcel).unwrap_or_default() {
                    for unit in std::mem::take(&mut fanout.remaining) {
                        fanout.failed.push((unit, State::Expired));
                    }
                    self.owe_summary(&fanout, parcel, wall);
                }
            }
            Record::Kept { parcel } => {
                if let Some(slot) = self.parcels.of_digest(parcel) {
                    let before = std::mem::replace(&mut self.parcels.get_mut(slot).location, at);
                    if before != at {
                        self.moved(slot, before);
                    }
                } else {
                    self.freed(at);
                }
            }
        }
    }

    /// A moment that a record names: the node's clock never falls behind it.
    fn saw(&mut self, wall: Millis) {
        self.wall = self.wall.max(wall);
    }

    pub(super) fn hop(&mut self, neighbour: &UnitId) -> &mut Hop {
        self.hops.entry(neighbour.clone()).or_default()
    }

    // ---- parcels come

    fn keep(&mut self, carried: Carried<'_>, wall: Millis, attested: Millis, at: Location) -> Slot {
        let header = carried.header;
        let slot = self.parcels.insert(Kept {
            message: header.message_id(),
            digest: carried.digest,
            chain: chain(&header.sender, header.case.as_deref()),
            sender: header.sender.clone(),
            reply_to: header.sender.clone(),
            accepted: header.accepted,
            received: wall,
            order: self.lsn,
            expires: header.expires,
            attested,
            location: at,
            bytes: carried.bytes,
            lane: header.lane,
            is_receipt: header.kind.is_receipt(),
            wants_read: !self.settings.kinds_without_read.contains(&header.kind),
            copies: Vec::new(),
            uses: 0,
            receivers: Vec::new(),
        });
        self.expiries
            .entry(header.expires / 1000)
            .or_default()
            .push(slot);
        slot
    }

    fn apply_accepted(
        &mut self,
        wall: Millis,
        content: Digest,
        routes: Vec<Route>,
        refused: Vec<(Pattern, Reason)>,
        carried: Carried<'_>,
        at: Location,
    ) {
        let header = carried.header;
        let slot = self.keep(carried, wall, 0, at);
        let receivers = header.to.iter().map(|target| Receiver {
            target: target.clone(),
            state: State::Queued,
            reason: Reason::None,
        });
        self.parcels.get_mut(slot).receivers = receivers.collect();
        self.sent
            .insert(header.message_id(), content, header.expires);
        let step = Step::Accepted {
            location: at,
            bytes: carried.bytes,
            lane: header.lane,
        };
        self.step(slot, wall, step);
        for (target, reason) in refused {
            self.settle(slot, &target, State::Refused, reason);
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

    fn apply_received(&mut self, received: Received, carried: Option<Carried<'_>>, at: Location) {
        let (neighbour, seq, wall) = (received.neighbour, received.seq, received.wall);
        let lsn = self.lsn;
        self.hop(&neighbour).inbound.note(seq, lsn);
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
                let slot = self.keep(carried, wall, attested, at);
                let step = Step::Received {
                    location: at,
                    bytes: carried.bytes,
                    lane: carried.header.lane,
                    from: neighbour.clone(),
                };
                self.step(slot, wall, step);
                if self.parcels.get(slot).is_receipt {
                    self.event(Event::ReceiptPasses { location: at });
                }
                slot
            }
        };
        if routes.iter().any(|r| matches!(r, Route::Here { .. })) {
            let header = carried.header;
            self.seen
                .insert(header.message_id(), carried.digest, header.expires);
        }
        let chain = self.parcels.get(slot).chain;
        self.parcels.get_mut(slot).uses += 1;
        let waiting = Waiting {
            slot: Some(slot),
            chain,
            after,
            routes,
        };
        let inbound = &mut self.hop(neighbour).inbound;
        if inbound.must_wait(&waiting.after, chain) {
            inbound.wait(seq, waiting);
        } else {
            self.release(waiting);
        }
    }

    /// Releases whatever waited for `seq` of `neighbour`.
    fn release_after(&mut self, neighbour: &UnitId, seq: Seq) {
        for waiting in self.hop(neighbour).inbound.released_by(seq) {
            self.release(waiting);
        }
    }

    fn release(&mut self, waiting: Waiting) {
        let Some(slot) = waiting.slot else {
            return;
        };
        for route in waiting.routes {
            self.route(slot, route);
        }
        self.parcels.get_mut(slot).uses -= 1;
        self.let_go(slot);
    }

    /// Puts a copy where it goes.
    fn route(&mut self, slot: Slot, route: Route) {
        let wall = self.wall;
        match route {
            Route::Here { reply_to } => {
                if self.inbox.contains(slot) {
                    return;
                }
                let kept = self.parcels.get_mut(slot);
                kept.uses += 1;
                kept.reply_to = reply_to;
                let (lane, chain, bytes) = (kept.lane, kept.chain, kept.bytes);
                let lsn = self.lsn;
                self.inbox.push(slot, lane, chain, bytes, lsn);
                self.step(slot, wall, Step::Delivered);
                self.tell(slot, Outcome::Delivered, wall);
            }
            Route::Neighbour {
                unit,
                targets,
                as_signed,
            } => {
                let kept = self.parcels.get(slot);
                if let Some((_, seq)) = kept.copies.iter().find(|(hop, _)| *hop == unit)
                    && let Some(queued) = self.hops.get(&unit).and_then(|h| h.outbox.get(*seq))
                    && targets.iter().all(|t| queued.for_whom.contains(t))
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
                    bytes: kept.bytes,
                    is_receipt: kept.is_receipt,
                    chain: kept.chain,
                    after: Vec::new(),
                    for_whom: targets,
                    as_signed,
                    held: false,
                    ending: None,
                    maybe_there: false,
                };
                let lsn = self.lsn;
                let seq = self.hop(&unit).outbox.push(queued, lsn);
                self.parcels.get_mut(slot).copies.push((unit, seq));
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
    pub(super) fn let_go(&mut self, slot: Slot) {
        if self.parcels.get(slot).is_over() {
            let kept = self.parcels.remove(slot);
            self.freed(kept.location);
            if let Some((_, before)) = self.moving.remove(&slot) {
                self.freed(before);
            }
        }
    }

    /// A payload was written again. It is read where it was until it can be read where it is: then its old place is freed.
    fn moved(&mut self, slot: Slot, before: Location) {
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
    pub(super) fn settle_moved(&mut self) {
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
    pub(super) fn place_of(&self, slot: Slot) -> Location {
        match self.moving.get(&slot) {
            Some((_, before)) => *before,
            None => self.parcels.get(slot).location,
        }
    }

    fn freed(&mut self, at: Location) {
        if !self.replaying {
            self.outputs.push_back(Output::Freed(at));
        }
    }

    // ---- copies leave

    fn apply_acked(&mut self, neighbour: &UnitId, seqs: &crate::model::Ranges) {
        let wall = self.wall;
        for seq in self.hop(neighbour).outbox.among(seqs) {
            #[cfg(any(test, feature = "sim"))]
            let was_leased = self.hop(neighbour).outbox.lessee(seq).is_some();
            let Some(queued) = self.hop(neighbour).outbox.remove(seq) else {
                continue;
            };
            #[cfg(any(test, feature = "sim"))]
            if was_leased && self.has(super::Bug::CreditLeak) {
                self.hop(neighbour).outbox.leak(&queued);
            }
            let slot = queued.slot;
            self.forget_copy(slot, neighbour, seq);
            let step = Step::Acked {
                neighbour: neighbour.clone(),
            };
            self.step(slot, self.now.wall.max(wall), step);
            for target in &queued.for_whom {
                self.settle(slot, target, State::Relayed, Reason::None);
            }
            self.let_go(slot);
        }
    }

    fn apply_ended(
        &mut self,
        neighbour: &UnitId,
        seq: Seq,
        state: State,
        reason: Reason,
        note: &str,
        wall: Millis,
    ) {
        let Some(queued) = self.hop(neighbour).outbox.end(seq) else {
            return;
        };
        let slot = queued.slot;
        // What is told here and now may be the last that was awaited of the parcel.
        self.parcels.get_mut(slot).uses += 1;
        self.forget_copy(slot, neighbour, seq);
        for target in queued.for_whom {
            let ended = Step::Ended {
                receiver: target.clone(),
                state,
                reason,
            };
            self.step(slot, wall, ended);
            self.conclude(slot, neighbour, target, state, reason, note, wall);
        }
        self.parcels.get_mut(slot).uses -= 1;
        self.let_go(slot);
    }

    fn forget_copy(&mut self, slot: Slot, neighbour: &UnitId, seq: Seq) {
        self.parcels
            .get_mut(slot)
            .copies
            .retain(|(hop, s)| !(hop == neighbour && *s == seq));
    }

    /// A copy has ended here: its sender, or the sum of its pattern, is told.
    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of one record, taken apart once"
    )]
    fn conclude(
        &mut self,
        slot: Slot,
        neighbour: &UnitId,
        receiver: Pattern,
        state: State,
        reason: Reason,
        note: &str,
        wall: Millis,
    ) {
        let kept = self.parcels.get(slot);
        if kept.is_receipt {
            return;
        }
        let outcome = match state {
            State::Expired => Outcome::Expired,
            State::Dropped => Outcome::Dropped,
            _ => Outcome::Refused,
        };
        let (to, expires) = (kept.sender.clone(), kept.expires);
        let item = ReceiptItem {
            parcel: kept.digest,
            receiver,
            outcome,
            reason,
            at: wall,
            note: note.to_owned(),
        };
        // A pattern that was passed on has no outcome for the hub that it was passed on to.
        let of_pattern = !self.is_for_hub(&item)
            && self
                .fanouts
                .get(&item.parcel)
                .is_some_and(|all| all.iter().any(|f| f.awaits(&item.receiver, neighbour)));
        if of_pattern {
            self.take_line(&item, neighbour, wall);
        } else {
            self.owe(to, Line { item, expires }, wall);
        }
    }

    fn apply_taken(&mut self, message: MessageId, wall: Millis) {
        let slots: Vec<Slot> = self.parcels.of_message(message).collect();
        for slot in slots {
            if self.inbox.remove(slot) {
                self.step(slot, wall, Step::Taken);
                let kept = self.parcels.get(slot);
                let named = kept.reply_to == kept.sender;
                if kept.wants_read && named {
                    self.tell(slot, Outcome::Read, wall);
                }
                // Only now: what is told here and now may be the last that was awaited of the parcel.
                self.parcels.get_mut(slot).uses -= 1;
                self.let_go(slot);
            }
        }
    }

    // ---- what is told

    /// Tells whoever awaits it what became of the copy that is, or was, in this inbox.
    fn tell(&mut self, slot: Slot, outcome: Outcome, wall: Millis) {
        let kept = self.parcels.get(slot);
        let line = Line {
            item: ReceiptItem {
                parcel: kept.digest,
                receiver: Pattern::from(&self.settings.unit),
                outcome,
                reason: Reason::None,
                at: wall,
                note: String::new(),
            },
            expires: kept.expires,
        };
        let to = kept.reply_to.clone();
        self.owe(to, line, wall);
    }

    fn owe(&mut self, to: UnitId, line: Line, wall: Millis) {
        if to == self.settings.unit {
            self.take_line(&line.item, &to, wall);
        } else {
            let mono = (!self.replaying).then_some(self.now.mono);
            self.owed.push(to, line, mono);
        }
    }

    fn owe_summary(&mut self, fanout: &Fanout, parcel: Digest, wall: Millis) {
        let line = Line {
            item: fanout.summary(parcel, wall),
            expires: fanout.expires,
        };
        self.owe(fanout.back.clone(), line, wall);
    }

    /// Whether a line is about a hub's own copy: a hub is on a list by its name only, never by a pattern that was passed on to it.
    fn is_for_hub(&self, item: &ReceiptItem) -> bool {
        item.receiver
            .as_unit()
            .is_some_and(|unit| self.is_hub(&unit))
    }

    /// Takes a line that holds: of a receipt, or of this node's own making.
    fn take_line(&mut self, item: &ReceiptItem, issuer: &UnitId, wall: Millis) {
        let is_for_hub = self.is_for_hub(item);
        if let Some(all) = self.fanouts.get_mut(&item.parcel)
            && !is_for_hub
        {
            // Two patterns may mean the same unit, which tells its outcome once.
            let taken = all.iter_mut().fold(false, |taken, f| {
                f.take(&item.receiver, issuer, item.outcome) | taken
            });
            let done: Vec<Fanout> = all.extract_if(.., |f| f.remaining.is_empty()).collect();
            if all.is_empty() {
                self.fanouts.remove(&item.parcel);
            }
            for fanout in done {
                self.owe_summary(&fanout, item.parcel, wall);
            }
            if taken {
                return;
            }
        }
        self.event(Event::Receipt {
            parcel: item.parcel,
            item: item.clone(),
            issuer: issuer.clone(),
        });
        if let Some(slot) = self.parcels.of_digest(item.parcel) {
            let (state, reason) = (State::from(item.outcome), item.reason);
            self.settle(slot, &item.receiver, state, reason);
            self.let_go(slot);
        }
    }

    /// Notes at the origin where a receiver's copy is.
    pub(super) fn settle(&mut self, slot: Slot, target: &Pattern, state: State, reason: Reason) {
        let receivers = &mut self.parcels.get_mut(slot).receivers;
        if let Some(receiver) = receivers.iter_mut().find(|r| r.target == *target)
            && receiver.state.gives_way_to(state)
        {
            receiver.state = state;
            receiver.reason = reason;
        }
    }

    fn apply_given_up(&mut self, parcel: Digest, wall: Millis) {
        let Some(slot) = self.parcels.of_digest(parcel) else {
            return;
        };
        let open: Vec<Pattern> = self
            .parcels
            .get(slot)
            .receivers
            .iter()
            .filter(|r| !r.state.is_terminal())
            .map(|r| r.target.clone())
            .collect();
        for target in open {
            let ended = Step::Ended {
                receiver: target.clone(),
                state: State::Expired,
                reason: Reason::Expiry,
            };
            self.step(slot, wall, ended);
            self.settle(slot, &target, State::Expired, Reason::Expiry);
        }
        self.let_go(slot);
    }

    // ---- operators

    pub(super) fn copies_of(&self, message: MessageId) -> Vec<(UnitId, Seq)> {
        self.parcels
            .of_message(message)
            .flat_map(|slot| self.parcels.get(slot).copies.clone())
            .collect()
    }

    fn each_copy(&mut self, message: MessageId, change: impl Fn(&mut Queued)) {
        for (neighbour, seq) in self.copies_of(message) {
            let outbox = &mut self.hop(&neighbour).outbox;
            if let Some(queued) = outbox.get_mut(seq) {
                change(queued);
            }
            outbox.unblock();
        }
    }

    fn message_step(&mut self, message: MessageId, what: Step) {
        let at = self.now.wall.max(self.wall);
        self.event(Event::Message { message, at, what });
    }

    // ---- epochs

    fn apply_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        let neighbours: Vec<UnitId> = self.hops.keys().cloned().collect();
        for neighbour in neighbours {
            self.hop(&neighbour).inbound.renumber();
            self.renumber(&neighbour, Vec::new());
        }
        self.event(Event::Epoch(epoch));
    }

    fn apply_reset(&mut self, neighbour: &UnitId, peer_epoch: u64, forget_waiting: bool) {
        let had_met = self.hop(neighbour).peer_epoch != 0;
        self.hop(neighbour).peer_epoch = peer_epoch;
        if forget_waiting {
            for waiting in self.hop(neighbour).inbound.reset() {
                let Some(slot) = waiting.slot else {
                    continue;
                };
                let kept = self.parcels.get_mut(slot);
                kept.uses -= 1;
                let message = kept.message;
                if waiting
                    .routes
                    .iter()
                    .any(|r| matches!(r, Route::Here { .. }))
                {
                    self.seen.forget(&message);
                }
                self.let_go(slot);
            }
        } else {
            self.hop(neighbour).inbound.renumber();
        }
        self.renumber(neighbour, Vec::new());
        if had_met {
            let offers: Vec<Digest> = self
                .parcels
                .iter()
                .filter(|(_, kept)| kept.in_custody())
                .filter(|(_, kept)| !kept.copies.iter().any(|(hop, _)| hop == neighbour))
                .filter(|(_, kept)| !self.targets_via(kept, neighbour).is_empty())
                .map(|(_, kept)| kept.digest)
                .collect();
            let offered = offers.len() as u64;
            self.hop(neighbour).offers = offers.into_iter().collect();
            self.event(Event::Reset {
                neighbour: neighbour.clone(),
                offered,
            });
        }
    }

    /// The neighbour lacks these: they are queued again, among the others in the order in which they were accepted.
    fn apply_requeued(&mut self, neighbour: &UnitId, lacked: &[Digest]) {
        self.hop(neighbour).offers.clear();
        let mut again = Vec::new();
        for digest in lacked {
            let Some(slot) = self.parcels.of_digest(*digest) else {
                continue;
            };
            let kept = self.parcels.get(slot);
            let for_whom = self.targets_via(kept, neighbour);
            if for_whom.is_empty() || kept.copies.iter().any(|(hop, _)| hop == neighbour) {
                continue;
            }
            again.push(Queued {
                slot,
                lane: kept.lane,
                bytes: kept.bytes,
                is_receipt: false,
                chain: kept.chain,
                after: Vec::new(),
                as_signed: kept.receivers.iter().map(|r| &r.target).eq(&for_whom),
                for_whom,
                held: false,
                ending: None,
                maybe_there: false,
            });
        }
        if !again.is_empty() {
            self.renumber(neighbour, again);
        }
    }

    /// Numbers everything towards a neighbour afresh, with `more` in its place by the time of acceptance.
    fn renumber(&mut self, neighbour: &UnitId, more: Vec<Queued>) {
        let lsn = self.lsn;
        let mut all = self.hop(neighbour).outbox.drain();
        if !more.is_empty() {
            all.extend(more);
            all.sort_by_key(|q| {
                let kept = self.parcels.get(q.slot);
                kept.order
            });
        }
        for queued in &all {
            self.parcels
                .get_mut(queued.slot)
                .copies
                .retain(|(hop, _)| hop != neighbour);
        }
        let hop = self.hop(neighbour);
        hop.outbox.renumber(all, lsn);
        hop.numbered_at = lsn;
        hop.offered = false;
        let numbered: Vec<(Seq, Slot)> = hop.outbox.iter().map(|(s, q)| (s, q.slot)).collect();
        for (seq, slot) in numbered {
            let copies = &mut self.parcels.get_mut(slot).copies;
            copies.push((neighbour.clone(), seq));
        }
    }
}
