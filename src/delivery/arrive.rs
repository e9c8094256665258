//! What neighbours bring.

use super::{
    Arrival, Close, Delivery, Event, SessionId,
    apply::Carried,
    bounds::WAITING_MAX,
    hop::{Entry, Seq, Targets},
    parcels::chain,
    receipts::Line,
    record::{Received, Record, Route},
    route::Routed,
};
use crate::model::{
    Digest, Lane, Log, Millis, Outcome, Pattern, Payload, Reason, ReceiptItem, UnitId,
};
use crate::parcel::Header;

/// How far apart two clocks may be before an expiry in the future is too far ahead.
const SKEW_MS: Millis = 24 * 3600 * 1000;
/// Why a session ends whose neighbour gives numbers as it likes.
pub(super) const TOO_MANY_GAPS: &str = "its numbers have too many gaps";
/// Most predecessors that a parcel names.
const AFTER_MAX: usize = 256;

impl Delivery {
    /// Takes the parcels of a batch from a session that is open.
    pub(super) fn arrive(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        arrivals: Vec<Arrival>,
        log: &mut dyn Log,
    ) {
        for arrival in arrivals {
            let seq = arrival.entry.seq;
            let Some(after) = after(&arrival.entry) else {
                self.close(session, Close::Protocol("a parcel comes after no number"));
                return;
            };
            let inbound = &mut self.hop(neighbour).inbound;
            if inbound.has(seq) {
                inbound.repeat(seq);
                self.ack_soon(neighbour);
                continue;
            }
            self.arrive_one(neighbour, seq, after, arrival, log);
            if self.hop(neighbour).inbound.is_overrun() {
                self.close(session, Close::Protocol(TOO_MANY_GAPS));
                return;
            }
        }
        self.settle_orphans(neighbour, log);
        self.pump_all();
    }

