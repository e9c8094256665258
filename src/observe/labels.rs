//! Metric labels, and what keeps their number bounded (G7).

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::model::{Lane, Reason, UnitId};

/// What stands for every name beyond the bound. No unit and no link can be called so.
pub(super) const OTHER: &str = "_other";

/// Longest name that is shown, in bytes: a unit's.
const NAME_BYTES_MAX: usize = UnitId::BYTES_MAX;

/// The names that a label has taken so far, and how many it may take.
#[derive(Debug)]
pub(super) struct Names {
    taken: Mutex<BTreeSet<String>>,
    count_max: usize,
}

impl Names {
    pub(super) fn new(count_max: usize) -> Self {
        Self {
            taken: Mutex::default(),
            count_max,
        }
    }

    /// The label for `name`: itself, or [`OTHER`] when it is too long or there are as many as there may be.
    pub(super) fn label(&self, name: &str) -> String {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.contains(name) {
            if taken.len() >= self.count_max || name.len() > NAME_BYTES_MAX {
                return OTHER.to_owned();
            }
            taken.insert(name.to_owned());
        }
        name.to_owned()
    }

    /// Makes room again. Whether the name had taken a place.
    pub(super) fn forget(&self, name: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(name)
    }
}

/// A value that is one of a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Word(pub(super) &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LaneLabel {
    lane: Word,
}

impl From<Lane> for LaneLabel {
    fn from(lane: Lane) -> Self {
        Self {
            lane: Word(lane.as_str()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    reason: Word,
}

impl From<Reason> for ReasonLabel {
    fn from(reason: Reason) -> Self {
        Self {
            reason: Word(reason.as_str()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NeighbourLabel {
    pub(super) neighbour: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueueLabel {
    pub(super) neighbour: String,
    pub(super) lane: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LinkLabel {
    pub(super) link: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CertificateLabel {
    pub(super) certificate: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabel {
    pub(super) route: String,
    pub(super) status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabel {
    pub(super) route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabel {
    pub(super) version: Word,
}
