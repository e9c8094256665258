//! What applications submit.

use std::collections::HashMap;

use super::{
    Accepted, Answer, Delivery, NotAccepted, Output, Submission, Ticket, apply::Carried,
    parcels::content, record::Record, route::Routed,
};
use crate::model::{Digest, Log, MessageId, Payload, State};

impl Delivery {
    pub(super) fn submit(&mut self, ticket: Ticket, messages: Vec<Submission>, log: &mut dyn Log) {
        let mut batch: HashMap<MessageId, Digest> = HashMap::new();
        let mut bytes = 0;
        let mut count = 0;
        let names: Vec<MessageId> = messages.iter().map(|m| m.header.message_id()).collect();
        for (index, (message, id)) in messages.iter().zip(&names).enumerate() {
            match self.may_submit(message, *id, &batch, count, bytes) {
                Ok(true) => {
                    // What comes last has nothing after it that could repeat it.
                    if index + 1 < messages.len() {
                        batch.insert(*id, message.content);
                    }
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
            .zip(names)
            .map(|(message, id)| self.take(message, id, log))
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
        id: MessageId,
        batch: &HashMap<MessageId, Digest>,
        more: u64,
        more_bytes: u64,
    ) -> Result<bool, NotAccepted> {
        let header = &message.header;
        debug_assert_eq!(header.sender, self.settings.unit);
        let in_batch = || batch.get(&id).copied().map(content);
        if let Some(known) = self.sent_as(id).or_else(in_batch) {
            return if known == content(message.content) {
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
        self.has_blobs(header)?;
        let bytes = more_bytes + message.parcel.bytes().len() as u64;
        self.journal_takes(header.lane, bytes)?;
        self.keeps(header.lane, more + 1)?;
        self.remembers(more + 1)?;
        for target in &header.to {
            match self.next_hop(target) {
                Some(unit) => self.queue_takes(&unit, header.lane, more + 1, bytes)?,
                None => self.inbox_takes(header.lane, more + 1, bytes)?,
            }
        }
        Ok(true)
    }

    fn take(&mut self, message: Submission, id: MessageId, log: &mut dyn Log) -> Accepted {
        let header = &message.header;
        if self.sent_as(id).is_some() {
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
}