    pub(super) fn arrive_one(
        &mut self,
        neighbour: &UnitId,
        seq: Seq,
        after: Vec<Seq>,
        arrival: Arrival,
        log: &mut dyn Log,
    ) -> Came {
        let digest = arrival.parcel.digest();
        let attested = match arrival.entry.attested {
            0 => self.now.wall,
            at => at,
        };
        let mut received = Received {
            neighbour: neighbour.clone(),
            seq,
            mark: digest.mark(),
            after,
            attested,
            wall: self.now.wall,
            routes: Vec::new(),
            owed: Vec::new(),
            lines: Vec::new(),
            issuer: None,
        };
        let judged = self.judge(neighbour, digest, &arrival, &mut received);
        if let Err(reason) = judged {
            self.refuse_whole(neighbour, digest, &arrival, reason, &mut received);
        }
        let header = arrival.header.as_ref();
        let bytes = arrival.parcel.bytes().len() as u64;
        let is_receipt = header.is_some_and(|h| h.kind.is_receipt());
        let lane = header.map_or(Lane::Normal, |h| h.lane);
        let chain = header.map_or(0, |h| chain(&h.sender, h.case.as_deref()));
        let inbound = &self.hop(neighbour).inbound;
        let waits = inbound.must_wait(&received.after, chain);
        let is_lowest = inbound.is_awaited(seq) && !waits;
        let may_come = inbound.takes(seq) && (!waits || inbound.waiting() < WAITING_MAX);
        // The lowest missing predecessor lets others go; it is taken whatever is full, unless what is full can go by itself.
        let lets_go = is_lowest && !self.is_crammed(&received.routes);
        let is_admitted = may_come
            && self.admits_receipts(neighbour, &received, is_receipt, bytes)
            && (lets_go
                || is_receipt
                || received.routes.is_empty()
                || self.admits(neighbour, &received.routes, waits, lane, bytes));
        if !is_admitted {
            let inbound = &mut self.hop(neighbour).inbound;
            inbound.park(seq);
            inbound.lacks_room();
            self.ack_soon(neighbour);
            return Came::NoRoom;
        }
        let came = came(&received, judged);
        let record_of = |received| Record::Received(Box::new(received));
        match header {
            Some(header) if !received.routes.is_empty() => {
                let carried = Carried {
                    header,
                    bytes: bytes as u32,
                    digest,
                };
                let payload = Payload::New(arrival.parcel.bytes());
                self.commit_with(record_of(received), Some(carried), payload, log);
            }
            _ => self.commit(record_of(received), log),
        }
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::AckBeforeSync) {
            let lsn = self.lsn;
            self.hop(neighbour).inbound.synced(lsn);
            self.ack_soon(neighbour);
        }
        came
    }

    /// Decides what is to be done with a parcel that may be looked at; an error refuses the whole of it.
    fn judge(
        &self,
        neighbour: &UnitId,
        digest: Digest,
        arrival: &Arrival,
        received: &mut Received,
    ) -> Result<(), Reason> {
        let header = arrival.header.as_ref().ok_or(Reason::Malformed)?;
        let is_foreign = !self.may_bring(neighbour, &header.sender);
        #[cfg(any(test, feature = "sim"))]
        let is_foreign = is_foreign && !self.has(super::Bug::ForeignSenderTaken);
        if is_foreign {
            return Err(Reason::ForeignSender);
        }
        arrival.verdict?;
        let me = self.settings.unit.clone();
        let limits = &self.settings.limits;
        let targets = self.targets_of(arrival, header);
        if targets.is_empty() || !targets.iter().all(|t| covers(&header.to, t)) {
            return Err(Reason::ForeignTarget);
        }
        if header.kind.is_receipt() {
            return self.judge_receipt(neighbour, header, &targets, &arrival.receipt, received);
        }
        let body = arrival.parcel.body().len() as u64;
        if body > u64::from(limits.message_kib) * 1024 {
            return Err(Reason::TooLarge);
        }
        let horizon = self.now.wall + Millis::from(limits.expires_days) * 86_400_000 + SKEW_MS;
        if header.expires > horizon {
            return Err(Reason::Expiry);
        }
        let what = Routed {
            sender: &header.sender,
            signed: &header.to,
            kind: &header.kind,
            from: Some(neighbour),
        };
        let is_late = header.expires <= self.now.wall;
        let mut open = Vec::new();
        for target in targets {
            let is_here = target.as_unit().as_ref() == Some(&me);
            let policy = &self.settings.policy;
            let is_allowed = policy.allows_pattern(&header.sender, &target, &header.kind);
            #[cfg(any(test, feature = "sim"))]
            let is_allowed = is_allowed || self.has(super::Bug::IgnoredPolicy);
            if is_here && self.waits_here(digest) {
                // It has come before and waits for a predecessor: it is told of when it is in the inbox.
            } else if is_here && let Some(known) = self.seen_as(header.message_id()) {
                let line = if known == digest {
                    self.line(digest, header, &target, Outcome::Delivered, Reason::None)
                } else {
                    self.line(
                        digest,
                        header,
                        &target,
                        Outcome::Refused,
                        Reason::IdConflict,
                    )
                };
                received
                    .owed
                    .push((told_of(header, &target, neighbour), line));
            } else if is_late || (is_here && header.expires <= self.seen.purged()) {
                let line = self.line(digest, header, &target, Outcome::Expired, Reason::Expiry);
                received
                    .owed
                    .push((told_of(header, &target, neighbour), line));
            } else if !is_allowed {
                let line = self.line(digest, header, &target, Outcome::Refused, Reason::Policy);
                received
                    .owed
                    .push((told_of(header, &target, neighbour), line));
            } else {
                open.push(target);
            }
        }
        let found = self.routes(&what, &open);
        for (target, reason) in found.refused {
            let line = self.line(digest, header, &target, Outcome::Refused, reason);
            received
                .owed
                .push((told_of(header, &target, neighbour), line));
        }
        // The first hub says that it has it and that its signer holds.
        if self.settings.listens && *neighbour == header.sender {
            for route in &found.routes {
                if let Route::Neighbour { targets, .. } = route {
                    for target in targets.iter().filter(|t| header.to.contains(t)) {
                        let line =
                            self.line(digest, header, target, Outcome::Relayed, Reason::None);
                        received.owed.push((header.sender.clone(), line));
                    }
                }
            }
        }
        received.routes = found.routes;
        Ok(())
    }

    fn targets_of(&self, arrival: &Arrival, header: &Header) -> Vec<Pattern> {
        match &arrival.entry.targets {
            Targets::Signed => header.to.clone(),
            Targets::You => vec![Pattern::from(&self.settings.unit)],
            Targets::Named(named) => named.clone(),
        }
    }

    /// A receipt is outside the policy, and goes only where its lines are believed.
    fn judge_receipt(
        &self,
        neighbour: &UnitId,
        header: &Header,
        targets: &[Pattern],
        lines: &[ReceiptItem],
        received: &mut Received,
    ) -> Result<(), Reason> {
        let [target] = targets else {
            return Err(Reason::Malformed);
        };
        let issuer = &header.sender;
        let is_believed = |item: &&ReceiptItem| {
            #[cfg(any(test, feature = "sim"))]
            if self.has(super::Bug::BelievedLie) {
                return true;
            }
            let own = item.receiver == Pattern::from(issuer);
            let speaks_of_delivery = matches!(item.outcome, Outcome::Delivered | Outcome::Read);
            if self.is_upstream(neighbour) {
                // Only a receiver itself says that it has it; the hubs say everything else, and sum patterns up.
                own || !speaks_of_delivery || !item.receiver.is_name()
            } else {
                // Nobody but a hub sums up a pattern.
                own || match item.receiver.as_unit() {
                    Some(unit) => self.may_bring(neighbour, &unit),
                    None => self.is_hub(neighbour),
                }
            }
        };
        let believed: Vec<ReceiptItem> = lines.iter().filter(is_believed).cloned().collect();
        if believed.len() < lines.len() || lines.is_empty() {
            return Err(Reason::ForeignSender);
        }
        if target.as_unit().as_ref() == Some(&self.settings.unit) {
            received.lines = believed;
            received.issuer = Some(issuer.clone());
            return Ok(());
        }
        let what = Routed {
            sender: issuer,
            signed: &header.to,
            kind: &header.kind,
            from: Some(neighbour),
        };
        received.routes = self.routes(&what, targets).routes;
        Ok(())
    }

    /// Nothing of the parcel stays; whoever may be told is told why.
    fn refuse_whole(
        &mut self,
        neighbour: &UnitId,
        digest: Digest,
        arrival: &Arrival,
        reason: Reason,
        received: &mut Received,
    ) {
        self.event(Event::Refused {
            neighbour: neighbour.clone(),
            reason,
            parcel: digest,
        });
        received.routes.clear();
        received.owed.clear();
        let Some(header) = arrival.header.as_ref().filter(|h| !h.kind.is_receipt()) else {
            return;
        };
        // A name that the neighbour may not speak for is nobody to be told.
        let is_foreign = !self.may_bring(neighbour, &header.sender);
        let receivers_max = self.settings.limits.receivers as usize;
        // This node speaks for the copies that it was brought, and for no other.
        let targets = self.targets_of(arrival, header);
        for target in targets
            .iter()
            .filter(|t| covers(&header.to, t))
            .take(receivers_max)
        {
            let to = match is_foreign {
                true => neighbour.clone(),
                false => told_of(header, target, neighbour),
            };
            let line = self.line(digest, header, target, Outcome::Refused, reason);
            received.owed.push((to, line));
        }
    }

    fn line(
        &self,
        parcel: Digest,
        header: &Header,
        receiver: &Pattern,
        outcome: Outcome,
        reason: Reason,
    ) -> Line {
        Line {
            item: ReceiptItem {
                parcel,
                receiver: receiver.clone(),
                outcome,
                reason,
                at: self.now.wall,
                note: String::new(),
            },
            expires: header.expires,
        }
    }

    /// Whether there is room for the receipts that a parcel makes this node owe, and for the parcel itself when it is a receipt that
    /// passes through; what is for this node itself takes no room.
    fn admits_receipts(
        &mut self,
        neighbour: &UnitId,
        received: &Received,
        is_receipt: bool,
        bytes: u64,
    ) -> bool {
        let owed = received.owed.iter().map(|(to, _)| to);
        let told = received.routes.iter().filter_map(|route| match route {
            Route::Here { reply_to } => Some(reply_to),
            _ => None,
        });
        let mut passing = received.routes.iter().filter_map(|route| match route {
            Route::Neighbour { unit, .. } if is_receipt => Some(unit),
            _ => None,
        });
        if passing.clone().next().is_some() && self.journal_takes(Lane::Flash, bytes).is_err() {
            return false;
        }
        let full = passing
            .find(|unit| !self.receipts_take(unit, bytes))
            .cloned();
        if let Some(unit) = full {
            self.hop(neighbour).inbound.close(unit);
            return false;
        }
        owed.chain(told).all(|to| self.receipts_take(to, 0))
    }

    /// Whether a parcel for this node is here and waits for a predecessor, or for attachments.
    fn waits_here(&self, digest: Digest) -> bool {
        let Some(slot) = self.parcels.of_digest(digest) else {
            return false;
        };
        let mut waiting = self.hops.values().flat_map(|hop| hop.inbound.all_waiting());
        // One whose attachments are not here yet is told of when they are.
        self.inbox.is_shut(slot)
            || waiting.any(|w| {
                let is_here = |route: &Route| matches!(route, Route::Here { .. });
                w.slot == Some(slot) && w.routes.iter().any(is_here)
            })
    }

    /// Whether a receiver is far beyond its bounds with messages that wait for no other.
    fn is_crammed(&self, routes: &[Route]) -> bool {
        let me = &self.settings.unit;
        let mut units = routes.iter().filter_map(|route| route.unit(me));
        units.any(|unit| self.is_overfull(unit, self.load(unit)))
    }

    /// Whether there is room for the copies; if a receiver is full, the neighbour is told.
    fn admits(
        &mut self,
        neighbour: &UnitId,
        routes: &[Route],
        waits: bool,
        lane: Lane,
        bytes: u64,
    ) -> bool {
        if self.journal_takes(lane, bytes).is_err() {
            return false;
        }
        if routes.iter().any(|r| !self.sums_up(r)) {
            return false;
        }
        let me = self.settings.unit.clone();
        let units: Vec<UnitId> = routes.iter().filter_map(|r| r.unit(&me)).cloned().collect();
        if waits {
            let mut units = units.iter();
            return units.all(|unit| self.may_wait_for(unit, lane, bytes));
        }
        let mut full = units.clone();
        full.retain(|unit| {
            let takes = match *unit == me {
                true => self.inbox_takes(lane, 1, bytes),
                false => self.queue_takes(unit, lane, 1, bytes),
            };
            takes.is_err()
        });
        if full.len() < units.len() || units.is_empty() {
            // One receiver with room is enough, as long as the others are not far beyond their bounds.
            full.retain(|unit| self.is_overfull(unit, self.load(unit)));
            if full.is_empty() {
                return true;
            }
        }
        let inbound = &mut self.hop(neighbour).inbound;
        for unit in full {
            inbound.close(unit);
        }
        false
    }
}

