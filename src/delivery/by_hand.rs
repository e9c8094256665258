//! Parcels that are carried to a neighbour by hand, as a file, while no link is up.
//!
//! They keep the numbers that they have towards the neighbour: to it the file is a batch that took long. What comes again over a link is a
//! repetition, acks are told when both meet, order and ends are kept, and nothing else had to be thought of. The price: the two must have met
//! over a link, and neither may have taken a new epoch since.

use std::collections::BTreeSet;

use super::{
    Answer, Arrival, Delivery, OrderRefused, Output, Step, Ticket,
    arrive::Came,
    hop::{Entry, Epoch, Seq},
    record::Record,
};
use crate::model::{Location, Log, MessageId, Ranges, Reason, UnitId};

/// The epochs that numbers mean something in: of whoever numbers, and of whoever the numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Epochs {
    /// Of the node that exports.
    pub own: Epoch,
    /// Of the neighbour, as the node that exports knows it.
    pub peer: Epoch,
}

/// What could be carried to a neighbour.
#[derive(Clone, Debug)]
pub struct ByHand {
    /// The neighbour.
    pub neighbour: UnitId,
    /// What its numbers mean something in.
    pub epochs: Epochs,
    /// The copies, in the order of their numbers.
    pub copies: Vec<CopyByHand>,
    /// Messages that are not among them.
    pub refused: Vec<(MessageId, OrderRefused)>,
}

/// A copy that could be carried.
#[derive(Clone, Debug)]
pub struct CopyByHand {
    /// Its message.
    pub message: MessageId,
    /// What a batch would say of it.
    pub entry: Entry,
    /// Where its bytes are.
    pub at: Location,
    /// How many.
    pub bytes: u32,
}

/// Why nothing is carried by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotByHand {
    /// The messages wait for several neighbours.
    #[error("they wait for several neighbours ({}): name one, a file is for one", names(.0))]
    Several(Vec<UnitId>),
    /// No session has ever been up: numbers are not agreed on.
    #[error(
        "{0} and this node have not met over a link yet; the first session has to be over one, later ones may be a stick"
    )]
    NeverMet(UnitId),
    /// The neighbour lost its memory, and is being asked what it lacks.
    #[error("{0} has begun anew, and is about to be asked what it lacks: let the link come up")]
    Offering(UnitId),
    /// Numbers mean something else by now.
    #[error("{0} or this node has begun anew since the file was made: export the messages again")]
    OtherEpochs(UnitId),
    /// It is nobody whose parcels this node takes.
    #[error("{0} is no neighbour of this node")]
    Stranger(UnitId),
    /// It is cut off.
    #[error("{0} is blocked here")]
    Blocked(UnitId),
    /// An entry says that a parcel comes after what cannot be.
    #[error("the file names a parcel that comes after no number")]
    Malformed,
}

fn names(units: &[UnitId]) -> String {
    let names: Vec<&str> = units.iter().map(UnitId::as_str).collect();
    names.join(", ")
}

/// What became of the parcels of a file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// For each, [`Fate`].
    pub fates: Vec<Fate>,
}

/// What became of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is here and goes on.
    Taken,
    /// It had come before.
    Repeated,
    /// It ended here; its sender is told why.
    Ended(Reason),
    /// There is no room for it now. It may come again.
    NoRoom,
}

impl Delivery {
    /// What of these messages waits for one neighbour, with the earlier ones of their cases: nothing may overtake them.
    ///
    /// # Errors
    /// It cannot be carried.
    pub fn by_hand(
        &self,
        neighbour: Option<&UnitId>,
        messages: &[MessageId],
    ) -> Result<ByHand, NotByHand> {
        let mut waiting: BTreeSet<UnitId> = BTreeSet::new();
        let mut seqs: BTreeSet<Seq> = BTreeSet::new();
        let mut refused = Vec::new();
        for message in messages {
            let copies = self.copies_of(*message);
            let mut wanted = copies
                .iter()
                .filter(|(n, _)| neighbour.is_none_or(|w| w == n));
            let mut found = false;
            for (unit, seq) in &mut wanted {
                let ends = self
                    .hops
                    .get(unit)
                    .is_some_and(|hop| hop.outbox.ending(*seq).is_some());
                found = true;
                if ends {
                    refused.push((*message, OrderRefused::Ending));
                } else {
                    waiting.insert(unit.clone());
                    seqs.insert(*seq);
                }
            }
            if !found {
                refused.push((*message, OrderRefused::NotQueued));
            }
        }
        let unit = match (neighbour, waiting.len()) {
            (Some(unit), _) => unit.clone(),
            (None, 1) => waiting
                .into_iter()
                .next()
                .unwrap_or_else(|| self.settings.unit.clone()),
            (None, 0) => {
                return Ok(ByHand {
                    neighbour: self.settings.unit.clone(),
                    epochs: Epochs {
                        own: self.epoch,
                        peer: 0,
                    },
                    copies: Vec::new(),
                    refused,
                });
            }
            (None, _) => return Err(NotByHand::Several(waiting.into_iter().collect())),
        };
        let hop = self.hops.get(&unit);
        let hop = hop.ok_or_else(|| NotByHand::Stranger(unit.clone()))?;
        if hop.peer_epoch == 0 {
            return Err(NotByHand::NeverMet(unit));
        }
        if hop.is_offering() {
            return Err(NotByHand::Offering(unit));
        }
        // What is queued before them in their chains goes along.
        let mut look: Vec<Seq> = seqs.iter().copied().collect();
        while let Some(seq) = look.pop() {
            for before in hop.outbox.after(seq).filter(|before| *before < seq) {
                let goes = hop.outbox.get(before).is_some() && hop.outbox.ending(before).is_none();
                if goes && seqs.insert(before) {
                    look.push(before);
                }
            }
        }
        let copies = seqs.into_iter().filter_map(|seq| {
            let queued = hop.outbox.get(seq)?;
            let kept = self.parcels.get(queued.slot);
            Some(CopyByHand {
                message: kept.message,
                entry: self.entry_of(&unit, hop, seq)?,
                at: self.place_of(queued.slot),
                bytes: kept.bytes,
            })
        });
        Ok(ByHand {
            epochs: Epochs {
                own: self.epoch,
                peer: hop.peer_epoch,
            },
            copies: copies.collect(),
            neighbour: unit,
            refused,
        })
    }

