//! Which session something goes over, when a neighbour has several.
//!
//! Every session has an estimated arrival: `(under way + size) / rate + round trip`. For what can wait (normal, bulk) the link's cost is
//! added: how much later it may rather arrive over a cheaper link. The least sum is the best session. If it can take nothing just now,
//! another one takes it only when it arrives there before the best could have carried all that waits. So a backlog is spread over
//! all links by what they carry, one small message never goes the long way round, and the last of a backlog is not what everybody waits for.

use crate::delivery::{SessionId, input::Path};
use crate::model::Millis;

/// What a session has to show when something is to go.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct Candidate {
    pub(in crate::delivery) session: SessionId,
    pub(in crate::delivery) path: Path,
    /// Bytes that it was given and that are not acked.
    pub(in crate::delivery) under_way: u64,
    /// How much later something may rather arrive over another link.
    pub(in crate::delivery) cost_ms: Millis,
    /// How much it is to be relied on.
    pub(in crate::delivery) trust: Trust,
    /// Whether it takes something now.
    pub(in crate::delivery) has_room: bool,
}

/// How much a session is to be relied on. As long as there is a better one, a worse one gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// It answers, and has done so for some time.
    Sound,
    /// It answers again, or is new beside another one.
    Proving,
    /// What was sent over it is not answered.
    Silent,
}

impl Trust {
    /// In one word, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Trust::Sound => "sound",
            Trust::Proving => "proving",
            Trust::Silent => "silent",
        }
    }
}

/// What is to go.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct Cargo {
    /// What is to go now, bytes.
    pub(in crate::delivery) size: u64,
    /// All that waits like it, bytes, itself included.
    pub(in crate::delivery) waiting: u64,
    /// Whether it can wait: normal and bulk, not flash and urgent.
    pub(in crate::delivery) can_wait: bool,
}

impl Candidate {
    /// In how many milliseconds `bytes` more would have arrived over it, and what that costs.
    fn arrival(&self, bytes: u64, can_wait: bool) -> Millis {
        let ahead = self.under_way.saturating_add(bytes);
        let sending = ahead.saturating_mul(1000) / self.path.rate.max(1);
        let cost = if can_wait { self.cost_ms } else { 0 };
        sending
            .saturating_add(u64::from(self.path.rtt_ms))
            .saturating_add(cost)
    }
}

/// The session that takes the cargo now; none when it is to wait. Of equals the first.
pub(in crate::delivery) fn choose(candidates: &[Candidate], cargo: Cargo) -> Option<SessionId> {
    let trust = candidates.iter().map(|c| c.trust).min()?;
    let trusted = || candidates.iter().filter(|c| c.trust == trust);
    let arrival = |c: &&Candidate| c.arrival(cargo.size, cargo.can_wait);
    let best = trusted().min_by_key(arrival)?;
    if best.has_room {
        return Some(best.session);
    }
    let all = best.arrival(cargo.waiting.max(cargo.size), cargo.can_wait);
    trusted()
        .filter(|c| c.has_room && arrival(c) < all)
        .min_by_key(arrival)
        .map(|c| c.session)
}

