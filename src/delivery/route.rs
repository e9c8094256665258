//! Where a message goes: names, patterns, the longest match.

use super::{Delivery, parcels::Slot, record::Route};
use crate::model::{Kind, Pattern, Reason, UnitId};

/// Targets, sorted by where they go.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    pub(super) refused: Vec<(Pattern, Reason)>,
}

/// What is to be routed.
pub(super) struct Routed<'a> {
    pub(super) sender: &'a UnitId,
    /// The receivers that the sender signed.
    pub(super) signed: &'a [Pattern],
    pub(super) kind: &'a Kind,
    /// The neighbour that brought it; none when it was submitted here.
    pub(super) from: Option<&'a UnitId>,
}

enum Via {
    Here,
    Neighbour(UnitId),
    Expand,
    Unknown,
}

impl Delivery {
    /// Whether this node is configured to know `unit`, or has met it.
    pub(super) fn is_known(&self, unit: &UnitId) -> bool {
        self.met.contains(unit) || self.settings.units.iter().any(|u| u.name == *unit)
    }

    pub(super) fn is_blocked(&self, unit: &UnitId) -> bool {
        self.settings
            .units
            .iter()
            .any(|u| u.name == *unit && u.blocked)
    }

    pub(super) fn is_upstream(&self, unit: &UnitId) -> bool {
        self.settings.upstream.as_ref() == Some(unit)
    }

    /// Whether `neighbour` may bring what `sender` signed: its own, or what it serves; an upstream brings everybody's.
    pub(super) fn may_bring(&self, neighbour: &UnitId, sender: &UnitId) -> bool {
        neighbour == sender || self.is_upstream(neighbour) || self.serves(neighbour, sender)
    }

    /// Whether `neighbour` is a hub: the one that this node dials, or a county hub that dials this one.
    pub(super) fn is_hub(&self, neighbour: &UnitId) -> bool {
        let mut units = self.settings.units.iter();
        self.is_upstream(neighbour) || units.any(|u| u.name == *neighbour && !u.serves.is_empty())
    }

    fn serves(&self, neighbour: &UnitId, unit: &UnitId) -> bool {
        self.settings
            .units
            .iter()
            .any(|u| u.name == *neighbour && u.serves.iter().any(|p| p.matches(unit.as_str())))
    }

    /// The neighbour that a target goes to, for what is submitted here.
    pub(super) fn next_hop(&self, target: &Pattern) -> Option<UnitId> {
        match self.via(target, None) {
            Via::Neighbour(unit) => Some(unit),
            _ => None,
        }
    }

    /// Whether a unit that is not known may be one that this hub has forgotten; it keeps queues for no more of them than it may know.
    fn may_come_back(&self, unit: &UnitId) -> bool {
        let has_room = || self.hops.len() < self.settings.limits.units as usize;
        self.amnesia_until.is_some() && (self.hops.contains_key(unit) || has_room())
    }

    fn via(&self, target: &Pattern, from: Option<&UnitId>) -> Via {
        let upstream = self
            .settings
            .upstream
            .as_ref()
            .filter(|up| from != Some(*up));
        let Some(unit) = target.as_unit() else {
            return match upstream {
                Some(up) if !self.settings.listens => Via::Neighbour(up.clone()),
                _ => Via::Expand,
            };
        };
        if unit == self.settings.unit {
            return Via::Here;
        }
        if self.is_upstream(&unit) {
            return Via::Neighbour(unit);
        }
        if self.settings.listens && self.is_known(&unit) {
            return Via::Neighbour(unit);
        }
        let longest = self
            .settings
            .units
            .iter()
            .flat_map(|u| u.serves.iter().map(move |p| (p, &u.name)))
            .filter(|(p, _)| p.matches(unit.as_str()))
            .max_by_key(|(p, _)| (p.as_str().split('.').count(), p.as_str().len()));
        if let Some((_, county)) = longest {
            return Via::Neighbour(county.clone());
        }
        match upstream {
            Some(up) => Via::Neighbour(up.clone()),
            None if self.may_come_back(&unit) => Via::Neighbour(unit),
            None => Via::Unknown,
        }
    }

