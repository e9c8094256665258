//! What is sent in a demo.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, value::RawValue};

use crate::{
    model::{Kind, Kinds, Lane, UnitId},
    sample::{self, Generator, Options},
};

/// The attributes and the data of an event, by name, as they are written.
pub(super) type Event = BTreeMap<String, Box<RawValue>>;

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Planned {
    /// Its CloudEvents id.
    pub(super) id: String,
    /// The unit that submits it.
    pub(super) from: UnitId,
    /// Every unit that must get it once.
    pub(super) receivers: Vec<UnitId>,
    /// Its lane.
    pub(super) lane: Lane,
    /// Its case.
    pub(super) case: Option<String>,
    /// The structured event.
    pub(super) text: String,
    /// The same, taken apart.
    pub(super) event: Event,
}

/// A unit's messages and who gets them.
struct Office<'a> {
    unit: &'a UnitId,
    other: &'a UnitId,
    messages: Generator,
}

/// Messages between two units, by turns, with `pairs` (message, receiver) pairs in all: every kind comes up when there is room,
/// notices go to a pattern, reports to the hub as well, and leads and directives are flash.
pub(super) fn plan(pairs: u32, [first, second]: &[UnitId; 2], hub: &UnitId) -> Vec<Planned> {
    let mut left = pairs as usize;
    let mut missing: BTreeSet<Kind> = Kinds::default()
        .iter()
        .map(|(kind, _)| kind.clone())
        .collect();
    let mut offices = [Office::new(1, first, second), Office::new(2, second, first)];
    let mut plan = Vec::with_capacity(left);
    while left > 0 {
        let office = &mut offices[plan.len() % 2];
        // What room is left belongs to the kinds that have not come up.
        let only_missing = reserved(&missing) >= left;
        let Some(sample) = office
            .messages
            .find(|sample| !only_missing || missing.contains(&sample.kind))
        else {
            break;
        };
        missing.remove(&sample.kind);
        let copy_to_hub = left >= reserved(&missing) + 2;
        let planned = office.planned(&sample.event, sample.kind, copy_to_hub.then_some(hub));
        left -= planned.receivers.len();
        plan.push(planned);
    }
    plan
}

/// Whether the hub gets a copy of messages of this kind.
fn is_copied(kind: &Kind) -> bool {
    matches!(kind.as_str(), "report" | "statistics.monthly")
}

/// The (message, receiver) pairs that one message of each of these kinds makes.
fn reserved(kinds: &BTreeSet<Kind>) -> usize {
    kinds.len() + kinds.iter().filter(|kind| is_copied(kind)).count()
}

impl<'a> Office<'a> {
    fn new(seed: u64, unit: &'a UnitId, other: &'a UnitId) -> Self {
        let options = Options {
            start: sample::START,
            from: Some(unit.clone()),
            to: Some(other.into()),
        };
        Self {
            unit,
            other,
            messages: Generator::with(seed, options),
        }
    }

    fn planned(&self, event: &str, kind: Kind, hub: Option<&UnitId>) -> Planned {
        let mut event: Value = serde_json::from_str(event).expect("a sample is JSON");
        let mut receivers = vec![self.other.clone()];
        match (kind.as_str(), hub) {
            ("notice", _) => event["to"] = "hebi.**".into(),
            (_, Some(hub)) if is_copied(&kind) => {
                event["to"] = format!("{},{hub}", self.other).into();
                receivers.push(hub.clone());
            }
            ("directive" | "dutycrime.lead" | "discipline.lead", _) => {
                event["priority"] = Lane::Flash.as_str().into();
            }
            _ => {}
        }
        let named = |name: &str| event.get(name).and_then(Value::as_str);
        let lane = named("priority").and_then(|lane| lane.parse().ok());
        let text = event.to_string();
        Planned {
            id: named("id").unwrap_or_default().to_owned(),
            from: self.unit.clone(),
            receivers,
            lane: lane.unwrap_or(Lane::Normal),
            case: named("caseid").map(str::to_owned),
            event: serde_json::from_str(&text).expect("an event is an object"),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(pairs: u32) -> Vec<Planned> {
        let unit = |name: &str| name.parse().expect("a unit");
        plan(
            pairs,
            &[unit("hebi.tobacco"), unit("hebi.police")],
            &unit("hebi.hub"),
        )
    }

    fn kinds(plan: &[Planned]) -> BTreeSet<&str> {
        plan.iter()
            .map(|planned| planned.event["type"].get())
            .collect()
    }

    #[test]
    fn every_receiver_of_every_message_counts() {
        for pairs in [1, 2, 3, 24, 25, 26, 60, 300] {
            let plan = planned(pairs);
            let receivers: usize = plan.iter().map(|planned| planned.receivers.len()).sum();
            assert_eq!(receivers, pairs as usize);
            assert_eq!(kinds(&plan).len(), pairs.min(25) as usize);
        }
    }

    #[test]
    fn a_few_messages_have_every_kind_every_lane_both_directions_and_several_receivers() {
        let plan = planned(60);
        assert_eq!(kinds(&plan).len(), 25);
        let lanes: BTreeSet<Lane> = plan.iter().map(|planned| planned.lane).collect();
        assert_eq!(lanes.len(), Lane::ALL.len());
        let senders: BTreeSet<&UnitId> = plan.iter().map(|planned| &planned.from).collect();
        assert_eq!(senders.len(), 2);
        assert!(plan.iter().any(|planned| planned.receivers.len() == 2));
        assert!(
            plan.iter()
                .any(|planned| planned.event["to"].get() == "\"hebi.**\"")
        );
        let ids: BTreeSet<_> = plan.iter().map(|p| (&p.from, &p.id)).collect();
        assert_eq!(ids.len(), plan.len());
    }
}
