//! What is sent in a trial.

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
pub(super) struct Office<'a> {
    unit: &'a UnitId,
    other: &'a UnitId,
    messages: Generator,
}

/// Who gets messages beside the other unit.
pub(super) struct Copies {
    /// Reports go to it as well.
    pub(super) hub: UnitId,
    /// Notices go to this pattern, which takes in every unit.
    pub(super) tree: String,
}

/// Messages of the offices by turns, with `pairs` (message, receiver) pairs in all: every kind comes up when there is room, leads and
/// directives are flash.
pub(super) fn plan(
    pairs: u32,
    mut offices: Vec<Office<'_>>,
    copies: Option<&Copies>,
) -> Vec<Planned> {
    let mut left = pairs as usize;
    let mut missing: BTreeSet<Kind> = Kinds::default()
        .iter()
        .map(|(kind, _)| kind.clone())
        .collect();
    let mut plan = Vec::with_capacity(left);
    let turns = offices.len().max(1);
    while left > 0 {
        let Some(office) = offices.get_mut(plan.len() % turns) else {
            break;
        };
        // What room is left belongs to the kinds that have not come up.
        let only_missing = reserved(&missing, copies) >= left;
        let Some(sample) = office
            .messages
            .find(|sample| !only_missing || missing.contains(&sample.kind))
        else {
            break;
        };
        missing.remove(&sample.kind);
        let copy_to_hub = left >= reserved(&missing, copies) + 2;
        let planned = office.planned(&sample.event, sample.kind, copies, copy_to_hub);
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
fn reserved(kinds: &BTreeSet<Kind>, copies: Option<&Copies>) -> usize {
    let copied = || kinds.iter().filter(|kind| is_copied(kind)).count();
    kinds.len() + copies.map_or(0, |_| copied())
}

impl<'a> Office<'a> {
    pub(super) fn new(seed: u64, unit: &'a UnitId, other: &'a UnitId) -> Self {
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

    fn planned(
        &self,
        event: &str,
        kind: Kind,
        copies: Option<&Copies>,
        copy_to_hub: bool,
    ) -> Planned {
        let mut event: Value = serde_json::from_str(event).expect("a sample is JSON");
        let mut receivers = vec![self.other.clone()];
        match (kind.as_str(), copies) {
            ("notice", Some(Copies { tree, .. })) => event["to"] = tree.as_str().into(),
            (_, Some(Copies { hub, .. })) if copy_to_hub && is_copied(&kind) => {
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
    use crate::cli::trial::{Cast, Flow};

    fn planned(pairs: u32) -> Vec<Planned> {
        Cast::DEMO.plan(pairs, Flow::Both)
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
    fn a_unit_and_a_hub_write_to_each_other_only() {
        for (direction, senders) in [
            (Flow::Up, &["lab.edge"][..]),
            (Flow::Down, &["lab.hub"]),
            (Flow::Both, &["lab.edge", "lab.hub"]),
        ] {
            let plan = Cast::LAB.plan(60, direction);
            assert_eq!(plan.len(), 60);
            assert_eq!(kinds(&plan).len(), 25);
            let found: BTreeSet<&str> = plan.iter().map(|p| p.from.as_str()).collect();
            assert_eq!(found, senders.iter().copied().collect());
            for planned in plan {
                let other: Vec<_> = planned.receivers.iter().map(UnitId::as_str).collect();
                assert_eq!(other.len(), 1);
                assert_ne!(other, [planned.from.as_str()]);
                assert_eq!(planned.event["to"].get(), format!("\"{}\"", other[0]));
            }
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
