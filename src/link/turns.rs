//! Who of those that wait for the same room goes first.
//!
//! Quinn wakes writers in an order of its own when there is room in its send buffer, and whoever happens to be first takes it: a
//! large batch of bulk that is half written can keep a small one of a better lane out until it is done. Here everybody who waits
//! has a rank, and nobody tries before all of a higher rank have tried. One that has tried and is still waiting stops nobody: what
//! it waits for may be something else, such as the peer's leave for its own stream.

use std::{
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: Vec<Waiting>,
}

struct Waiting {
    id: u64,
    rank: i32,
    waker: Waker,
    /// Whether it has tried since anybody of a lower rank did.
    tried: bool,
}

/// A place among those that wait, given up when dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: u64,
    rank: i32,
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
        let mut is_first = true;
        for ahead in &state.waiting {
            if ahead.rank > self.rank && !ahead.tried {
                is_first = false;
                ahead.waker.wake_by_ref();
            }
        }
        let tried = match is_first {
            true => attempt(context),
            false => Poll::Pending,
        };
        for other in &mut state.waiting {
            if is_first && other.rank > self.rank {
                other.tried = false;
            } else if is_first && other.rank < self.rank {
                other.waker.wake_by_ref();
            }
        }
        if tried.is_pending() {
            state.waiting.push(Waiting {
                id: self.id,
                rank: self.rank,
                waker: context.waker().clone(),
                tried: is_first,
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
