//! What operators order, and what the journal's keeper asks.

use super::{Answer, Delivery, Order, OrderRefused, Output, Paused, Ticket, record::Record};
use crate::model::{Digest, Lane, Location, Log, Payload, Reason, ReceiptItem, State, UnitId};

impl Delivery {
    pub(super) fn operate(&mut self, ticket: Ticket, orders: Vec<Order>, log: &mut dyn Log) {
        let done = orders.into_iter().map(|order| self.carry_out(order, log));
        let answer = Answer::Ordered(done.collect());
        self.after_sync(Output::Reply { ticket, answer });
        self.pump_all();
    }

    pub(super) fn pause(
        &mut self,
        ticket: Ticket,
        neighbour: UnitId,
        lane: Option<Lane>,
        paused: bool,
        log: &mut dyn Log,
    ) {
        let is_neighbour = self.is_upstream(&neighbour)
            || self.hops.contains_key(&neighbour)
            || self.met.contains(&neighbour)
            || self.settings.units.iter().any(|u| u.name == neighbour);
        let done = if is_neighbour {
            let before = self.paused_towards(&neighbour);
            let lanes = before.with(lane, paused);
            if lanes != before {
                self.commit(Record::Paused { neighbour, lanes }, log);
            }
            Ok(())
        } else {
            Err(OrderRefused::UnknownNeighbour)
        };
        let answer = Answer::Ordered(vec![done]);
        self.after_sync(Output::Reply { ticket, answer });
        self.pump_all();
    }

    /// Which lanes an operator has stopped.
    pub(super) fn paused_towards(&self, neighbour: &UnitId) -> Paused {
        self.paused.get(neighbour).copied().unwrap_or_default()
    }

    fn carry_out(&mut self, order: Order, log: &mut dyn Log) -> Result<(), OrderRefused> {
        let message = order.message();
        let copies = self.copies_of(message);
        if copies.is_empty() {
            return Err(OrderRefused::NotQueued);
        }
        let queued = |(neighbour, seq): &(_, _)| {
            let hop = self.hops.get(neighbour)?;
            let copy = hop.outbox.get(*seq)?;
            Some((copy.held(), hop.outbox.ending(*seq).is_some()))
        };
        let is_held = copies.iter().filter_map(queued).any(|(held, _)| held);
        let is_ending = copies.iter().filter_map(queued).all(|(_, ends)| ends);
        if is_ending {
            return Err(OrderRefused::Ending);
        }
        let ends_as = match &order {
            Order::Expire(..) => State::Expired,
            _ => State::Dropped,
        };
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
            Order::Drop(_, note) | Order::Expire(_, note) => {
                let end = note
                    .char_indices()
                    .map(|(at, c)| at + c.len_utf8())
                    .take_while(|end| *end <= ReceiptItem::NOTE_BYTES_MAX)
                    .last()
                    .unwrap_or(0);
                for (neighbour, seq) in copies {
                    let reason = Reason::Operator;
                    self.begin_end(&neighbour, seq, ends_as, reason, &note[..end], log);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::{Input, Settings, Submission},
        model::{Fingerprint, Limits, Log, Lsn, Now, Policy},
        parcel::{BodyForm, Header, Parcel},
    };

    /// A log whose old payloads cannot be read: a copy stays where it was.
    #[derive(Default)]
    struct Unreadable(Lsn);

    impl Log for Unreadable {
        fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
            self.0 += 1;
            let at = match payload {
                Payload::Copy(from) => from,
                _ => Location {
                    segment: 1,
                    offset: self.0 as u32 * 4096,
                    len: record.len() as u32,
                },
            };
            (self.0, at)
        }
    }

    #[test]
    fn a_live_parcel_that_compaction_cannot_read_is_not_given_up() {
        let now = Now {
            mono: 1,
            wall: 1_000,
        };
        let header = Header {
            sender: "hebi.tobacco".parse().expect("a unit"),
            id: "1".into(),
            to: vec!["hebi.police".parse().expect("a pattern")],
            kind: "notice".parse().expect("a kind"),
            case: None,
            lane: Lane::Normal,
            accepted: 1_000,
            expires: 1_000_000,
            signer: Fingerprint([0; 16]),
            attachments: Vec::new(),
            form: BodyForm::None,
            attributes: Vec::new(),
        };
        let any = || "**".parse().expect("a pattern");
        let mut node = Delivery::new(Settings {
            unit: header.sender.clone(),
            upstream: Some("hebi.hub".parse().expect("a unit")),
            listens: false,
            units: Vec::new(),
            policy: Policy {
                allow: vec![crate::model::Allow {
                    from: any(),
                    to: any(),
                    kinds: vec![any()],
                }],
            },
            limits: Limits::default(),
            kinds_without_read: Vec::new(),
        });
        let mut log = Unreadable::default();
        node.start(now, 7, false, &mut log);
        let parcel = Parcel::join(&[0; 64], &crate::codec::encode(&header), b"");
        let messages = vec![Submission {
            content: parcel.digest(),
            parcel,
            header,
        }];
        let submit = Input::Submit {
            ticket: 1,
            messages,
        };
        node.handle(now, submit, &mut log);
        let live: Vec<Location> = node.live().collect();
        assert_eq!(live.len(), 1);

        node.handle(now, Input::Compact { segment: 1 }, &mut log);
        while let Some(output) = node.poll_output() {
            assert!(!matches!(output, Output::Freed(_)), "{output:?}");
        }
        assert_eq!(node.live().collect::<Vec<_>>(), live);
    }
}
