//! The applications: what they submit, what they are handed, and whether it is what it must be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::world::Seat;
use crate::{
    api::{Gateway as _, Handed, InboxAsk},
    model::{MessageId, UnitId},
    sim::disk::SplitMix64,
};

/// How long an application waits for an answer before it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What was submitted and what has become of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: Mutex<BTreeMap<MessageId, Message>>,
    /// The last number of each case that was handed over, by sender and case.
    last: Mutex<BTreeMap<(UnitId, String), u64>>,
    wrong: Mutex<Vec<String>>,
    pub(super) is_over: AtomicBool,
}

#[derive(Debug)]
struct Message {
    body: Bytes,
    accepted: bool,
    first_handed: Option<Instant>,
    handed: u32,
    /// The application has said that it is done with it, and may have got no answer.
    is_told: bool,
    is_taken: bool,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(super) fn wrong(&self) -> Option<String> {
        lock(&self.wrong).first().cloned()
    }

    fn is_wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    fn submits(&self, id: MessageId, body: &Bytes) {
        let message = Message {
            body: body.clone(),
            accepted: false,
            first_handed: None,
            handed: 0,
            is_told: false,
            is_taken: false,
        };
        lock(&self.messages).entry(id).or_insert(message);
    }

    fn accepted(&self, id: MessageId) {
        if let Some(message) = lock(&self.messages).get_mut(&id) {
            message.accepted = true;
        }
    }

    fn handed(&self, handed: &Handed) {
        let id = handed.header.message_id();
        let mut messages = lock(&self.messages);
        let Some(message) = messages.get_mut(&id) else {
            return self.is_wrong(format!("{id} was handed over and never submitted"));
        };
        message.handed += 1;
        if message.body != handed.body {
            self.is_wrong(format!("{id} is not what was submitted"));
        }
        if message.is_taken {
            self.is_wrong(format!("{id} was handed over after its ack"));
        }
        if message.handed > 1 {
            return;
        }
        message.first_handed = Some(Instant::now());
        if let Some(case) = &handed.header.case {
            let number = number_of(&handed.header.id);
            let key = (handed.header.sender.clone(), case.clone());
            let last = lock(&self.last).insert(key, number);
            if last.is_some_and(|last| last >= number) {
                self.is_wrong(format!("{} came after number {last:?}", handed.header.id));
            }
        }
    }

    fn each(&self, ids: &[MessageId], change: impl Fn(&mut Message)) {
        let mut messages = lock(&self.messages);
        for id in ids {
            if let Some(message) = messages.get_mut(id) {
                change(message);
            }
        }
    }

    /// When a message was handed over first.
    pub(super) fn came(&self, id: &MessageId) -> Option<Instant> {
        lock(&self.messages).get(id)?.first_handed
    }

    /// Messages, those that no application has said to be done with, and times that one was handed over again.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let messages = lock(&self.messages);
        let is_done = |m: &&Message| m.accepted && m.handed > 0 && m.is_told;
        let open = messages.values().filter(|m| !is_done(m));
        let again = messages.values().map(|m| u64::from(m.handed.max(1)) - 1);
        (messages.len() as u64, open.count() as u64, again.sum())
    }
}

/// What stands after the last hyphen of an id.
fn number_of(id: &str) -> u64 {
    let number = id.rsplit('-').next().and_then(|text| text.parse().ok());
    number.unwrap_or_default()
}

/// Something to submit.
pub(super) struct Letter {
    pub(super) number: u64,
    pub(super) to: UnitId,
    pub(super) case: Option<u64>,
    pub(super) lane: &'static str,
    pub(super) bytes: u64,
}

impl Letter {
    pub(super) fn draw(number: u64, to: UnitId, dice: &mut SplitMix64) -> Self {
        let lanes = ["flash", "urgent", "normal", "normal", "bulk"];
        Self {
            number,
            to,
            case: dice.chance(80).then(|| dice.below(4)),
            lane: lanes[dice.below(lanes.len() as u64) as usize],
            bytes: match dice.below(20) {
                0 => 60_000 + dice.below(120_000),
                1..4 => 5_000 + dice.below(20_000),
                _ => 50 + dice.below(2_000),
            },
        }
    }

    fn event(&self, from: &UnitId) -> Bytes {
        // Letters that no compression makes small.
        let mut dice = SplitMix64(self.number ^ self.bytes << 32);
        let text: String = (0..self.bytes)
            .map(|_| char::from(b'0' + dice.below(64) as u8))
            .map(|letter| if letter == '\\' { '~' } else { letter })
            .collect();
        let mut event = json!({
            "specversion": "1.0", "id": format!("{from}-{}", self.number), "source": format!("/unit/{from}"),
            "type": "notice", "to": self.to.as_str(), "priority": self.lane, "data": { "text": text },
        });
        if let Some(case) = self.case {
            event["caseid"] = format!("C{case}").into();
        }
        event.to_string().into()
    }
}

/// Submits until the node has accepted it, as an application does that was not answered. Gives its name.
pub(super) async fn submit(seat: &Seat, ledger: &Ledger, letter: &Letter) -> MessageId {
    let event = letter.event(&seat.settings.unit);
    loop {
        let (life, handle) = seat.handle();
        if let Some(handle) = handle {
            let message = handle.intake().structured(&event).expect("an event");
            let id = message.header.message_id();
            ledger.submits(id, &message.body);
            let answer = timeout(ANSWER_WITHIN, handle.submit(vec![message])).await;
            if matches!(answer, Ok(Ok(()))) && seat.handle().0 == life {
                ledger.accepted(id);
                return id;
            }
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Takes what a node hands over, until all is over.
pub(super) async fn take(seat: &Seat, ledger: &Ledger) {
    while !ledger.is_over.load(Relaxed) {
        let (life, handle) = seat.handle();
        let Some(handle) = handle else {
            sleep(AGAIN_AFTER).await;
            continue;
        };
        let ask = InboxAsk {
            max: 8,
            bytes_max: 1 << 20,
            wait: Duration::from_secs(2),
        };
        let Ok(Ok(handed)) = timeout(ANSWER_WITHIN, handle.inbox(ask)).await else {
            sleep(AGAIN_AFTER).await;
            continue;
        };
        if seat.handle().0 != life {
            continue;
        }
        let mut ids = BTreeSet::new();
        for handed in &handed {
            ledger.handed(handed);
            ids.insert(handed.header.message_id());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        if ids.is_empty() {
            continue;
        }
        ledger.each(&ids, |message| message.is_told = true);
        let acked = timeout(ANSWER_WITHIN, handle.inbox_ack(ids.clone())).await;
        if matches!(acked, Ok(Ok(_))) && seat.handle().0 == life {
            ledger.each(&ids, |message| message.is_taken = true);
        }
    }
}
