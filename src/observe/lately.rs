//! How fast a link was lately, from what its session has counted at one look after another.

use std::collections::VecDeque;

/// What a session has counted since it began, or between two looks; bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Sent on the wire.
    pub sent: u64,
    /// Received from the wire.
    pub received: u64,
    /// Sent of parcels, before compression.
    pub payload_sent: u64,
}

/// Bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// Sent on the wire.
    pub sent: u64,
    /// Received from the wire.
    pub received: u64,
    /// Sent of parcels, before compression.
    pub payload_sent: u64,
}

/// What passed between the last looks at a link, at most `LOOKS` of them. `S` says which session it is: a new one counts from nothing.
#[derive(Debug)]
pub struct Lately<S, const LOOKS: usize> {
    session: S,
    counted: Passed,
    passed: VecDeque<(f64, Passed)>,
}

impl<S: PartialEq, const LOOKS: usize> Lately<S, LOOKS> {
    /// What is known after another look, `seconds` after the one `before`. What a session had counted when it was first seen is not of
    /// that moment.
    pub fn after(before: Option<Self>, session: S, counted: Passed, seconds: f64) -> Self {
        let mut passed = VecDeque::new();
        if let Some(before) = before.filter(|before| before.session == session)
            && let Some(new) = counted.checked_sub(before.counted)
        {
            passed = before.passed;
            if passed.len() == LOOKS {
                passed.pop_front();
            }
            passed.push_back((seconds, new));
        }
        Self {
            session,
            counted,
            passed,
        }
    }

    /// What passed between the last two looks.
    pub fn last(&self) -> Passed {
        self.passed
            .back()
            .map_or(Passed::default(), |(_, last)| *last)
    }

    /// How fast it was, over all the looks that are kept.
    pub fn speed(&self) -> Speed {
        let looks = || self.passed.iter();
        let seconds = looks().map(|(seconds, _)| seconds).sum();
        let rate = |of: fn(&Passed) -> u64| {
            bits_per_second(looks().map(|(_, passed)| of(passed)).sum(), seconds)
        };
        Speed {
            sent: rate(|passed| passed.sent),
            received: rate(|passed| passed.received),
            payload_sent: rate(|passed| passed.payload_sent),
        }
    }

    /// How many looks it is about.
    pub fn looks(&self) -> usize {
        self.passed.len()
    }
}

impl Passed {
    fn checked_sub(self, before: Self) -> Option<Self> {
        Some(Self {
            sent: self.sent.checked_sub(before.sent)?,
            received: self.received.checked_sub(before.received)?,
            payload_sent: self.payload_sent.checked_sub(before.payload_sent)?,
        })
    }
}

/// Bits a second, when so many bytes passed in so many seconds.
pub fn bits_per_second(bytes: u64, seconds: f64) -> u64 {
    match seconds > 0.0 {
        true => (bytes as f64 * 8.0 / seconds).round() as u64,
        false => 0,
    }
}
