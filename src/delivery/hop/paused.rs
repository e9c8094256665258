//! Lanes that an operator has stopped.

use bincode::{Decode, Encode};

use crate::model::Lane;

/// Which lanes towards a neighbour are stopped: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Paused(u8);

impl Paused {
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    const fn bit(lane: Lane) -> u8 {
        1 << lane.index()
    }

    /// The same with a lane, or with all, stopped or not.
    #[must_use]
    pub fn with(self, lane: Option<Lane>, paused: bool) -> Self {
        let bits = lane.map_or(Self::ALL.0, Self::bit);
        match paused {
            true => Self(self.0 | bits),
            false => Self(self.0 & !bits),
        }
    }

    /// Whether a lane is stopped.
    pub fn has(self, lane: Lane) -> bool {
        self.0 & Self::bit(lane) != 0
    }

    /// Whether none is.
    pub fn is_none(self) -> bool {
        self.0 & Self::ALL.0 == 0
    }

    /// Those that are, the most urgent first.
    pub fn lanes(self) -> Vec<Lane> {
        Lane::ALL
            .into_iter()
            .filter(|lane| self.has(*lane))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_stop_and_go_on_one_by_one_and_together() {
        let paused = Paused::default().with(Some(Lane::Bulk), true);
        assert!(paused.has(Lane::Bulk) && !paused.has(Lane::Flash) && !paused.is_none());
        assert_eq!(paused.lanes(), [Lane::Bulk]);
        let all = paused.with(None, true);
        assert_eq!(all, Paused::ALL);
        assert!(!all.with(Some(Lane::Urgent), false).has(Lane::Urgent));
        assert!(all.with(None, false).is_none());
    }
}
