//! The only place that changes durable state.

mod come;
mod epochs;
mod leave;
mod tell;

use super::{
    Delivery, Event, ReplayError, Step,
    hop::{Ending, Hop, Seq},
    parcels::{From, Parcels},
    record::{Record, Route},
};
use crate::{
    codec,
    model::{Digest, Location, Log, Lsn, MessageId, Millis, Pattern, Payload, State, UnitId},
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
        let encoded = codec::encode(&record);
        #[cfg(any(test, feature = "sim"))]
        assert!(
            encoded.len() < 1024 || codec::decode::<Record, RECORD_BYTES_MAX>(&encoded).is_ok(),
            "what is written must read back"
        );
        let (lsn, at) = log.append(&encoded, payload);
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
                for seq in self.hop(&neighbour).inbound.note_gone(&seqs, lsn) {
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
                let ending = Ending {
                    state,
                    reason,
                    note,
                };
                let (hop, parcels) = self.hop_and_parcels(&neighbour);
                hop.outbox.begin_ending(seq, ending, parcels);
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
                orphans.sort_by_key(|waiting| waiting.slot.map(|_| waiting.accepted));
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
                    let from = From::Elsewhere { attested: 0 };
                    let slot = self.keep(carried, wall, from, at);
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
                self.set_held(message, true);
                self.message_step(message, Step::Held);
            }
            Record::Released { message } => {
                self.set_held(message, false);
                self.message_step(message, Step::Released);
            }
            Record::Reprioritised { message, lane } => {
                for (neighbour, seq) in self.copies_of(message) {
                    let (hop, parcels) = self.hop_and_parcels(&neighbour);
                    hop.outbox.set_lane(seq, lane, parcels);
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
            Record::Unreadable { parcel, wall } => {
                self.saw(wall);
                self.apply_unreadable(parcel, wall);
            }
            Record::Attached { parcel, wall } => {
                self.saw(wall);
                self.apply_attached(parcel, wall);
            }
            Record::Unattached {
                parcel,
                state,
                reason,
                wall,
            } => {
                self.saw(wall);
                self.apply_unattached(parcel, state, reason, wall);
            }
            Record::Paused { neighbour, lanes } => {
                if lanes.is_none() {
                    self.paused.remove(&neighbour);
                } else {
                    self.paused.insert(neighbour, lanes);
                }
            }
            Record::Exported { neighbour, seqs } => self.apply_exported(&neighbour, &seqs),
            Record::Kept { parcel } => {
                if let Some(slot) = self.parcels.of_digest(parcel) {
                    let before = self
                        .parcels
                        .change(slot, |kept| std::mem::replace(&mut kept.location, at));
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

    /// A neighbour, and the parcels that its queue is of.
    pub(super) fn hop_and_parcels(&mut self, neighbour: &UnitId) -> (&mut Hop, &Parcels) {
        let hop = self.hops.entry(neighbour.clone()).or_default();
        (hop, &self.parcels)
    }

    // ---- operators

    pub(super) fn copies_of(&self, message: MessageId) -> Vec<(UnitId, Seq)> {
        self.parcels
            .of_message(message)
            .flat_map(|slot| self.parcels.copies_of(slot))
            .collect()
    }

    fn set_held(&mut self, message: MessageId, held: bool) {
        for (neighbour, seq) in self.copies_of(message) {
            let outbox = &mut self.hop(&neighbour).outbox;
            outbox.set_held(seq, held);
            outbox.unblock();
        }
    }

    fn message_step(&mut self, message: MessageId, what: Step) {
        let at = self.now.wall.max(self.wall);
        self.event(Event::Message { message, at, what });
    }
}
