//! Messages that were lost with records of the journal.

use serde::Serialize;

use super::entry::{Entry, Line, What};
use crate::model::{MessageId, Millis, Reason, State, UnitId};

/// Messages that are told by their names.
const NAMED_MAX: usize = 1000;

/// What was lost with records of the journal: messages that had not ended here, by their names as far as there are few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Their names.
    pub messages: Vec<MessageId>,
    /// How many more there are.
    pub more: u64,
}

impl Lost {
    pub(super) fn of(lost: &[Entry]) -> Self {
        let named = lost.iter().take(NAMED_MAX);
        Self {
            messages: named.map(|entry| entry.message).collect(),
            more: lost.len().saturating_sub(NAMED_MAX) as u64,
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.messages.len() as u64 + self.more
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entry {
    /// Whether a node, `me`, that has not lost anything has the message: it waits here for someone, or its end is awaited.
    pub(super) fn is_awaited(&self, me: &UnitId) -> bool {
        let is_own = self.from == *me;
        self.receivers.is_empty()
            || self.receivers.iter().any(|receiver| match receiver.state {
                State::Queued | State::Held | State::Sending => true,
                State::Relayed => is_own,
                State::Delivered => receiver.target == me.into(),
                State::Read | State::Refused | State::Expired | State::Dropped => false,
            })
    }

    /// Its record is lost: whoever had not got it yet does not get it from here. What has come further is not known to be lost, and what
    /// is sent again, by a node that still has it, goes on as if nothing had been.
    pub(super) fn lose(&mut self, me: &UnitId, at: Millis) {
        let mut ended = Vec::new();
        for receiver in &mut self.receivers {
            let is_lost = match receiver.state {
                State::Queued | State::Held | State::Sending => true,
                State::Delivered => receiver.target == me.into(),
                _ => false,
            };
            if is_lost {
                receiver.state = State::Refused;
                receiver.reason = Reason::Damaged;
                receiver.at = at;
                ended.push(receiver.target.clone());
            }
        }
        for receiver in ended {
            let what = What::Ended {
                receiver,
                state: State::Refused,
                reason: Reason::Damaged,
            };
            self.note(Line { at, what });
        }
    }
}
