//! Copies leave: acked, ended, or taken by the application.

use crate::delivery::{Delivery, Step, hop::Seq, parcels::Slot, receipts::Line};
use crate::model::{
    Digest, MessageId, Millis, Outcome, Pattern, Reason, ReceiptItem, State, UnitId,
};

impl Delivery {
    pub(super) fn apply_acked(&mut self, neighbour: &UnitId, seqs: &crate::model::Ranges) {
        let wall = self.wall;
        for seq in self.hop(neighbour).outbox.among(seqs) {
            #[cfg(any(test, feature = "sim"))]
            let was_leased = self.hop(neighbour).outbox.lessee(seq).is_some();
            #[cfg(any(test, feature = "sim"))]
            let lane = self.hop(neighbour).outbox.get(seq).map(|copy| copy.lane);
            let (hop, parcels) = self.hop_and_parcels(neighbour);
            let Some(left) = hop.outbox.remove(seq, parcels) else {
                continue;
            };
            let slot = left.slot;
            #[cfg(any(test, feature = "sim"))]
            if was_leased
                && self.has(crate::delivery::Bug::CreditLeak)
                && let Some(lane) = lane
            {
                let bytes = self.parcels.get(slot).bytes;
                self.hop(neighbour).outbox.leak(lane, bytes);
            }
            self.parcels.drop_copy(slot, neighbour, seq);
            #[cfg(any(test, feature = "sim"))]
            if self.has(crate::delivery::Bug::ForgottenAttachment) {
                self.unname_blobs(slot);
            }
            let step = Step::Acked {
                neighbour: neighbour.clone(),
            };
            self.step(slot, self.now.wall.max(wall), step);
            for target in &left.for_whom {
                let (state, reason) = (State::Relayed, Reason::None);
                self.parcels.settle(slot, target, state, reason);
            }
            self.let_go(slot);
        }
    }

    pub(super) fn apply_ended(
        &mut self,
        neighbour: &UnitId,
        seq: Seq,
        state: State,
        reason: Reason,
        note: &str,
        wall: Millis,
    ) {
        let (hop, parcels) = self.hop_and_parcels(neighbour);
        let Some(left) = hop.outbox.end(seq, parcels) else {
            return;
        };
        let slot = left.slot;
        // What is told here and now may be the last that was awaited of the parcel.
        self.parcels.begin_use(slot);
        self.parcels.drop_copy(slot, neighbour, seq);
        for target in left.for_whom {
            let ended = Step::Ended {
                receiver: target.clone(),
                state,
                reason,
            };
            self.step(slot, wall, ended);
            self.conclude(slot, neighbour, target, state, reason, note, wall);
        }
        self.parcels.end_use(slot);
        self.let_go(slot);
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
        if kept.is_receipt() {
            return;
        }
        let outcome = match state {
            State::Expired => Outcome::Expired,
            State::Dropped => Outcome::Dropped,
            _ => Outcome::Refused,
        };
        let (to, expires) = (self.parcels.sender(slot).clone(), kept.expires);
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

    pub(super) fn apply_taken(&mut self, message: MessageId, wall: Millis) {
        let slots: Vec<Slot> = self.parcels.of_message(message).collect();
        for slot in slots {
            if self.inbox.remove(slot) {
                self.step(slot, wall, Step::Taken);
                let kept = self.parcels.get(slot);
                let named = self.parcels.reply_to(slot) == self.parcels.sender(slot);
                if kept.wants_read() && named {
                    self.tell(slot, Outcome::Read, Reason::None, wall);
                }
                // Only now: what is told here and now may be the last that was awaited of the parcel.
                self.parcels.end_use(slot);
                self.let_go(slot);
            }
        }
    }

    /// All the attachments of a message in the inbox are here.
    pub(super) fn apply_attached(&mut self, parcel: Digest, wall: Millis) {
        let lsn = self.lsn;
        if let Some(slot) = self.parcels.of_digest(parcel)
            && self.inbox.open(slot, lsn)
        {
            self.step(slot, wall, Step::Delivered);
            self.tell(slot, Outcome::Delivered, Reason::None, wall);
        }
    }

    /// A message leaves the inbox before its attachments were all here. It may come again.
    pub(super) fn apply_unattached(
        &mut self,
        parcel: Digest,
        state: State,
        reason: Reason,
        wall: Millis,
    ) {
        let Some(slot) = self.parcels.of_digest(parcel) else {
            return;
        };
        if !self.inbox.is_shut(slot) || !self.inbox.remove(slot) {
            return;
        }
        let receiver = Pattern::from(&self.settings.unit);
        let ended = Step::Ended {
            receiver,
            state,
            reason,
        };
        self.step(slot, wall, ended);
        let outcome = match state {
            State::Expired => Outcome::Expired,
            _ => Outcome::Refused,
        };
        self.tell(slot, outcome, reason, wall);
        self.forget_seen(self.parcels.get(slot).message);
        self.parcels.end_use(slot);
        self.let_go(slot);
    }

    /// A message that cannot be read leaves the inbox; whoever was told that it is there is told that it is not.
    pub(super) fn apply_unreadable(&mut self, parcel: Digest, wall: Millis) {
        let Some(slot) = self.parcels.of_digest(parcel) else {
            return;
        };
        if !self.inbox.remove(slot) {
            return;
        }
        let (state, reason) = (State::Refused, Reason::Damaged);
        let receiver = Pattern::from(&self.settings.unit);
        let ended = Step::Ended {
            receiver,
            state,
            reason,
        };
        self.step(slot, wall, ended);
        self.tell(slot, Outcome::Refused, reason, wall);
        self.parcels.end_use(slot);
        self.let_go(slot);
    }
}
