//! What the node was like over time, for charts: looks at it, taken together by the minute for a day and by the quarter of an hour for a month.
//!
//! An hour's minutes, or a day's quarters, are one value, written anew with each that comes: some kilobytes a minute. It is on stable storage
//! with whatever the index flushes next, and at least once in a quarter of an hour.

use bincode::{Decode, Encode};

use super::base::{Base, BaseError};
use crate::{codec, model::Millis};

/// The first byte of the keys; then the grain and the page's number, big-endian.
const PREFIX: u8 = b's';
/// Largest page that is read, bytes: of a day with a sample for each second there would be less.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Samples of one page. More come only when the clock is set back again and again.
const PAGE_SAMPLES_MAX: usize = 1024;

/// The node at a moment, or over the time before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Sample {
    /// The moment, milliseconds since the Unix epoch.
    pub at: Millis,
    /// What was sent over all links, on the wire, bits a second on average.
    pub sent_bps: u64,
    /// What was received.
    pub received_bps: u64,
    /// Messages that waited for neighbours, at most.
    pub queued: u64,
    /// Messages that waited for the local application, at most.
    pub inbox: u64,
}

/// Over how long samples are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A minute; kept for a day.
    Minute,
    /// A quarter of an hour; kept for thirty days.
    Quarter,
}

impl Grain {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Minute, Self::Quarter];

    /// How long one sample stands for.
    pub const fn millis(self) -> Millis {
        match self {
            Self::Minute => 60_000,
            Self::Quarter => 15 * 60_000,
        }
    }

    /// How long samples are kept.
    pub const fn kept_millis(self) -> Millis {
        match self {
            Self::Minute => 24 * 3_600_000,
            Self::Quarter => 30 * 24 * 3_600_000,
        }
    }

    /// How many that are.
    pub const fn kept(self) -> usize {
        (self.kept_millis() / self.millis()) as usize
    }

    /// Pages on disk: twice the time that is shown, so that a clock that is wrong for a while costs nothing that is worth seeing.
    const fn pages_max(self) -> usize {
        2 * (self.kept_millis() / self.page_millis()) as usize
    }

    /// The time of one page.
    const fn page_millis(self) -> Millis {
        match self {
            Self::Minute => 3_600_000,
            Self::Quarter => 24 * 3_600_000,
        }
    }

    fn key(self, page: u64) -> [u8; 10] {
        let mut key = [PREFIX; 10];
        key[1] = match self {
            Self::Minute => b'm',
            Self::Quarter => b'q',
        };
        key[2..].copy_from_slice(&page.to_be_bytes());
        key
    }

    fn page(self, at: Millis) -> u64 {
        at / self.page_millis()
    }

    fn first_page(self, now: Millis) -> u64 {
        self.page(now.saturating_sub(self.kept_millis()))
    }
}

impl Base {
    /// Keeps samples, on stable storage if a quarter of an hour is among them.
    pub(super) fn keep_samples(&self, samples: &[(Grain, Sample)]) -> Result<(), BaseError> {
        for (grain, sample) in samples {
            self.keep_sample(*grain, *sample)?;
        }
        match samples.iter().any(|(grain, _)| *grain == Grain::Quarter) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// When there are too many pages, the one that is farthest from the sample goes.
    fn keep_sample(&self, grain: Grain, sample: Sample) -> Result<(), BaseError> {
        let page = grain.page(sample.at);
        let key = grain.key(page);
        let mut samples = self.sample_page(&key)?;
        samples.retain(|kept| kept.at < sample.at);
        samples.truncate(PAGE_SAMPLES_MAX - 1);
        samples.push(sample);
        self.db().insert(key, codec::encode(&samples))?;
        let pages = grain.key(0)..=grain.key(u64::MAX);
        let mut keys = Vec::new();
        for key in self.db().range(pages).keys() {
            keys.push(key?);
        }
        if keys.len() > grain.pages_max() {
            let far = |key: &&sled::IVec| number(key).abs_diff(page);
            let ends = keys.first().into_iter().chain(keys.last());
            if let Some(farthest) = ends.max_by_key(far) {
                self.db().remove(farthest)?;
            }
        }
        Ok(())
    }

    /// The samples of the time that is kept, in order.
    pub(super) fn samples(&self, grain: Grain, now: Millis) -> Result<Vec<Sample>, BaseError> {
        let since = now.saturating_sub(grain.kept_millis());
        let pages = grain.key(grain.first_page(now))..=grain.key(grain.page(now));
        let mut samples = Vec::new();
        for found in self.db().range(pages) {
            samples.extend(read(&found?.1)?);
        }
        samples.retain(|sample| sample.at >= since && sample.at <= now);
        Ok(samples)
    }

    fn sample_page(&self, key: &[u8]) -> Result<Vec<Sample>, BaseError> {
        let found = self.db().get(key)?;
        found.map_or(Ok(Vec::new()), |bytes| read(&bytes))
    }
}

/// The number of a page, from its key.
fn number(key: &[u8]) -> u64 {
    let digits = key.get(2..).unwrap_or_default();
    digits
        .iter()
        .fold(0, |number, digit| number << 8 | u64::from(*digit))
}

fn read(bytes: &[u8]) -> Result<Vec<Sample>, BaseError> {
    Ok(codec::decode::<Vec<Sample>, PAGE_BYTES_MAX>(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    fn sample(at: Millis) -> Sample {
        Sample {
            at,
            sent_bps: at / 1000,
            ..Sample::default()
        }
    }

    #[test]
    fn samples_are_kept_for_their_time_and_no_longer_and_are_there_when_the_base_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = Base::open(folder.path()).expect("opens");
        for grain in Grain::ALL {
            let many = 3 * grain.kept() as u64;
            for number in 0..many {
                let at = NOW + number * grain.millis();
                base.keep_sample(grain, sample(at)).expect("is kept");
            }
            let end = NOW + (many - 1) * grain.millis();
            let kept = base.samples(grain, end).expect("reads");
            assert_eq!(kept.len(), grain.kept() + 1, "{grain:?}");
            assert!(kept.is_sorted_by_key(|sample| sample.at));
            assert_eq!(kept.last(), Some(&sample(end)));
            let pages = base.db().range(grain.key(0)..=grain.key(u64::MAX)).count();
            assert!(pages <= grain.pages_max(), "{pages} pages of {grain:?}");
        }
        base.flush().expect("flushes");
        drop(base);
        let base = Base::open(folder.path()).expect("opens again");
        let end = NOW + (3 * Grain::Minute.kept() as u64 - 1) * Grain::Minute.millis();
        let kept = base.samples(Grain::Minute, end).expect("reads");
        assert_eq!(kept.len(), Grain::Minute.kept() + 1);
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_while_costs_no_samples() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = Base::open(folder.path()).expect("opens");
        let keep = |at| base.keep_sample(Grain::Quarter, sample(at)).expect("kept");
        let day = 24 * 3_600_000;
        for number in 0..30 {
            keep(NOW + number * day);
        }
        // A machine without a clock of its own begins in 1970, and another one in the year after next.
        keep(1000);
        keep(NOW + 400 * day);
        keep(NOW + 30 * day);
        let kept = base.samples(Grain::Quarter, NOW + 30 * day);
        let kept = kept.expect("reads");
        assert_eq!(kept.first(), Some(&sample(NOW)));
        assert_eq!(
            (kept.len(), kept.last()),
            (31, Some(&sample(NOW + 30 * day)))
        );
    }
}
