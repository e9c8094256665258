//! The share of the line that normal and bulk batches have when urgent ones never end.
//!
//! Urgent batches pass all others, and QUIC sends nothing of a lower stream as long as there is anything of a higher one. When
//! they have left the others nothing for a while, the next ones wait until one of the others has been carried, or for a moment. Flash
//! waits for nobody.

use std::time::Duration;

use tokio::time::Instant;

/// How long the others bear it that nothing of them is carried while urgent batches go without a pause.
const STARVED_AFTER: Duration = Duration::from_secs(5);
/// How long urgent batches wait for them at most: twice what a chunk takes at 256 kbit/s.
const YIELD_MAX: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(super) struct Share {
    /// Since when urgent batches have gone without a pause while others were to go and nothing of them was carried.
    since: Option<Instant>,
    /// Until when urgent batches wait.
    until: Option<Instant>,
}

impl Share {
    /// Looks at who is under way, and says until when urgent batches wait, if they do.
    pub(super) fn look(&mut self, now: Instant, express: bool, bulk: bool) -> Option<Instant> {
        if self.until.is_some_and(|until| until <= now || !bulk) {
            *self = Self::default();
        }
        match self.since {
            _ if self.until.is_some() => {}
            _ if !(express && bulk) => self.since = None,
            None => self.since = Some(now),
            Some(since) if now >= since + STARVED_AFTER => self.until = Some(now + YIELD_MAX),
            Some(_) => {}
        }
        self.until
    }

    /// Something of the others was carried.
    pub(super) fn carried(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_batches_wait_when_they_have_left_nothing_for_long_and_until_something_else_is_carried()
     {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let mut share = Share::default();
        assert_eq!(share.look(at(0), true, true), None);
        assert_eq!(share.look(at(4), true, true), None);
        // A pause in which the others can go.
        assert_eq!(share.look(at(5), false, true), None);
        assert_eq!(share.look(at(6), true, true), None);
        assert_eq!(share.look(at(10), true, true), None);
        let until = share.look(at(11), true, true);
        assert_eq!(until, Some(at(11) + YIELD_MAX));
        assert_eq!(share.look(at(12), false, true), until, "they still wait");
        share.carried();
        assert_eq!(share.look(at(13), true, true), None);
        assert_eq!(share.look(at(18), true, true), Some(at(18) + YIELD_MAX));
        // The others do not come through, or there are none any more.
        assert_eq!(share.look(at(22), true, true), None);
        assert_eq!(share.look(at(27), true, true), Some(at(27) + YIELD_MAX));
        assert_eq!(share.look(at(28), true, false), None);
    }
}
