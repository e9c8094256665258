//! What follows from looks at a node, one after another: how fast links are, and when queues will be empty.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
};

use super::node::{Link, Look, Status, Unit};

/// Rates are those of so many looks, about ten seconds.
const RATE_LOOKS_MAX: usize = 10;
/// What a message takes on the wire at least of what it is, for a link that has not told.
const RATIO_MIN: f64 = 0.05;
/// Lanes that can be paused.
const LANES: usize = 4;

/// Looks that have been taken in.
#[derive(Debug, Default)]
pub(super) struct Model {
    links: HashMap<(String, String), Counters>,
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

/// What a session has counted, and what passed between the last looks.
#[derive(Debug, Default)]
struct Counters {
    /// Which session it is: a new one counts from nothing.
    since: Option<jiff::Timestamp>,
    sent: u64,
    received: u64,
    payload_sent: u64,
    lately: VecDeque<Passed>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    seconds: f64,
    sent: u64,
    received: u64,
    payload_sent: u64,
}

impl Model {
    /// Takes in a look, `seconds` after the one before.
    pub(super) fn take(&mut self, look: Look, seconds: f64) -> Picture {
        let Look {
            status,
            links,
            units,
        } = look;
        let mut counters = HashMap::with_capacity(links.len());
        let mut drains = HashMap::<_, Drain>::new();
        let mut flowing = Vec::with_capacity(links.len());
        for link in links {
            let path = (link.neighbour.clone(), link.link.clone());
            let before = self.links.remove(&path);
            let mut passed = Passed::default();
            if link.up {
                let counted = Counters::after(before, &link, seconds);
                passed = counted.lately();
                counters.insert(path, counted);
                let drain = drains.entry(link.neighbour.clone()).or_default();
                drain.lately += per_second(passed.payload_sent, passed.seconds);
                let bytes = link.rate_bps.unwrap_or_default() as f64 / 8.0;
                drain.could += bytes / link.ratio_sent.unwrap_or(1.0).max(RATIO_MIN);
            }
            flowing.push(Flowing {
                sent_bps: per_second(passed.sent, passed.seconds) * 8.0,
                received_bps: per_second(passed.received, passed.seconds) * 8.0,
                link,
            });
        }
        self.links = counters;
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

impl Counters {
    fn after(before: Option<Self>, link: &Link, seconds: f64) -> Self {
        let same_session = |before: &Self| {
            before.since == link.since
                && before.sent <= link.bytes_sent
                && before.received <= link.bytes_received
                && before.payload_sent <= link.payload_sent
        };
        let mut lately = VecDeque::new();
        // What a session had sent before it was seen first is not of this moment.
        if let Some(before) = before.filter(same_session) {
            lately = before.lately;
            if lately.len() == RATE_LOOKS_MAX {
                lately.pop_front();
            }
            lately.push_back(Passed {
                seconds,
                sent: link.bytes_sent - before.sent,
                received: link.bytes_received - before.received,
                payload_sent: link.payload_sent - before.payload_sent,
            });
        }
        Self {
            since: link.since,
            sent: link.bytes_sent,
            received: link.bytes_received,
            payload_sent: link.payload_sent,
            lately,
        }
    }

    fn lately(&self) -> Passed {
        let all = self.lately.iter();
        all.fold(Passed::default(), |sum, one| Passed {
            seconds: sum.seconds + one.seconds,
            sent: sum.sent + one.sent,
            received: sum.received + one.received,
            payload_sent: sum.payload_sent + one.payload_sent,
        })
    }
}

fn per_second(bytes: u64, seconds: f64) -> f64 {
    match seconds > 0.0 {
        true => bytes as f64 / seconds,
        false => 0.0,
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
        let kept: Vec<_> = model.links.values().map(|link| link.lately.len()).collect();
        assert_eq!(kept, [RATE_LOOKS_MAX]);
        model.take(Look::default(), 1.0);
        assert!(model.links.is_empty());
    }
}
