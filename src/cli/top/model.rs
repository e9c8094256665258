//! What follows from looks at a node, one after another: how fast links are, and when queues will be empty.

use std::{cmp::Reverse, collections::HashMap};

use super::node::{Link, Look, Status, Unit};
use crate::observe::{Lately, Passed, Speed};

/// Rates are those of so many looks, about ten seconds.
const RATE_LOOKS_MAX: usize = 10;
/// What a message takes on the wire at least of what it is, for a link that has not told.
const RATIO_MIN: f64 = 0.05;
/// Lanes that can be paused.
const LANES: usize = 4;

/// Looks that have been taken in.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Which session it is, is told by when it began.
    links: HashMap<(String, String), Lately<Option<jiff::Timestamp>, RATE_LOOKS_MAX>>,
}

/// What is drawn of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) status: Status,
    pub(super) links: Vec<Flowing>,
    /// The longest first.
    pub(super) queues: Vec<Queue>,
    pub(super) units: usize,
    pub(super) connected: usize,
}

/// A link, and how fast it was lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Flowing {
    pub(super) link: Link,
    /// Bits a second on the wire.
    pub(super) sent_bps: f64,
    pub(super) received_bps: f64,
}

/// What waits for a neighbour.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) unit: Unit,
    pub(super) empty: Empty,
}

/// When a queue will be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// At the rate at which it has gone lately, or else could go, after so many seconds.
    After(u64),
    /// No link is up.
    NoLink,
    /// An operator has stopped every lane.
    Paused,
    /// Nothing of it may go, whatever link there is: it is held, its receiver is full, or it comes after one that waits.
    Waits,
    /// Nobody can say.
    Unknown,
}

impl Model {
    /// Takes in a look, `seconds` after the one before.
    pub(super) fn take(&mut self, look: Look, seconds: f64) -> Picture {
        let Look {
            status,
            links,
            units,
        } = look;
        let mut now = HashMap::with_capacity(links.len());
        let mut drains = HashMap::<_, Drain>::new();
        let mut flowing = Vec::with_capacity(links.len());
        for link in links {
            let path = (link.neighbour.clone(), link.link.clone());
            let before = self.links.remove(&path);
            let mut speed = Speed::default();
            if link.up {
                let counted = Passed {
                    sent: link.bytes_sent,
                    received: link.bytes_received,
                    payload_sent: link.payload_sent,
                };
                let lately = Lately::after(before, link.since, counted, seconds);
                speed = lately.speed();
                now.insert(path, lately);
                let drain = drains.entry(link.neighbour.clone()).or_default();
                drain.lately += speed.payload_sent as f64 / 8.0;
                let bytes = link.rate_bps.unwrap_or_default() as f64 / 8.0;
                drain.could += bytes / link.ratio_sent.unwrap_or(1.0).max(RATIO_MIN);
            }
            flowing.push(Flowing {
                sent_bps: speed.sent as f64,
                received_bps: speed.received as f64,
                link,
            });
        }
        self.links = now;
        let connected = units.iter().filter(|unit| unit.connected).count();
        let all = units.len();
        let waiting = units.into_iter().filter(|unit| unit.mailbox.messages > 0);
        let mut queues: Vec<_> = waiting
            .map(|unit| Queue {
                empty: Empty::of(&unit, drains.get(&unit.unit)),
                unit,
            })
            .collect();
        queues.sort_by(|a, b| {
            let order = |queue: &Queue| Reverse(queue.unit.mailbox.messages);
            (order(a), &a.unit.unit).cmp(&(order(b), &b.unit.unit))
        });
        Picture {
            status,
            links: flowing,
            queues,
            units: all,
            connected,
        }
    }
}

/// Bytes of parcels a second that go to a neighbour.
#[derive(Clone, Copy, Debug, Default)]
struct Drain {
    lately: f64,
    /// What its links could carry.
    could: f64,
}

impl Empty {
    fn of(unit: &Unit, drain: Option<&Drain>) -> Self {
        let Some(drain) = drain else {
            return Self::NoLink;
        };
        let rate = match drain.lately > 0.0 {
            true => drain.lately,
            false => drain.could,
        };
        match rate >= 1.0 {
            _ if unit.paused.len() == LANES => Self::Paused,
            _ if unit.waiting >= unit.mailbox.messages => Self::Waits,
            true => Self::After((unit.mailbox.bytes as f64 / rate).ceil() as u64),
            false => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::node::Volume, *};

    fn look(since: i64, sent: u64, messages: u64) -> Look {
        let link = Link {
            neighbour: "hebi.hub".into(),
            link: "3g".into(),
            up: true,
            since: jiff::Timestamp::from_second(since).ok(),
            rate_bps: Some(80_000),
            ratio_sent: Some(0.5),
            bytes_sent: sent,
            bytes_received: sent / 2,
            payload_sent: sent * 2,
            ..Link::default()
        };
        let unit = Unit {
            unit: "hebi.hub".into(),
            mailbox: Volume {
                messages,
                bytes: messages * 1000,
            },
            ..Unit::default()
        };
        Look {
            links: vec![link],
            units: vec![unit],
            ..Look::default()
        }
    }

    #[test]
    fn a_rate_is_what_passed_between_looks_and_a_new_session_begins_from_nothing() {
        let mut model = Model::default();
        let first = model.take(look(1, 900_000, 40), 0.0);
        assert_eq!(first.links[0].sent_bps, 0.0);
        // Nothing has gone yet: what the link could carry, twice as much as on the wire.
        assert_eq!(first.queues[0].empty, Empty::After(2));
        let second = model.take(look(1, 902_000, 40), 2.0);
        let link = &second.links[0];
        assert_eq!((link.sent_bps, link.received_bps), (8000.0, 4000.0));
        assert_eq!(second.queues[0].empty, Empty::After(20));
        let third = model.take(look(7, 10, 40), 1.0);
        assert_eq!(third.links[0].sent_bps, 0.0);
    }

    #[test]
    fn a_queue_that_does_not_move_says_why() {
        let empty = |change: fn(&mut Look)| {
            let mut look = look(1, 0, 2);
            change(&mut look);
            Model::default().take(look, 0.0).queues[0].empty
        };
        assert_eq!(empty(|look| look.links[0].up = false), Empty::NoLink);
        assert_eq!(empty(|look| look.links[0].rate_bps = None), Empty::Unknown);
        assert_eq!(empty(|look| look.units[0].waiting = 2), Empty::Waits);
        let lanes = ["flash", "urgent", "normal", "bulk"];
        let paused = Unit {
            paused: lanes.map(str::to_owned).into(),
            ..look(1, 0, 2).units.remove(0)
        };
        let drain = Drain::default();
        assert_eq!(Empty::of(&paused, Some(&drain)), Empty::Paused);
    }

    #[test]
    fn what_is_remembered_of_a_link_has_a_bound_and_goes_with_it() {
        let mut model = Model::default();
        for second in 0..100 {
            model.take(look(1, second * 100, 1), 1.0);
        }
        let kept: Vec<_> = model.links.values().map(Lately::looks).collect();
        assert_eq!(kept, [RATE_LOOKS_MAX]);
        model.take(Look::default(), 1.0);
        assert!(model.links.is_empty());
    }
}