/// The session for a copy of what has gone over `first`: another link's, which answers and takes it at once.
pub(in crate::delivery) fn second(
    candidates: &[Candidate],
    first: SessionId,
    size: u64,
) -> Option<SessionId> {
    candidates
        .iter()
        .filter(|c| c.session != first && c.has_room && c.trust < Trust::Silent)
        .min_by_key(|c| (c.trust, c.arrival(size, false)))
        .map(|c| c.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1_000;
    const MB: u64 = 1_000_000;

    /// 10 Mbit/s and 20 ms.
    const EXCLUSIVE: Candidate = Candidate {
        session: 1,
        path: Path {
            rate: 1_250 * KB,
            rtt_ms: 20,
            answers: true,
        },
        under_way: 0,
        cost_ms: 0,
        trust: Trust::Sound,
        has_room: true,
    };

    /// 1 Mbit/s and 100 ms, paid for.
    const MOBILE: Candidate = Candidate {
        session: 2,
        path: Path {
            rate: 125 * KB,
            rtt_ms: 100,
            answers: true,
        },
        cost_ms: 2_000,
        ..EXCLUSIVE
    };

    fn full(candidate: Candidate, under_way: u64) -> Candidate {
        Candidate {
            under_way,
            has_room: false,
            ..candidate
        }
    }

    fn normal(size: u64, waiting: u64) -> Cargo {
        Cargo {
            size,
            waiting,
            can_wait: true,
        }
    }

    fn urgent(size: u64) -> Cargo {
        Cargo {
            size,
            waiting: size,
            can_wait: false,
        }
    }

    #[test]
    fn a_message_goes_where_it_arrives_first() {
        let links = [MOBILE, EXCLUSIVE];
        assert_eq!(choose(&links, urgent(KB)), Some(1));
        assert_eq!(choose(&links, normal(KB, KB)), Some(1));
        // 200 ms of the exclusive link are under way.
        let busy = Candidate {
            under_way: 250 * KB,
            ..EXCLUSIVE
        };
        assert_eq!(choose(&[MOBILE, busy], urgent(KB)), Some(2));
        assert_eq!(choose(&[], urgent(KB)), None);
    }

    #[test]
    fn what_can_wait_takes_the_dearer_link_only_when_it_arrives_that_much_earlier() {
        let busy = |seconds: u64| Candidate {
            under_way: seconds * 1_250 * KB,
            ..EXCLUSIVE
        };
        assert_eq!(choose(&[MOBILE, busy(2)], normal(KB, KB)), Some(1));
        assert_eq!(choose(&[MOBILE, busy(3)], normal(KB, KB)), Some(2));
        assert_eq!(choose(&[MOBILE, busy(2)], urgent(KB)), Some(2));
    }

    #[test]
    fn a_backlog_is_shared_and_its_end_is_not_held_up() {
        let links = [full(EXCLUSIVE, 40 * KB), MOBILE];
        // The exclusive link alone would take 16 s.
        assert_eq!(choose(&links, normal(64 * KB, 20 * MB)), Some(2));
        // What is left goes over it in 0.8 s; over the other the next batch alone takes 0.6 s, and costs 2.
        assert_eq!(choose(&links, normal(64 * KB, MB)), None);
        // Where neither costs anything, it would still arrive later than all over the first.
        let free = Candidate {
            cost_ms: 0,
            ..MOBILE
        };
        let links = [full(EXCLUSIVE, 40 * KB), free];
        assert_eq!(choose(&links, normal(64 * KB, 64 * KB)), None);
        assert_eq!(choose(&links, normal(64 * KB, MB)), Some(2));
    }

    #[test]
    fn nothing_goes_where_there_is_no_room() {
        let links = [full(EXCLUSIVE, 40 * KB), full(MOBILE, 10 * KB)];
        assert_eq!(choose(&links, normal(KB, 20 * MB)), None);
        assert_eq!(choose(&links, urgent(KB)), None);
    }

    #[test]
    fn a_link_that_is_silent_or_has_to_prove_itself_gets_nothing_while_there_is_a_better_one() {
        let silent = Candidate {
            trust: Trust::Silent,
            ..EXCLUSIVE
        };
        let proving = Candidate {
            trust: Trust::Proving,
            ..EXCLUSIVE
        };
        let much = normal(64 * KB, 20 * MB);
        assert_eq!(choose(&[silent, MOBILE], much), Some(2));
        assert_eq!(choose(&[proving, full(MOBILE, 10 * KB)], much), None);
        let worse = Candidate {
            trust: Trust::Silent,
            ..MOBILE
        };
        assert_eq!(choose(&[worse, proving], much), Some(1));
        assert_eq!(choose(&[worse, silent], urgent(KB)), Some(1));
    }

    #[test]
    fn a_copy_goes_over_another_link_that_answers() {
        assert_eq!(second(&[EXCLUSIVE, MOBILE], 1, KB), Some(2));
        assert_eq!(second(&[EXCLUSIVE, MOBILE], 2, KB), Some(1));
        assert_eq!(second(&[EXCLUSIVE], 1, KB), None);
        let silent = Candidate {
            trust: Trust::Silent,
            ..MOBILE
        };
        assert_eq!(second(&[EXCLUSIVE, silent], 1, KB), None);
        assert_eq!(second(&[EXCLUSIVE, full(MOBILE, 0)], 1, KB), None);
    }

    #[test]
    fn a_path_that_was_never_measured_overflows_nothing() {
        let strange = Candidate {
            path: Path {
                rate: 0,
                rtt_ms: u32::MAX,
                answers: true,
            },
            under_way: u64::MAX,
            cost_ms: u64::MAX,
            ..EXCLUSIVE
        };
        assert_eq!(
            choose(&[strange, MOBILE], normal(u64::MAX, u64::MAX)),
            Some(2)
        );
        assert_eq!(choose(&[strange, MOBILE], normal(KB, KB)), Some(2));
    }
}
