//! What the owner is told of a session's path, so that the machine can choose between several sessions.
//!
//! The link measures bytes on the wire; the machine counts bytes of parcels. What lies between is how well the last batches were compressed.

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{Fault, Pump};
use crate::{
    delivery::{self, Input, LinkTerms},
    link::{self, PathNews},
};

/// Bytes of batches that the ratio is taken over, about.
const RATIO_BYTES: u64 = 256 * 1024;

/// What is known of the path, and what of it the owner knows.
#[derive(Debug, Default)]
pub(super) struct PathReport {
    news: Option<PathNews>,
    /// Bytes of recent batches, and of the parcels in them.
    packed: u64,
    payload: u64,
    told: Option<delivery::Path>,
}

impl PathReport {
    fn batch_packed(&mut self, packed: u64, payload: u64) {
        if self.packed > RATIO_BYTES {
            self.packed /= 2;
            self.payload /= 2;
        }
        self.packed += packed;
        self.payload += payload;
    }

    fn path(&self) -> Option<delivery::Path> {
        let news = self.news?;
        let (payload, packed) = match self.packed {
            0 => (1, 1),
            packed => (self.payload, packed),
        };
        let rate = u128::from(news.rate) * u128::from(payload) / u128::from(packed);
        Some(delivery::Path {
            rate: u64::try_from(rate).unwrap_or(u64::MAX),
            rtt_ms: u32::try_from(news.rtt.as_millis()).unwrap_or(u32::MAX),
            answers: news.answers,
        })
    }

    /// What is to be told now.
    fn news(&mut self) -> Option<delivery::Path> {
        let path = self.path()?;
        let is_same = self.told.is_some_and(|told| {
            let far = told.rate.abs_diff(path.rate) > told.rate / 4;
            !far && (told.rtt_ms, told.answers) == (path.rtt_ms, path.answers)
        });
        (!is_same).then(|| {
            self.told = Some(path);
            path
        })
    }
}

impl Pump {
    /// The link knows something new of its path.
    pub(super) async fn path_news(&mut self, news: PathNews) -> Result<(), Fault> {
        self.path.news = Some(news);
        self.tell_path().await
    }

    /// A batch was packed, of parcels with so many bytes.
    pub(super) async fn packed(&mut self, bytes: u64, payload_bytes: u64) -> Result<(), Fault> {
        self.path.batch_packed(bytes, payload_bytes);
        self.tell_path().await
    }

    /// Tells the owner what it does not know yet, once it knows of the session.
    pub(super) async fn tell_path(&mut self) -> Result<(), Fault> {
        if !self.is_announced() {
            return Ok(());
        }
        match self.path.news() {
            Some(path) => {
                let session = self.id;
                self.tell(Input::Path { session, path }).await
            }
            None => Ok(()),
        }
    }
}

impl Pump {
    /// Tells the owner on what terms the link is to be used.
    pub(super) async fn tell_terms(&mut self) -> Result<(), Fault> {
        let Some(terms) = self.carrier.terms.as_ref().map(|terms| *terms.borrow()) else {
            return Ok(());
        };
        let session = self.id;
        self.tell(Input::Terms { session, terms }).await
    }
}

impl Pump {
    /// A link that is one of several stays silent for longer than address translators remember it. When no other session with the neighbour
    /// is heard of, something goes over this one in time, so that the neighbour reaches this node.
    pub(super) fn keep_awake(&mut self, now: Instant) {
        let (Some(due), Some(every)) = (self.awake, self.carrier.keep_awake) else {
            return;
        };
        if due > now {
            return;
        }
        self.awake = Some(now + every);
        if !self
            .shared
            .board
            .is_heard_beside(&self.neighbour, self.id, every)
        {
            self.pending.push_back(link::Command::Control(Bytes::new()));
        }
    }
}

/// Waits until the terms change; for ever where there are none.
pub(super) async fn changed(terms: &mut Option<watch::Receiver<LinkTerms>>) {
    if let Some(terms) = terms
        && terms.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn news(rate: u64) -> Option<PathNews> {
        Some(PathNews {
            rate,
            rtt: Duration::from_millis(100),
            answers: true,
        })
    }

    #[test]
    fn a_rate_is_told_in_bytes_of_parcels_and_again_when_it_has_changed_much() {
        let mut report = PathReport::default();
        assert_eq!(report.news(), None);
        report.news = news(1_000);
        assert_eq!(report.news().map(|path| path.rate), Some(1_000));
        assert_eq!(report.news(), None);
        report.batch_packed(10_000, 11_000);
        assert_eq!(report.news(), None, "it is hardly compressed");
        report.batch_packed(10_000, 49_000);
        assert_eq!(report.news().map(|path| path.rate), Some(3_000));
        report.news = news(2_000);
        assert_eq!(report.news().map(|path| path.rate), Some(6_000));
    }

    #[test]
    fn the_ratio_follows_what_is_sent_now() {
        let mut report = PathReport {
            news: news(1_000),
            ..PathReport::default()
        };
        for _ in 0..100 {
            report.batch_packed(RATIO_BYTES, 3 * RATIO_BYTES);
        }
        for _ in 0..10 {
            report.batch_packed(RATIO_BYTES, RATIO_BYTES);
        }
        let rate = report.path().expect("a path").rate;
        assert!((1_000..1_100).contains(&rate), "{rate}");
    }
}