    /// Marks copies as carried by hand: they are held from now on, and the neighbour may have them.
    pub(super) fn export(
        &mut self,
        ticket: Ticket,
        neighbour: UnitId,
        epochs: Epochs,
        seqs: &Ranges,
        log: &mut dyn Log,
    ) {
        let known = self.hops.get(&neighbour);
        let mean_the_same = known.is_some_and(|hop| {
            hop.peer_epoch == epochs.peer && self.epoch == epochs.own && !hop.is_offering()
        });
        let done = if mean_the_same {
            let outbox = &self.hop(&neighbour).outbox;
            let still: Ranges = outbox
                .among(seqs)
                .into_iter()
                .filter(|seq| outbox.ending(*seq).is_none())
                .collect();
            if !still.is_empty() {
                let record = Record::Exported {
                    neighbour,
                    seqs: still.clone(),
                };
                self.commit(record, log);
            }
            Ok(still)
        } else {
            Err(NotByHand::OtherEpochs(neighbour))
        };
        let answer = Answer::Exported(done);
        self.after_sync(Output::Reply { ticket, answer });
    }

    /// See [`Record::Exported`].
    pub(super) fn apply_exported(&mut self, neighbour: &UnitId, seqs: &Ranges) {
        let at = self.now.wall.max(self.wall);
        for seq in self.hop(neighbour).outbox.among(seqs) {
            let (hop, _) = self.hop_and_parcels(neighbour);
            hop.outbox.set_exported(seq);
            let Some(slot) = hop.outbox.get(seq).map(|copy| copy.slot) else {
                continue;
            };
            let neighbour = neighbour.clone();
            self.step(slot, at, Step::Exported { neighbour });
        }
        self.hop(neighbour).outbox.unblock();
    }

    /// Takes the parcels of a file as if they had come over a session with the neighbour. They were judged.
    pub(super) fn import(
        &mut self,
        ticket: Ticket,
        neighbour: &UnitId,
        epochs: Epochs,
        arrivals: Vec<Arrival>,
        log: &mut dyn Log,
    ) {
        let done = self.may_import(neighbour, epochs).and_then(|()| {
            let arrivals = arrivals.into_iter().map(|arrival| {
                let after = super::arrive::after(&arrival.entry).ok_or(NotByHand::Malformed)?;
                Ok((after, arrival))
            });
            arrivals.collect::<Result<Vec<_>, _>>()
        });
        let done = done.map(|arrivals| {
            let mut imported = Imported::default();
            for (after, arrival) in arrivals {
                let seq = arrival.entry.seq;
                let fate = if self.hop(neighbour).inbound.has(seq) {
                    self.hop(neighbour).inbound.repeat(seq);
                    Fate::Repeated
                } else {
                    match self.arrive_one(neighbour, seq, after, arrival, log) {
                        Came::Stored => Fate::Taken,
                        Came::Known => Fate::Repeated,
                        Came::Ended(reason) => Fate::Ended(reason),
                        Came::NoRoom => Fate::NoRoom,
                    }
                };
                imported.fates.push(fate);
            }
            self.ack_soon(neighbour);
            self.settle_orphans(neighbour, log);
            self.pump_all();
            imported
        });
        let answer = Answer::Imported(done);
        self.after_sync(Output::Reply { ticket, answer });
    }

    /// Whether all of these numbers of a neighbour have come, or are known to be gone.
    pub fn all_came(&self, neighbour: &UnitId, seqs: &[Seq]) -> bool {
        let hop = self.hops.get(neighbour);
        hop.is_some_and(|hop| seqs.iter().all(|seq| hop.inbound.has(*seq)))
    }

    /// Whether a file with numbers of these epochs means something here.
    ///
    /// # Errors
    /// Why not.
    pub fn may_import(&self, neighbour: &UnitId, epochs: Epochs) -> Result<(), NotByHand> {
        if self.is_blocked(neighbour) {
            return Err(NotByHand::Blocked(neighbour.clone()));
        }
        let Some(hop) = self.hops.get(neighbour) else {
            return Err(NotByHand::Stranger(neighbour.clone()));
        };
        if hop.peer_epoch == 0 {
            return Err(NotByHand::NeverMet(neighbour.clone()));
        }
        if hop.peer_epoch != epochs.own || self.epoch != epochs.peer {
            return Err(NotByHand::OtherEpochs(neighbour.clone()));
        }
        Ok(())
    }
}
