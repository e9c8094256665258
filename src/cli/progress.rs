//! Waiting until a message is where its sender wants it to be.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Deserialize;

use super::{
    client::Client,
    exit::{BAD_DATA, Failure, LATER, REFUSED},
    texts::{self, fill, t},
};

/// The first pause between two looks, which doubles up to the last.
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(20);
const LOOK_AGAIN_LAST: Duration = Duration::from_secs(1);

/// How far a message is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// This node has it on stable storage
    Accepted,
    /// The next node has it on stable storage
    Relayed,
    /// It is in the receiver's inbox
    Delivered,
}

/// A wait with an end.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    goal: Goal,
    within: Duration,
    ends: Instant,
}

#[derive(Debug, Deserialize)]
struct View {
    state: String,
    receivers: Vec<Receiver>,
}

#[derive(Debug, Deserialize)]
struct Receiver {
    receiver: String,
    state: String,
    reason: Option<String>,
    note: Option<String>,
}

impl Wait {
    /// A wait that begins now.
    pub fn new(goal: Goal, within: Duration) -> Self {
        Self {
            goal,
            within,
            ends: Instant::now() + within,
        }
    }

    /// Waits until the message is there for every receiver; gives its state then.
    ///
    /// # Errors
    /// It ended otherwise for a receiver (77 when it was refused or dropped, 65 when the message is at fault, 75 when it expired),
    /// or is not there in time (75); it is under way all the same.
    pub fn until(&self, client: &Client, message: &str) -> Result<String, Failure> {
        self.until_seeing(client, message, || {})
    }

    /// The same; `see` is called at every look.
    ///
    /// # Errors
    /// As those of [`until`](Self::until).
    pub fn until_seeing(
        &self,
        client: &Client,
        message: &str,
        mut see: impl FnMut(),
    ) -> Result<String, Failure> {
        let mut pause = LOOK_AGAIN_FIRST;
        loop {
            see();
            let view: View = client.read(&format!("/v1/messages/{message}"))?;
            if let Some(failure) = view.receivers.iter().find_map(|r| r.failure(message)) {
                return Err(failure);
            }
            let there = match view.receivers.as_slice() {
                [] => self.is_there(&view.state),
                receivers => receivers.iter().all(|r| self.is_there(&r.state)),
            };
            if there {
                return Ok(view.state);
            }
            let left = self.ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (state, seconds) = (t().state(&view.state), self.within.as_secs_f32());
                let values: [&dyn Display; 4] = [&message, &state, &seconds, &message];
                return Err(Failure::new(LATER, fill(t().wait_over, &values)));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LOOK_AGAIN_LAST);
        }
    }

    fn is_there(&self, state: &str) -> bool {
        match self.goal {
            Goal::Accepted => true,
            Goal::Relayed => matches!(state, "relayed" | "delivered" | "read"),
            Goal::Delivered => matches!(state, "delivered" | "read"),
        }
    }
}

impl Receiver {
    /// The failure, when it ended for this receiver without being delivered.
    fn failure(&self, message: &str) -> Option<Failure> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let code = match (self.state.as_str(), reason) {
            (
                "refused",
                "unknown-unit" | "id-conflict" | "malformed" | "too-large" | "foreign-target",
            ) => BAD_DATA,
            ("refused" | "dropped", _) => REFUSED,
            ("expired", _) => LATER,
            _ => return None,
        };
        let state = t().state(&self.state);
        let mut text = fill(t().ended_for, &[&message, &state, &self.receiver]);
        let note = self.note.as_deref().unwrap_or_default();
        for more in [texts::reason(reason).as_str(), note] {
            if !more.is_empty() {
                text += &format!("{}{more}", t().colon);
            }
        }
        text += &fill(t().ended_see, &[&message]);
        Some(Failure::new(code, text))
    }
}