/// What became of a parcel that came.
pub(super) enum Came {
    /// It is here, and goes on.
    Stored,
    /// It has come before, another way.
    Known,
    /// It ended here, for this reason.
    Ended(Reason),
    /// There is no room.
    NoRoom,
}

fn came(received: &Received, judged: Result<(), Reason>) -> Came {
    let ended = received.owed.iter().map(|(_, line)| &line.item);
    match judged {
        Err(reason) => Came::Ended(reason),
        Ok(()) if !received.routes.is_empty() => Came::Stored,
        Ok(()) => ended
            .filter(|item| item.outcome != Outcome::Delivered)
            .map(|item| Came::Ended(item.reason))
            .next()
            .unwrap_or(Came::Known),
    }
}

/// The numbers that must be released before a parcel; nothing when it names what cannot be.
pub(super) fn after(entry: &Entry) -> Option<Vec<Seq>> {
    let seq = entry.seq;
    let back = |back: &u64| seq.checked_sub(*back).filter(|s| *s > 0 && *back > 0);
    let after: Option<Vec<Seq>> = entry.after.iter().map(back).collect();
    after.filter(|after| seq > 0 && after.len() <= AFTER_MAX)
}

/// Who is told what becomes of a copy: the sender of one that is on its list, else the hub that expanded the pattern or passed it on.
fn told_of(header: &Header, target: &Pattern, neighbour: &UnitId) -> UnitId {
    match target.is_name() && header.to.contains(target) {
        true => header.sender.clone(),
        false => neighbour.clone(),
    }
}

/// Whether the signed receivers cover a target.
fn covers(signed: &[Pattern], target: &Pattern) -> bool {
    signed.contains(target)
        || target
            .as_unit()
            .is_some_and(|unit| signed.iter().any(|s| s.matches(unit.as_str())))
}
