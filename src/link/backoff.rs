//! When to dial again.

use crate::model::Millis;

/// The delay before the next dial: 100 ms after the first failure, twice as long after each one more, 5 s at most, spread by a
/// random quarter so that the units of a restarted hub do not come back in step. Pure: time and random bits are passed in.
#[derive(Clone, Debug)]
pub struct Backoff {
    delay: Millis,
    due: Millis,
}

impl Backoff {
    /// Delay after the first failure, milliseconds.
    pub const FIRST_MS: Millis = 100;
    /// Longest delay, milliseconds.
    pub const LONGEST_MS: Millis = 5_000;

    /// Due at once.
    pub fn new() -> Self {
        Self {
            delay: Self::FIRST_MS,
            due: 0,
        }
    }

    /// When to dial, on the clock that is passed in.
    pub fn due(&self) -> Millis {
        self.due
    }

    /// A dial failed, or a session ended before it was of use. `random` is any random number.
    pub fn failed(&mut self, now: Millis, random: u64) {
        let spread = self.delay / 4;
        self.due = now + self.delay - spread + random % (2 * spread + 1);
        self.delay = (self.delay * 2).min(Self::LONGEST_MS);
    }

    /// A session was of use: the peer said hello. (A dial that succeeds is not enough: the hub may still refuse the certificate.)
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// A sign of life, such as another link's session or the interface coming up: dial now, and quickly again should it fail.
    pub fn wake(&mut self, now: Millis) {
        self.due = self.due.min(now);
        self.delay = Self::FIRST_MS;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_from_100_ms_to_5_s_and_stays_there() {
        let mut backoff = Backoff::new();
        let delays: Vec<Millis> = (0..8)
            .map(|_| {
                // 25 of 50, 50 of 100, ...: the middle of the spread.
                let middle = backoff.delay / 4;
                backoff.failed(1_000, middle);
                backoff.due() - 1_000
            })
            .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn the_spread_is_a_quarter_either_way() {
        for random in 0..1_000 {
            let mut backoff = Backoff::new();
            backoff.failed(0, random);
            assert!((75..=125).contains(&backoff.due()));
        }
    }

    #[test]
    fn a_sign_of_life_cuts_the_wait_short_and_a_use_forgets_the_failures() {
        let mut backoff = Backoff::new();
        for _ in 0..10 {
            backoff.failed(0, 0);
        }
        backoff.wake(7);
        assert_eq!(backoff.due(), 7);
        backoff.failed(7, 25);
        assert_eq!(backoff.due(), 107);
        backoff.succeeded();
        assert_eq!(backoff.due(), 0);
    }
}
