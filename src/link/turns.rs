//! Who of those that wait for the same room goes first.
//!
//! Quinn wakes writers in an order of its own when there is room in its send buffer, and whoever happens to be first takes it: a
//! large batch of bulk that is half written can keep a small one of a better lane out until it is done. Here everybody who waits
//! has a rank, and nobody tries before all of a higher rank have tried since it tried last. One that has tried and is still waiting
//! stops nobody: what it waits for may be something else, such as the peer's leave for its own stream. Nor does it wake anybody but those who
//! asked for it to try: writers that only woke each other would never come to rest while there is no room.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Tries so far.
    tries: u64,
    waiting: Vec<Waiting>,
}

struct Waiting {
    id: u64,
    rank: i32,
    waker: Waker,
    /// Which of all tries was its last.
    last: u64,
    /// Whether it waits for others to try before it.
    asks: bool,
}

/// A place among those that wait, given up when dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: u64,
    rank: i32,
    /// Which of all tries was its last, or was made last before it came.
    last: AtomicU64,
}

impl Turns {
    /// A place of this rank; the highest goes first.
    pub(super) fn turn(&self, rank: i32) -> Turn<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.next += 1;
        Turn {
            turns: self,
            id: state.next,
            rank,
            last: AtomicU64::new(state.tries),
        }
    }
}

impl Turn<'_> {
    /// Tries, unless somebody of a higher rank has to try first. One try is at a time.
    pub(super) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        attempt: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut state = self
            .turns
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting.retain(|waiting| waiting.id != self.id);
        let mut last = self.last.load(Relaxed);
        let mut is_first = true;
        for ahead in &state.waiting {
            if ahead.rank > self.rank && ahead.last <= last {
                is_first = false;
                ahead.waker.wake_by_ref();
            }
        }
        let mut tried = Poll::Pending;
        if is_first {
            tried = attempt(context);
            state.tries += 1;
            last = state.tries;
            self.last.store(last, Relaxed);
            for other in &mut state.waiting {
                if other.rank < self.rank && std::mem::take(&mut other.asks) {
                    other.waker.wake_by_ref();
                }
            }
        }
        if tried.is_pending() {
            state.waiting.push(Waiting {
                id: self.id,
                rank: self.rank,
                waker: context.waker().clone(),
                last,
                asks: !is_first,
            });
        }
        tried
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self
            .turns
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = state.waiting.len();
        state.waiting.retain(|waiting| waiting.id != self.id);
        if state.waiting.len() != before {
            // Somebody may have waited for this one to try.
            for other in &state.waiting {
                other.waker.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(turn: &Turn<'_>, room: &mut u32) -> Poll<()> {
        turn.poll(&mut Context::from_waker(Waker::noop()), |_| {
            match room.checked_sub(1) {
                Some(left) => {
                    *room = left;
                    Poll::Ready(())
                }
                None => Poll::Pending,
            }
        })
    }

    #[test]
    fn of_two_that_wait_the_one_of_a_higher_rank_tries_first() {
        let turns = Turns::default();
        let (low, high) = (turns.turn(0), turns.turn(1));
        let mut room = 0;
        assert!(poll(&low, &mut room).is_pending());
        assert!(poll(&high, &mut room).is_pending());
        // The low one is woken first, tries, and may: the high one has tried since.
        room = 1;
        assert!(poll(&low, &mut room).is_ready());
        // From now on the high one has to try before.
        room = 1;
        assert!(poll(&low, &mut room).is_pending());
        assert_eq!(room, 1);
        assert!(poll(&high, &mut room).is_ready());
        assert!(poll(&low, &mut room).is_pending());
        room = 1;
        assert!(poll(&low, &mut room).is_ready());
    }

    #[test]
    fn one_that_waits_for_something_else_stops_nobody() {
        let turns = Turns::default();
        let (low, high) = (turns.turn(0), turns.turn(1));
        for _ in 0..3 {
            let mut nothing = 0;
            assert!(poll(&high, &mut nothing).is_pending());
            let mut room = 1;
            assert!(poll(&low, &mut room).is_ready());
        }
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicU64);

    impl std::task::Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// It was found with whole nodes on a paused clock: a core was busy for as long as three batches waited for a line that was out.
    #[test]
    fn many_that_wait_for_room_come_to_rest() {
        const MANY: usize = 17;
        let turns = Turns::default();
        let waits: Vec<_> = (0..MANY).map(|rank| turns.turn(rank as i32)).collect();
        let woken: Vec<_> = (0..MANY)
            .map(|_| std::sync::Arc::new(Woken::default()))
            .collect();
        let wakers: Vec<Waker> = woken.iter().cloned().map(Waker::from).collect();
        let mut tries = vec![0; MANY];
        // All begin, and later the system wakes each, the lowest first.
        for first in std::iter::once(None).chain((0..MANY).map(Some)) {
            for (n, woken) in woken.iter().enumerate() {
                woken
                    .0
                    .store(u64::from(first.is_none_or(|first| first == n)), Relaxed);
            }
            let mut polls = 0;
            while let Some(n) = (0..MANY).find(|n| woken[*n].0.swap(0, Relaxed) > 0) {
                polls += 1;
                assert!(polls <= MANY * MANY, "they wake each other for ever");
                let polled = waits[n].poll(&mut Context::from_waker(&wakers[n]), |_| {
                    tries[n] += 1;
                    Poll::<()>::Pending
                });
                assert!(polled.is_pending());
            }
        }
        assert!(tries.iter().all(|tries| *tries > 0), "{tries:?}");
    }

    #[test]
    fn one_that_gives_up_stops_nobody() {
        let turns = Turns::default();
        let (low, high) = (turns.turn(0), turns.turn(1));
        let mut room = 0;
        assert!(poll(&high, &mut room).is_pending());
        assert!(poll(&low, &mut room).is_pending());
        drop(high);
        room = 1;
        assert!(poll(&low, &mut room).is_ready());
    }
}
