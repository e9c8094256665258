//! `[traces]`: where it is told what happened to messages, for whoever follows them over all nodes.

use hyper::Uri;

use super::{
    document::Section,
    here::{self, Fixes},
    texts::told,
};

const URL: Fixes = Fixes {
    example: "http://127.0.0.1:4318/v1/traces",
    listener: |t| t.collector,
    elsewhere: |t| t.collector_elsewhere,
    instead_of_password: |t| t.collector_open,
};

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// A URL of this machine, over HTTP: an OpenTelemetry Collector, or what speaks OTLP like one.
    pub url: Uri,
    /// Of how many messages it is told.
    pub share: Share,
}

/// A share of all messages, above none and up to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// Every message.
    pub const ALL: Self = Self(Self::OF);
    /// What a share is counted in: of so many equally likely numbers, those of the share are [`Share::numbers`].
    pub const OF: u64 = 1 << 56;

    /// A share that is given as a number; none unless it is above 0 and at most 1.
    pub fn new(share: f64) -> Option<Self> {
        let is_share = share > 0.0 && share <= 1.0;
        // Both are exact: 2^56 and its products with a number of 53 bits.
        let numbers = (share * Self::OF as f64) as u64;
        is_share.then(|| Self(numbers.max(1)))
    }

    /// How many of [`Share::OF`].
    pub fn numbers(self) -> u64 {
        self.0
    }
}

/// Reads `[traces]`.
pub(super) fn traces(section: &Section<'_, '_>) -> Option<Traces> {
    let url = section
        .required("url", &format!("\"{}\"", URL.example))
        .and_then(|field| here::url(&field, &URL));
    let share = section.field("share").and_then(|field| {
        let share = field.decimal().and_then(Share::new);
        if share.is_none() {
            field.error(told(|t| t.no_share), told(|t| t.write_share));
        }
        share
    });
    section.finish();
    Some(Traces {
        url: url?,
        share: share.unwrap_or(Share::ALL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_none_and_up_to_all() {
        assert_eq!(Share::new(1.0), Some(Share::ALL));
        assert_eq!(Share::new(0.5).map(Share::numbers), Some(1 << 55));
        assert_eq!(Share::new(1e-30).map(Share::numbers), Some(1));
        for wrong in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(wrong), None, "{wrong}");
        }
    }
}
