//! What the owner is told of a session's path, so that the machine can choose between several sessions.
//!
//! The link measures bytes on the wire; the machine counts bytes of parcels. What lies between is how well the last batches were compressed.

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{Fault, Pump};
use crate::{
    delivery::{self, Input, LinkTerms, hop::Frame},
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
    /// Sees that something goes over the link before address translators on the way forget it, so that the neighbour reaches this node: but not
    /// where it can reach it over another link.
    pub(super) fn keep_awake(&mut self, now: Instant) {
        let (Some(due), Some(keep)) = (self.awake, self.carrier.keep_awake.as_ref()) else {
            return;
        };
        if due > now {
            return;
        }
        let silence = keep.silence();
        let quiet = self.handle.quiet();
        if quiet < silence {
            self.awake = Some(now + (silence - quiet));
            return;
        }
        if std::mem::take(&mut self.is_awaking) {
            keep.reached(self.shared.clock.wall());
        }
        self.awake = Some(now + keep.silence());
        let is_heard = || {
            let board = &self.shared.board;
            board.is_heard_beside(&self.neighbour, self.id, silence)
        };
        if !keep.is_one_of_several || !is_heard() {
            self.is_awaking = true;
            self.pending.push_back(link::Command::Control(Bytes::new()));
        }
    }

    /// The neighbour sees this side come from another address, or the session has died of silence: if it was after a silence, that was too long.
    pub(super) fn moved(&mut self) {
        if std::mem::take(&mut self.is_awaking)
            && let Some(keep) = &self.carrier.keep_awake
        {
            keep.forgotten(self.shared.clock.wall());
        }
    }

    /// What this session's neighbour sends comes from another address now.
    pub(super) fn tell_moved(&mut self) {
        if self.is_announced() && self.carrier.terms.is_none() {
            self.send(&Frame::Moved);
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
