//! What operators order, and what the journal's keeper asks.

use super::{Answer, Delivery, Order, OrderRefused, Output, Ticket, record::Record};
use crate::model::{Digest, Location, Log, Payload, Reason, ReceiptItem, State};

impl Delivery {
    pub(super) fn operate(&mut self, ticket: Ticket, order: Order, log: &mut dyn Log) {
        let done = self.carry_out(order, log);
        let answer = Answer::Ordered(done);
        self.after_sync(Output::Reply { ticket, answer });
        self.pump_all();
    }

    fn carry_out(&mut self, order: Order, log: &mut dyn Log) -> Result<(), OrderRefused> {
        let message = order.message();
        let copies = self.copies_of(message);
        if copies.is_empty() {
            return Err(OrderRefused::NotQueued);
        }
        let queued = |(neighbour, seq): &(_, _)| {
            let hop = self.hops.get(neighbour)?;
            hop.outbox.get(*seq)
        };
        let is_held = copies.iter().filter_map(queued).any(|q| q.held);
        let is_ending = copies.iter().filter_map(queued).all(|q| q.ending.is_some());
        if is_ending {
            return Err(OrderRefused::Ending);
        }
        match order {
            Order::Hold(_) => self.commit(Record::Held { message }, log),
            Order::Release(_) if !is_held => return Err(OrderRefused::NotHeld),
            Order::Release(_) => self.commit(Record::Released { message }, log),
            Order::Retry(_) => {
                for (neighbour, _) in copies {
                    self.hop(&neighbour).outbox.unblock();
                }
            }
            Order::Reprioritise(_, lane) => {
                self.commit(Record::Reprioritised { message, lane }, log);
            }
            Order::Drop(_, note) => {
                let end = note
                    .char_indices()
                    .map(|(at, c)| at + c.len_utf8())
                    .take_while(|end| *end <= ReceiptItem::NOTE_BYTES_MAX)
                    .last()
                    .unwrap_or(0);
                for (neighbour, seq) in copies {
                    let (state, reason) = (State::Dropped, Reason::Operator);
                    self.begin_end(&neighbour, seq, state, reason, &note[..end], log);
                }
            }
        }
        Ok(())
    }

    /// Writes the live parcels of a segment again, so that it can go.
    pub(super) fn compact(&mut self, segment: u32, log: &mut dyn Log) {
        let mut live: Vec<(Location, Digest)> = self
            .parcels
            .iter()
            .filter(|(_, kept)| kept.location.segment == segment)
            .map(|(_, kept)| (kept.location, kept.digest))
            .collect();
        live.sort_unstable();
        for (at, parcel) in live {
            let record = Record::Kept { parcel };
            self.commit_with(record, None, Payload::Copy(at), log);
        }
    }
}
