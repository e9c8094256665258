//! When what was not taken is tried again.
//!
//! There are two reasons to wait. A message that the application does not take has a time of its own before which it is not tried,
//! and only later messages of its case wait with it. When the application does not answer, or has a fault, nothing is tried for a while, and then a
//! single message, so that an application that has just come back is not run over. Whatever it takes or refuses shows that it is there.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::call::Answer;
use crate::{language::Both, model::MessageId, post::NoAnswer};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The first pause of a message that was refused, which is not expected to pass soon.
const FIRST_REFUSED: Duration = Duration::from_secs(60);
/// Messages that have a time of their own. One beyond that is tried as if for the first time.
const WAITING_MAX: usize = 10_000;
/// A lease that is nearly over is left to end, so that nobody else's is given back.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// What is known of failures. Lost with the process: then everything is tried at once.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    waiting: HashMap<MessageId, Waiting>,
    /// Leases of messages under way.
    leases: HashMap<MessageId, Instant>,
    /// Failures in a row that are the application's, and not a message's.
    failures: u32,
    /// Nothing is tried before.
    paused_until: Option<Instant>,
    /// The last pause began then; what began before it has been counted.
    paused_at: Option<Instant>,
    last: Option<Both>,
}

#[derive(Debug)]
struct Waiting {
    attempts: u32,
    due: Instant,
    /// Until when the message is leased to us.
    leased: Option<Instant>,
}

impl Patience {
    /// No pause is longer than `most`.
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            waiting: HashMap::new(),
            leases: HashMap::new(),
            failures: 0,
            paused_until: None,
            paused_at: None,
            last: None,
        }
    }

    /// How many messages may be leased now, of `free` places.
    pub(super) fn may_take(&self, now: Instant, free: usize, under_way: usize) -> usize {
        match self.paused_until {
            Some(until) if now < until => 0,
            _ if self.failures > 0 => usize::from(under_way == 0),
            _ => free,
        }
    }

    /// When one of the other answers may be another one, if nothing happens.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let pause = self.paused_until.filter(|until| *until > now);
        let due = self.waiting.values().filter(|one| one.leased.is_some());
        due.map(|one| one.due).chain(pause).min()
    }

    /// Whether a message that was leased is to be tried.
    pub(super) fn is_due(&self, message: &MessageId, now: Instant) -> bool {
        self.waiting.get(message).is_none_or(|one| one.due <= now)
    }

    /// A message is leased and is not tried now.
    pub(super) fn leased_until(&mut self, message: &MessageId, until: Instant) {
        if let Some(one) = self.waiting.get_mut(message) {
            one.leased = Some(until);
        }
    }

    /// A message is tried under a lease.
    pub(super) fn begun(&mut self, message: &MessageId, until: Instant) {
        self.leases.insert(*message, until);
        if let Some(one) = self.waiting.get_mut(message) {
            one.leased = None;
        }
    }

    /// The messages whose turn has come and that are leased to us: their leases are to be given back.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<MessageId> {
        let mut due = Vec::new();
        for (message, one) in &mut self.waiting {
            if let Some(until) = one.leased.take_if(|_| one.due <= now)
                && until > now + LEASE_MARGIN
            {
                due.push(*message);
            }
        }
        due
    }

    /// The application has taken a message.
    pub(super) fn taken(&mut self, message: &MessageId) {
        self.leases.remove(message);
        self.waiting.remove(message);
        self.is_there();
        if self.waiting.is_empty() {
            self.last = None;
        }
    }

    /// A message that was tried at `began` was not taken.
    pub(super) fn failed(
        &mut self,
        message: MessageId,
        began: Instant,
        now: Instant,
        answer: &Answer,
    ) {
        self.last = Some(answer.told());
        let leased = self.leases.remove(&message);
        let (first, wished, is_there) = match answer {
            // Not the message's fault: the next one to be tried may well be this one.
            Answer::Silent(NoAnswer::Unreachable(_)) => (Duration::ZERO, None, false),
            Answer::Silent(NoAnswer::Late(_)) => (FIRST, None, false),
            Answer::NotNow { after, .. } => (FIRST, *after, false),
            Answer::NotAcked(_) => (FIRST, None, true),
            Answer::Refused(_) | Answer::NoEvent | Answer::Taken => (FIRST_REFUSED, None, true),
        };
        if is_there {
            self.is_there();
        } else if self.paused_at.is_none_or(|paused| began > paused) {
            let pause = doubled(FIRST, self.failures, self.most);
            self.failures = self.failures.saturating_add(1);
            self.paused_at = Some(now);
            self.paused_until = Some(now + pause);
        }
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&message) {
            let next = self.waiting.iter().min_by_key(|(_, one)| one.due);
            if let Some(forgotten) = next.map(|(message, _)| *message) {
                self.waiting.remove(&forgotten);
            }
        }
        let one = self.waiting.entry(message).or_insert(Waiting {
            attempts: 0,
            due: now,
            leased: None,
        });
        let pause = doubled(first, one.attempts, self.most);
        one.due = now + pause.max(wished.unwrap_or_default()).min(self.most);
        one.attempts = one.attempts.saturating_add(u32::from(!first.is_zero()));
        one.leased = leased;
    }

    fn is_there(&mut self) {
        self.failures = 0;
        self.paused_until = None;
    }

    /// Messages that wait for their time.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().filter(|one| one.attempts > 0).count()
    }

    /// What went wrong last, unless all is well, and how many messages wait for their time.
    pub(super) fn trouble(&self) -> Option<(&Both, usize)> {
        let waiting = self.waiting();
        let last = self.last.as_ref()?;
        (self.failures > 0 || waiting > 0).then_some((last, waiting))
    }
}

