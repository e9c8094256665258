//! Who takes part in a trial.

use clap::ValueEnum;

use super::plan::{self, Copies, Office, Planned};
use crate::model::UnitId;

/// Who submits when there is one unit and its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Flow {
    /// The edge
    Up,
    /// The hub
    Down,
    /// Both by turns
    Both,
}

/// A hub and its units, by names that are good.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Cast {
    pub(super) hub: &'static str,
    pub(super) units: &'static [&'static str],
    /// What every name begins with.
    pub(super) tree: &'static str,
}

impl Cast {
    /// Two units that exchange messages through a hub, which gets copies.
    pub(in crate::cli) const DEMO: Self = Self {
        hub: "hebi.hub",
        units: &["hebi.tobacco", "hebi.police"],
        tree: "hebi",
    };
    /// A unit and a hub that exchange messages with each other.
    pub(in crate::cli) const LAB: Self = Self {
        hub: "lab.hub",
        units: &["lab.edge"],
        tree: "lab",
    };

    /// What is sent: between two units by turns, or between the only unit and the hub.
    pub(super) fn plan(&self, pairs: u32, flow: Flow) -> Vec<Planned> {
        let hub = unit(self.hub);
        let units: Vec<UnitId> = self.units.iter().map(|name| unit(name)).collect();
        match &*units {
            [first, second] => {
                let copies = Copies {
                    hub: hub.clone(),
                    tree: format!("{}.**", self.tree),
                };
                plan::plan(
                    pairs,
                    vec![Office::new(1, first, second), Office::new(2, second, first)],
                    Some(&copies),
                )
            }
            [edge, ..] => {
                let (up, down) = (Office::new(1, edge, &hub), Office::new(2, &hub, edge));
                let offices = match flow {
                    Flow::Up => vec![up],
                    Flow::Down => vec![down],
                    Flow::Both => vec![up, down],
                };
                plan::plan(pairs, offices, None)
            }
            [] => Vec::new(),
        }
    }
}

/// A unit by a name of a cast.
pub(super) fn unit(name: &str) -> UnitId {
    name.parse().expect("the names of a cast are good")
}
