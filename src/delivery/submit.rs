//! What applications submit.

use std::collections::HashMap;

use super::{
    Accepted, Answer, Delivery, NotAccepted, Output, Submission, Ticket,
    apply::Carried,
    record::{Record, Route},
    route::Routed,
};
use crate::model::{Digest, Lane, Log, MessageId, Payload, State, UnitId};

impl Delivery {
    pub(super) fn submit(&mut self, ticket: Ticket, messages: Vec<Submission>, log: &mut dyn Log) {
        let mut batch: HashMap<MessageId, Digest> = HashMap::new();
        let mut bytes = 0;
        let mut count = 0;
        for (index, message) in messages.iter().enumerate() {
            match self.may_submit(message, &batch, count, bytes) {
                Ok(true) => {
                    batch.insert(message.header.message_id(), message.content);
                    bytes += message.parcel.bytes().len() as u64;
                    count += 1;
                }
                Ok(false) => {}
                Err(why) => {
                    let answer = Answer::NotAccepted { index, why };
                    self.outputs.push_back(Output::Reply { ticket, answer });
                    return;
                }
            }
        }
        let accepted = messages
            .into_iter()
            .map(|message| self.take(message, log))
            .collect();
        let reply = Output::Reply {
            ticket,
            answer: Answer::Accepted(accepted),
        };
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::AcceptBeforeSync) {
            self.outputs.push_back(reply);
            return;
        }
        self.after_sync(reply);
    }

    /// Whether a message is new (true) or a repetition (false).
    fn may_submit(
        &self,
        message: &Submission,
        batch: &HashMap<MessageId, Digest>,
        more: u64,
        more_bytes: u64,
    ) -> Result<bool, NotAccepted> {
        let header = &message.header;
        debug_assert_eq!(header.sender, self.settings.unit);
        let id = header.message_id();
        if let Some(content) = self.sent.get(&id).or_else(|| batch.get(&id).copied()) {
            return if content == message.content {
                Ok(false)
            } else {
                Err(NotAccepted::Conflict)
            };
        }
        if header.expires <= self.now.wall || header.expires <= self.sent.purged() {
            return Err(NotAccepted::Expired);
        }
        for target in &header.to {
            let (from, kind) = (&header.sender, &header.kind);
            if !self.settings.policy.allows_pattern(from, target, kind) {
                return Err(NotAccepted::Policy {
                    to: target.clone(),
                    kind: kind.clone(),
                });
            }
            if let Some(unit) = target.as_unit()
                && !header.lane.has_reserve()
                && let Some(next) = self.next_hop(target)
                && let Some(hop) = self.hops.get(&next)
                && hop.outbox.is_closed(&unit)
            {
                return Err(NotAccepted::MailboxFull(unit));
            }
        }
        let bytes = more_bytes + message.parcel.bytes().len() as u64;
        self.journal_takes(header.lane, bytes)?;
        for target in &header.to {
            match self.next_hop(target) {
                Some(unit) => self.queue_takes(&unit, header.lane, more + 1, bytes)?,
                None => self.inbox_takes(header.lane, more + 1, bytes)?,
            }
        }
        Ok(true)
    }

    fn take(&mut self, message: Submission, log: &mut dyn Log) -> Accepted {
        let header = &message.header;
        let id = header.message_id();
        if self.sent.get(&id).is_some() {
            return Accepted {
                message: id,
                state: self.state_of(id).unwrap_or(State::Delivered),
                repeated: true,
            };
        }
        let what = Routed {
            sender: &header.sender,
            signed: &header.to,
            kind: &header.kind,
            from: None,
        };
        let found = self.routes(&what, &header.to);
        let record = Record::Accepted {
            wall: self.now.wall,
            content: message.content,
            routes: found.routes,
            refused: found.refused,
        };
        let carried = Carried {
            header,
            bytes: message.parcel.bytes().len() as u32,
            digest: message.parcel.digest(),
        };
        let payload = Payload::New(message.parcel.bytes());
        self.commit_with(record, Some(carried), payload, log);
        Accepted {
            message: id,
            state: State::Queued,
            repeated: false,
        }
    }

    // ---- bounds (G7)

    /// What a lane may use of a bound: the reserve is for urgent lanes.
    fn share(&self, bound: u64, lane: Lane) -> u64 {
        if lane.has_reserve() {
            bound
        } else {
            bound - bound * u64::from(self.settings.limits.reserve_percent.min(90)) / 100
        }
    }

    pub(super) fn journal_takes(&self, lane: Lane, bytes: u64) -> Result<(), NotAccepted> {
        let Some(room) = self.room else {
            return Ok(());
        };
        let reserve = room.bound - self.share(room.bound, lane);
        let short = room.free < reserve + 2 * bytes;
        if room.disk_full && (short || !lane.has_reserve()) {
            return Err(NotAccepted::DiskFull);
        }
        if short {
            return Err(NotAccepted::Bound {
                name: "journal-mib",
                bound: u64::from(self.settings.limits.journal_mib),
            });
        }
        Ok(())
    }

    /// Whether the queue towards a neighbour takes so many more messages with so many more bytes.
    pub(super) fn queue_takes(
        &self,
        unit: &UnitId,
        lane: Lane,
        messages: u64,
        bytes: u64,
    ) -> Result<(), NotAccepted> {
        let limits = &self.settings.limits;
        let depth = self
            .hops
            .get(unit)
            .map(|hop| hop.outbox.total())
            .unwrap_or_default();
        let ((count_name, count), (mib_name, mib)) = if self.is_upstream(unit) {
            (
                ("outbox-messages", limits.outbox_messages),
                ("outbox-mib", limits.outbox_mib),
            )
        } else {
            (
                ("mailbox-messages", limits.mailbox_messages),
                ("mailbox-mib", limits.mailbox_mib),
            )
        };
        self.fits(lane, depth.messages + messages, count_name, count.into(), 1)?;
        self.fits(lane, depth.bytes + bytes, mib_name, mib.into(), 1 << 20)
    }

    pub(super) fn inbox_takes(
        &self,
        lane: Lane,
        messages: u64,
        bytes: u64,
    ) -> Result<(), NotAccepted> {
        let limits = &self.settings.limits;
        let (count, mib) = (limits.inbox_messages, limits.inbox_mib);
        let (has, has_bytes) = (self.inbox.len(), self.inbox.bytes());
        self.fits(lane, has + messages, "inbox-messages", count.into(), 1)?;
        self.fits(lane, has_bytes + bytes, "inbox-mib", mib.into(), 1 << 20)
    }

    fn fits(
        &self,
        lane: Lane,
        wanted: u64,
        name: &'static str,
        bound: u64,
        unit: u64,
    ) -> Result<(), NotAccepted> {
        if wanted <= self.share(bound * unit, lane) {
            Ok(())
        } else {
            Err(NotAccepted::Bound { name, bound })
        }
    }
}

impl Route {
    /// The unit whose bound the copy counts against; none for a sum.
    pub(super) fn unit<'a>(&'a self, me: &'a UnitId) -> Option<&'a UnitId> {
        match self {
            Route::Here { .. } => Some(me),
            Route::Neighbour { unit, .. } => Some(unit),
            Route::Fanout { .. } => None,
        }
    }
}
