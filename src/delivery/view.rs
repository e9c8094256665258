//! What people and the API may look at.

use std::collections::BTreeMap;

use super::{
    Delivery, LinkInfo, Path, SessionId, Trust,
    hop::{Depth, Epoch, LinkTerms, Paused, Seq},
    parcels::Slot,
};
use crate::model::{Lane, Location, MessageId, Millis, Pattern, Reason, State, UnitId};

/// A message that is here.
#[derive(Clone, Debug)]
pub struct ParcelView {
    /// Its name.
    pub message: MessageId,
    /// Who signed it.
    pub sender: UnitId,
    /// Where its bytes are.
    pub location: Location,
    /// When it came, milliseconds since the Unix epoch.
    pub received: Millis,
    /// When it expires.
    pub expires: Millis,
    /// Its lane.
    pub lane: Lane,
    /// Whether this node accepted it from an application and keeps custody.
    pub origin: bool,
    /// At the origin, each signed receiver.
    pub receivers: Vec<ReceiverView>,
    /// Its copies in outboxes.
    pub hops: Vec<HopView>,
    /// Whether it is in the inbox, and if so whether it is leased.
    pub inbox: Option<bool>,
}

/// A copy of a message in an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopView {
    /// The neighbour that it is queued for.
    pub neighbour: UnitId,
    /// Where it is.
    pub state: State,
    /// For whom it is.
    pub receivers: Vec<Pattern>,
}

/// A receiver of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverView {
    /// The unit or pattern.
    pub target: Pattern,
    /// Where its copy is.
    pub state: State,
    /// Why, when it ended badly.
    pub reason: Reason,
}

/// One copy in an outbox.
#[derive(Clone, Debug)]
pub struct QueueRow {
    /// The message.
    pub message: MessageId,
    /// The neighbour that it waits for.
    pub neighbour: UnitId,
    /// Its number towards that neighbour.
    pub seq: Seq,
    /// Its lane.
    pub lane: Lane,
    /// Its state.
    pub state: State,
    /// The link that it is under way on.
    pub link: Option<String>,
    /// Who signed it.
    pub sender: UnitId,
    /// When it came here.
    pub received: Millis,
    /// When it expires.
    pub expires: Millis,
    /// Its parcel's size.
    pub bytes: u32,
    /// Where its bytes are.
    pub location: Location,
    /// Whether an operator has stopped its lane.
    pub paused: bool,
    /// Whether it is held because a file has it.
    pub exported: bool,
}

/// A neighbour and the queue towards it.
#[derive(Clone, Debug)]
pub struct NeighbourView {
    /// Its unit.
    pub unit: UnitId,
    /// Whether it is the hub that this node dials.
    pub upstream: bool,
    /// Whether the configuration names it.
    pub configured: bool,
    /// Whether it is cut off.
    pub blocked: bool,
    /// Lanes towards it that an operator has stopped.
    pub paused: Paused,
    /// Its live sessions.
    pub sessions: Vec<SessionView>,
    /// What is queued, by lane.
    pub lanes: [Depth; 4],
    /// When the oldest queued message came here.
    pub oldest: Option<Millis>,
    /// Bytes of parcels that are under way, unacked.
    pub in_flight_bytes: u64,
    /// Messages that wait for a full receiver, a hold or a predecessor.
    pub blocked_messages: u64,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its number.
    pub session: SessionId,
    /// Its link.
    pub link: LinkInfo,
    /// Whether parcels flow.
    pub open: bool,
    /// How much it is relied on.
    pub trust: Trust,
    /// What is known of its path.
    pub path: Path,
    /// On what terms its link is used.
    pub terms: LinkTerms,
    /// Bytes of parcels that it was given and that are not acked.
    pub under_way_bytes: u64,
}

/// The inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxView {
    /// Messages in it.
    pub messages: u64,
    /// Their parcels' bytes.
    pub bytes: u64,
    /// How many are handed out and not acked.
    pub leased: u64,
    /// When the oldest came.
    pub oldest: Option<Millis>,
}

