//! From the owner, which never waits, to the task that exports.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::sampler::Sampler;
use crate::{
    delivery::Event,
    model::{Lsn, Millis},
    observe::Metrics,
};

/// What the owner tells.
#[derive(Debug)]
pub(super) enum Told {
    /// Something happened to a message that is followed.
    Event {
        /// The last record before it: when that is on stable storage, the event has happened.
        lsn: Lsn,
        /// Everything up to this record was on stable storage by then.
        synced: Lsn,
        /// What.
        event: Event,
    },
    /// Everything up to this record is on stable storage.
    Synced {
        /// The record.
        lsn: Lsn,
        /// Since when, by the node's clock.
        at: Millis,
    },
}

/// Takes events of messages that are followed. What finds no room is counted and gone; nothing waits.
#[derive(Debug)]
pub struct Feed {
    sampler: Sampler,
    queue: mpsc::Sender<Told>,
    metrics: Arc<Metrics>,
    synced: Lsn,
    /// The last record before the last event that was told.
    told: Lsn,
    /// A [`Told::Synced`] found no room.
    is_owed: bool,
}

impl Feed {
    pub(super) fn new(sampler: Sampler, queue: mpsc::Sender<Told>, metrics: Arc<Metrics>) -> Self {
        Self {
            sampler,
            queue,
            metrics,
            synced: 0,
            told: 0,
            is_owed: false,
        }
    }

    /// Takes an event; `lsn` is the last record that the machine had appended when it told it.
    pub fn take(&mut self, lsn: Lsn, event: &Event) {
        let (Event::Message { message, .. } | Event::Concluded { message, .. }) = event else {
            return;
        };
        if !self.sampler.takes(message) {
            return;
        }
        let told = Told::Event {
            lsn,
            synced: self.synced,
            event: event.clone(),
        };
        match self.queue.try_send(told) {
            Ok(()) => self.told = lsn,
            Err(_) => {
                self.metrics.traces().dropped.inc();
            }
        }
    }

    /// Everything up to this record is on stable storage; `now` is asked when that has to be told.
    pub fn synced(&mut self, lsn: Lsn, now: impl FnOnce() -> Millis) {
        if lsn <= self.synced {
            return;
        }
        // A write that was under way covers some of what was told, and not the rest.
        let is_awaited = self.told > self.synced;
        self.synced = lsn;
        if is_awaited || self.is_owed {
            let told = Told::Synced { lsn, at: now() };
            self.is_owed = self.queue.try_send(told).is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Share, delivery::Step, model::MessageId};

    fn event(at: Millis) -> Event {
        Event::Message {
            message: MessageId([1; 16]),
            at,
            what: Step::Delivered,
        }
    }

    /// A feed of all messages, and what it told, in short.
    fn feed(room: usize) -> (Feed, impl FnMut() -> Vec<String>) {
        let sampler = Sampler::default();
        sampler.set(Some(Share::ALL));
        let (sender, mut queue) = mpsc::channel(room);
        let feed = Feed::new(sampler, sender, Arc::new(Metrics::new(8)));
        let told = move || {
            let told = std::iter::from_fn(|| queue.try_recv().ok());
            let short = told.map(|told| match told {
                Told::Event { lsn, synced, .. } => format!("event {lsn} of {synced}"),
                Told::Synced { lsn, at } => format!("synced {lsn} at {at}"),
            });
            short.collect()
        };
        (feed, told)
    }

    #[test]
    fn every_write_is_told_until_all_that_was_told_is_durable_and_none_after_that() {
        let (mut feed, mut told) = feed(16);
        feed.synced(3, || 30);
        feed.take(4, &event(1));
        feed.take(6, &event(2));
        // A write that began before the last of it.
        feed.synced(5, || 50);
        feed.synced(5, || 51);
        feed.synced(6, || 60);
        feed.synced(7, || 70);
        feed.take(7, &event(3));
        feed.synced(8, || 80);
        let expected = [
            "event 4 of 3",
            "event 6 of 3",
            "synced 5 at 50",
            "synced 6 at 60",
            "event 7 of 7",
        ];
        assert_eq!(told(), expected);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_that_it_is_durable_is_told_later() {
        let (mut feed, mut told) = feed(1);
        feed.take(1, &event(1));
        feed.take(2, &event(2));
        feed.synced(2, || 20);
        assert_eq!(feed.metrics.traces().dropped.get(), 1);
        assert_eq!(told(), ["event 1 of 0"]);
        feed.synced(3, || 30);
        assert_eq!(told(), ["synced 3 at 30"]);
    }

    #[test]
    fn nothing_is_told_while_nobody_follows() {
        let (mut feed, mut told) = feed(16);
        feed.sampler.set(None);
        feed.take(1, &event(1));
        feed.synced(1, || panic!("nobody asks for the time"));
        assert_eq!(told(), [] as [&str; 0]);
    }
}