/// `first`, doubled so many times.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first
        .saturating_mul(1u32.checked_shl(times.min(20)).unwrap_or(u32::MAX))
        .min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(600);

    fn message(n: u8) -> MessageId {
        MessageId([n; 16])
    }

    fn unreachable() -> Answer {
        Answer::Silent(NoAnswer::Unreachable("connection refused".into()))
    }

    #[test]
    fn an_application_that_is_away_is_asked_with_one_message_after_growing_pauses() {
        let mut now = Instant::now();
        let mut patience = Patience::new(MOST);
        assert_eq!(patience.may_take(now, 4, 0), 4);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            // Several that were under way fail at once, and count once.
            for n in 0..3 {
                // Longer than any pause, so that it has to be given back.
                patience.begun(&message(n), now + 3600 * S);
            }
            for n in 0..3 {
                patience.failed(message(n), now, now, &unreachable());
            }
            assert_eq!(patience.may_take(now, 4, 0), 0);
            let next = patience.paused_until.expect("a pause");
            pauses.push((next - now).as_secs());
            now = next;
            assert_eq!(patience.take_due(now).len(), 3, "their leases go back");
            assert_eq!(patience.may_take(now, 4, 0), 1);
            assert_eq!(patience.may_take(now, 3, 1), 0, "one at a time");
            assert!(patience.is_due(&message(1), now));
        }
        assert_eq!(pauses[..4], [1, 2, 4, 8]);
        assert_eq!(pauses[11], 600);
        assert_eq!(patience.waiting(), 0, "none of them is to blame");
        assert!(patience.trouble().is_some());
        patience.taken(&message(0));
        assert_eq!(patience.may_take(now, 4, 0), 4);
        for n in 1..3 {
            patience.taken(&message(n));
        }
        assert_eq!(patience.trouble(), None);
    }

    #[test]
    fn a_message_that_is_refused_waits_long_and_keeps_no_other_from_going() {
        let start = Instant::now();
        let mut patience = Patience::new(MOST);
        let bad = message(1);
        patience.begun(&bad, start + 60 * S);
        patience.failed(bad, start, start, &Answer::Refused(422));
        assert_eq!(patience.may_take(start, 4, 0), 4);
        assert!(!patience.is_due(&bad, start + 59 * S));
        assert!(patience.is_due(&message(2), start));
        // Its lease ended before its time came: it was handed over again and is leased anew.
        patience.leased_until(&bad, start + 120 * S);
        assert_eq!(patience.take_due(start + 59 * S), []);
        assert_eq!(patience.next_change(start), Some(start + 60 * S));
        assert_eq!(patience.take_due(start + 60 * S), [bad]);
        assert_eq!(patience.next_change(start), None);

        let later = start + 60 * S;
        patience.begun(&bad, later + 60 * S);
        patience.failed(bad, later, later, &Answer::Refused(422));
        assert!(!patience.is_due(&bad, later + 119 * S));
        assert!(patience.is_due(&bad, later + 120 * S));
        assert_eq!(patience.trouble().map(|(_, waiting)| waiting), Some(1));
        patience.taken(&bad);
        assert_eq!(patience.trouble(), None);
    }

    #[test]
    fn a_wish_for_patience_is_heard_within_the_bound() {
        let now = Instant::now();
        let mut patience = Patience::new(MOST);
        let wished = |seconds| Answer::NotNow {
            status: 503,
            after: Some(Duration::from_secs(seconds)),
        };
        patience.failed(message(1), now, now, &wished(30));
        assert!(!patience.is_due(&message(1), now + 29 * S));
        assert!(patience.is_due(&message(1), now + 30 * S));
        patience.failed(message(2), now, now, &wished(1_000_000));
        assert!(patience.is_due(&message(2), now + MOST));
    }

    #[test]
    fn what_waits_is_bounded() {
        let now = Instant::now();
        let mut patience = Patience::new(MOST);
        for n in 0..WAITING_MAX as u128 + 10 {
            let message = MessageId(n.to_le_bytes());
            patience.failed(message, now, now, &Answer::Refused(400));
        }
        assert_eq!(patience.waiting(), WAITING_MAX);
    }
}