/// Sums over the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Parcels that are here.
    pub parcels: u64,
    /// Those of them that were submitted here, until their end is known.
    pub own: u64,
    /// Messages that are remembered, so that none is taken twice.
    pub remembered: u64,
    /// Receipt lines that are to be signed.
    pub owed: u64,
    /// Parcels that wait for a predecessor.
    pub waiting: u64,
}

impl Delivery {
    /// A message, while it is here.
    pub fn find(&self, message: &MessageId) -> Option<ParcelView> {
        let slot = self.parcels.of_message(*message).next()?;
        Some(self.view_of(slot))
    }

    /// The messages that are here, at most `max` of them, after a place, and the place of the next ones.
    pub fn messages(&self, after: Option<u32>, max: usize) -> (Vec<ParcelView>, Option<u32>) {
        let mut views = Vec::new();
        let mut last = after;
        for (slot, kept) in self.parcels.iter_after(after) {
            if views.len() == max {
                return (views, last);
            }
            last = Some(slot);
            if !kept.is_receipt() {
                views.push(self.view_of(slot));
            }
        }
        (views, None)
    }

    fn view_of(&self, slot: Slot) -> ParcelView {
        let kept = self.parcels.get(slot);
        let state = |unit: &UnitId, seq: Seq| match self.hops.get(unit) {
            Some(hop) => hop.outbox.state(seq),
            None => State::Queued,
        };
        ParcelView {
            message: kept.message,
            sender: self.parcels.sender(slot).clone(),
            location: self.place_of(slot),
            received: kept.received,
            expires: kept.expires,
            lane: kept.lane,
            origin: kept.is_own(),
            receivers: self
                .parcels
                .receivers(slot)
                .map(|receiver| ReceiverView {
                    target: receiver.target.clone(),
                    state: match receiver.state {
                        // As far as it has come towards the next node.
                        State::Queued => self
                            .parcels
                            .copies(slot)
                            .map(|(unit, seq)| state(unit, seq))
                            .max_by_key(|s| (*s == State::Held, *s))
                            .unwrap_or(State::Queued),
                        other => other,
                    },
                    reason: receiver.reason,
                })
                .collect(),
            hops: self
                .parcels
                .copies(slot)
                .map(|(unit, seq)| HopView {
                    neighbour: unit.clone(),
                    state: state(unit, seq),
                    receivers: self.receivers_of(unit, seq),
                })
                .collect(),
            inbox: self.inbox.is_leased(slot),
        }
    }

    /// For whom a copy is.
    fn receivers_of(&self, unit: &UnitId, seq: Seq) -> Vec<Pattern> {
        let outbox = self.hops.get(unit).map(|hop| &hop.outbox);
        let for_whom = outbox.and_then(|outbox| Some(outbox.for_whom(outbox.get(seq)?)));
        for_whom.map_or_else(Vec::new, <[Pattern]>::to_vec)
    }

    /// The state of a message, for the receiver that is furthest behind.
    pub(super) fn state_of(&self, message: MessageId) -> Option<State> {
        let view = self.find(&message)?;
        view.receivers.iter().map(|r| r.state).min()
    }

