//! What became of copies is told: to neighbours by receipts, and at the origin.

use crate::delivery::{
    Delivery, Event, Step,
    parcels::Slot,
    receipts::{Fanout, Line},
};
use crate::model::{Digest, Millis, Outcome, Pattern, Reason, ReceiptItem, State, UnitId};

impl Delivery {
    /// Tells whoever awaits it what became of the copy that is, or was, in this inbox.
    pub(super) fn tell(&mut self, slot: Slot, outcome: Outcome, reason: Reason, wall: Millis) {
        let kept = self.parcels.get(slot);
        let line = Line {
            item: ReceiptItem {
                parcel: kept.digest,
                receiver: Pattern::from(&self.settings.unit),
                outcome,
                reason,
                at: wall,
                note: String::new(),
            },
            expires: kept.expires,
        };
        let to = self.parcels.reply_to(slot).clone();
        self.owe(to, line, wall);
    }

    pub(super) fn owe(&mut self, to: UnitId, line: Line, wall: Millis) {
        if to == self.settings.unit {
            self.take_line(&line.item, &to, wall);
        } else {
            let mono = (!self.replaying).then_some(self.now.mono);
            self.owed.push(to, line, mono);
        }
    }

    pub(super) fn owe_summary(&mut self, fanout: &Fanout, parcel: Digest, wall: Millis) {
        let line = Line {
            item: fanout.summary(parcel, wall),
            expires: fanout.expires,
        };
        self.owe(fanout.back.clone(), line, wall);
    }

    /// Whether a line is about a hub's own copy: a hub is on a list by its name only, never by a pattern that was passed on to it.
    pub(super) fn is_for_hub(&self, item: &ReceiptItem) -> bool {
        item.receiver
            .as_unit()
            .is_some_and(|unit| self.is_hub(&unit))
    }

    /// Takes a line that holds: of a receipt, or of this node's own making.
    pub(super) fn take_line(&mut self, item: &ReceiptItem, issuer: &UnitId, wall: Millis) {
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
            self.parcels.settle(slot, &item.receiver, state, reason);
            self.let_go(slot);
        }
    }

    pub(super) fn apply_given_up(&mut self, parcel: Digest, wall: Millis) {
        let Some(slot) = self.parcels.of_digest(parcel) else {
            return;
        };
        let open: Vec<Pattern> = self
            .parcels
            .receivers(slot)
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
            let (state, reason) = (State::Expired, Reason::Expiry);
            self.parcels.settle(slot, &target, state, reason);
        }
        self.let_go(slot);
    }
}