    /// Sorts targets by where they go, and refuses those that may not go there.
    pub(super) fn routes(&self, what: &Routed<'_>, targets: &[Pattern]) -> Routes {
        let mut found = Routes::default();
        let mut by_neighbour: Vec<(UnitId, Vec<Pattern>)> = Vec::new();
        for target in targets {
            match self.via(target, what.from) {
                Via::Here => {
                    let named = what.signed.contains(&Pattern::from(&self.settings.unit));
                    let expander = what.from.filter(|_| !named);
                    found.routes.push(Route::Here {
                        reply_to: expander.unwrap_or(what.sender).clone(),
                    });
                }
                Via::Neighbour(unit) => match by_neighbour.iter_mut().find(|(u, _)| *u == unit) {
                    Some((_, targets)) => targets.push(target.clone()),
                    None => by_neighbour.push((unit, vec![target.clone()])),
                },
                Via::Expand => self.expand(what, target, &mut found, &mut by_neighbour),
                Via::Unknown => found.refused.push((target.clone(), Reason::UnknownUnit)),
            }
        }
        for (unit, targets) in by_neighbour {
            found.routes.push(Route::Neighbour {
                unit,
                as_signed: targets == what.signed,
                targets,
            });
        }
        found
    }

    /// Expands a pattern to all known units that match, except the sender and the hubs. A county hub expands it to its own units and
    /// passes it on to its upstream, which does not send it back: so a pattern keeps its place among the messages of its case.
    fn expand(
        &self,
        what: &Routed<'_>,
        pattern: &Pattern,
        found: &mut Routes,
        by_neighbour: &mut Vec<(UnitId, Vec<Pattern>)>,
    ) {
        let mut units = Vec::new();
        if !self.settings.listens && pattern.matches(self.settings.unit.as_str()) {
            // An edge that got a pattern: it is the unit that is meant.
            found.routes.push(Route::Here {
                reply_to: what.from.unwrap_or(what.sender).clone(),
            });
            return;
        }
        let configured = self.settings.units.iter().map(|u| &u.name);
        let mut known: Vec<&UnitId> = self.met.iter().chain(configured).collect();
        known.sort_unstable();
        known.dedup();
        let mut is_matched = false;
        for unit in known {
            let county = self
                .settings
                .units
                .iter()
                .find(|u| u.name == *unit && !u.serves.is_empty());
            let target = match county {
                // A hub is not meant itself, but it knows the units behind it.
                Some(_) if what.from != Some(unit) => pattern.clone(),
                Some(_) => continue,
                None if unit == what.sender || !pattern.matches(unit.as_str()) => continue,
                // It is on the sender's list by its name too: it has its copy, and tells the sender itself.
                None if what.signed.contains(&Pattern::from(unit)) => {
                    is_matched = true;
                    continue;
                }
                None if !self.settings.policy.allows(what.sender, unit, what.kind) => continue,
                None => Pattern::from(unit),
            };
            units.push(unit.clone());
            match by_neighbour.iter_mut().find(|(u, _)| u == unit) {
                Some((_, targets)) if targets.contains(&target) => {}
                Some((_, targets)) => targets.push(target),
                None => by_neighbour.push((unit.clone(), vec![target])),
            }
        }
        if let Some(upstream) = &self.settings.upstream
            && what.from != Some(upstream)
        {
            units.push(upstream.clone());
            match by_neighbour.iter_mut().find(|(u, _)| u == upstream) {
                Some((_, targets)) => targets.push(pattern.clone()),
                None => by_neighbour.push((upstream.clone(), vec![pattern.clone()])),
            }
        }
        let is_passed_on = what.from.is_some_and(|from| self.is_upstream(from));
        if units.is_empty() && !is_matched && !is_passed_on {
            found.refused.push((pattern.clone(), Reason::UnknownUnit));
            return;
        }
        found.routes.push(Route::Fanout {
            pattern: pattern.clone(),
            units,
            // Who passed it on sums it up; that is the sender itself, or a hub.
            back: what.from.unwrap_or(what.sender).clone(),
        });
    }

    /// The open receivers of a parcel in custody that a neighbour was to serve.
    pub(super) fn targets_via(&self, slot: Slot, neighbour: &UnitId) -> Vec<Pattern> {
        let fanouts = self.fanouts.get(&self.parcels.get(slot).digest);
        let is_hub = self.is_hub(neighbour);
        self.parcels
            .receivers(slot)
            .filter(|receiver| !receiver.state.is_terminal())
            .filter_map(|receiver| {
                let target = receiver.target;
                if self.next_hop(target).as_ref() == Some(neighbour) {
                    return Some(target.clone());
                }
                // A pattern that was expanded here.
                let awaits = fanouts?
                    .iter()
                    .any(|f| f.pattern == *target && f.remaining.contains(neighbour));
                awaits.then(|| match is_hub {
                    true => target.clone(),
                    false => Pattern::from(neighbour),
                })
            })
            .collect()
    }
}