    /// A page of the queues, in order of neighbour and number, after a place.
    pub fn queue(
        &self,
        neighbour: Option<&UnitId>,
        after: Option<(UnitId, Seq)>,
        max: usize,
    ) -> Vec<QueueRow> {
        let mut rows = Vec::new();
        for (unit, hop) in &self.hops {
            if neighbour.is_some_and(|n| n != unit) {
                continue;
            }
            let from = match &after {
                Some((last, _)) if unit < last => continue,
                Some((last, seq)) if unit == last => *seq,
                _ => 0,
            };
            let paused = self.paused_towards(unit);
            for (seq, queued) in hop.outbox.iter_after(from) {
                if rows.len() >= max {
                    return rows;
                }
                let kept = self.parcels.get(queued.slot);
                if kept.is_receipt() {
                    continue;
                }
                rows.push(QueueRow {
                    message: kept.message,
                    neighbour: unit.clone(),
                    seq,
                    lane: queued.lane,
                    state: hop.outbox.state(seq),
                    link: hop
                        .outbox
                        .lessee(seq)
                        .and_then(|session| Some(self.sessions.get(&session)?.link.name.clone())),
                    sender: self.parcels.sender(queued.slot).clone(),
                    received: kept.received,
                    expires: kept.expires,
                    bytes: kept.bytes,
                    location: self.place_of(queued.slot),
                    paused: paused.has(queued.lane),
                    exported: queued.exported(),
                });
            }
        }
        rows
    }

    /// Every neighbour: the upstream, units that the configuration names, and units that were met.
    pub fn neighbours(&self) -> Vec<NeighbourView> {
        let configured = self.settings.units.iter().map(|u| &u.name);
        let known = self.hops.keys().chain(self.paused.keys());
        let mut units: Vec<&UnitId> = known.chain(&self.met).collect();
        units.extend(configured);
        units.extend(&self.settings.upstream);
        units.sort_unstable();
        units.dedup();
        units.into_iter().map(|unit| self.neighbour(unit)).collect()
    }

    fn neighbour(&self, unit: &UnitId) -> NeighbourView {
        let hop = self.hops.get(unit);
        let sessions = hop
            .into_iter()
            .flat_map(|hop| hop.sessions.iter().map(move |id| (hop, id)));
        NeighbourView {
            unit: unit.clone(),
            upstream: self.is_upstream(unit),
            configured: self.settings.units.iter().any(|u| u.name == *unit),
            blocked: self.is_blocked(unit),
            paused: self.paused_towards(unit),
            sessions: sessions
                .filter_map(|(hop, id)| {
                    let live = self.sessions.get(id)?;
                    let (path, terms, trust) = live.line();
                    Some(SessionView {
                        session: *id,
                        link: live.link.clone(),
                        open: live.is_open(),
                        trust,
                        path,
                        terms,
                        under_way_bytes: hop.outbox.under_way(*id),
                    })
                })
                .collect(),
            lanes: hop.map(|hop| hop.outbox.depth()).unwrap_or_default(),
            oldest: hop.and_then(|hop| {
                let (_, first) = hop.outbox.iter().next()?;
                Some(self.parcels.get(first.slot).received)
            }),
            in_flight_bytes: hop.map(|hop| hop.outbox.in_flight()).unwrap_or(0),
            blocked_messages: hop.map(|hop| hop.outbox.blocked()).unwrap_or(0),
        }
    }

    /// How many messages are queued towards each neighbour and end by then, to the hour; neighbours without any are left out.
    pub fn expiring_by(&self, at: Millis) -> BTreeMap<UnitId, u64> {
        let counts = self
            .hops
            .iter()
            .map(|(unit, hop)| (unit, hop.outbox.expiring_by(at)));
        counts
            .filter(|(_, count)| *count > 0)
            .map(|(unit, count)| (unit.clone(), count))
            .collect()
    }

    /// The inbox.
    pub fn inbox_view(&self) -> InboxView {
        InboxView {
            messages: self.inbox.len(),
            bytes: self.inbox.bytes(),
            leased: self.inbox.leased(),
            oldest: self
                .inbox
                .slots()
                .next()
                .map(|slot| self.parcels.get(slot).received),
        }
    }

    /// The node's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Sums over the node.
    pub fn totals(&self) -> Totals {
        Totals {
            parcels: self.parcels.len() as u64,
            own: self.parcels.own(),
            remembered: self.remembered_sent() + self.remembered_seen(),
            owed: self.owed.len() as u64,
            waiting: self.hops.values().map(|h| h.inbound.waiting() as u64).sum(),
        }
    }
}
