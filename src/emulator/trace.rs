//! A recorded link: when it could carry a packet.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

/// Bytes that each moment of a trace carries (mahimahi: Netravali and others, USENIX ATC 2015).
const MOMENT_BYTES: u64 = 1504;
/// Most moments of a trace: ten hours of a line of 4 Mbit/s.
const MOMENTS_MAX: usize = 12_000_000;
/// Largest file, bytes.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A trace as mahimahi records them: a line for each moment at which 1,504 bytes could leave, milliseconds since the start, in order.
/// After its last moment it begins again. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Never empty; the last is not 0.
    moments_ms: Arc<[u32]>,
}

/// A file is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is too large.
    #[error("is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024)]
    TooLarge,
    /// A line is not a moment.
    #[error("line {0}: \"{1}\" is not a whole number of milliseconds")]
    NotANumber(usize, String),
    /// A line's moment is before its predecessor's.
    #[error("line {0}: {1} is before the line above it; the moments are to be in order")]
    Disordered(usize, u32),
    /// Too many lines.
    #[error("has more than {MOMENTS_MAX} lines")]
    TooLong,
    /// It has no moment after 0.
    #[error(
        "has no moment after 0; write a line for each packet of 1,504 bytes that could leave, in milliseconds"
    )]
    Empty,
}

impl Trace {
    /// Reads a trace from a file.
    ///
    /// # Errors
    /// See [`TraceError`]; the file is not named in them.
    pub fn read(file: &Path) -> Result<Self, TraceError> {
        if fs::metadata(file)?.len() > FILE_BYTES_MAX {
            return Err(TraceError::TooLarge);
        }
        Self::parse(&fs::read_to_string(file)?)
    }

    /// Reads a trace from its text. Empty lines count for nothing.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut moments_ms: Vec<u32> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let moment: u32 = line
                .parse()
                .map_err(|_| TraceError::NotANumber(number + 1, line.chars().take(20).collect()))?;
            if moments_ms.last().is_some_and(|last| moment < *last) {
                return Err(TraceError::Disordered(number + 1, moment));
            }
            if moments_ms.len() == MOMENTS_MAX {
                return Err(TraceError::TooLong);
            }
            moments_ms.push(moment);
        }
        match moments_ms.last() {
            None | Some(0) => Err(TraceError::Empty),
            Some(_) => Ok(Self {
                moments_ms: moments_ms.into(),
            }),
        }
    }

    /// Bits that it carries in a second, on average.
    pub fn mean_bps(&self) -> u64 {
        self.moments_ms.len() as u64 * MOMENT_BYTES * 8 * 1000 / self.period_ms()
    }

    /// The longest time in which it carries nothing.
    pub fn longest_gap(&self) -> Duration {
        let first = self.moments_ms.first().copied().unwrap_or_default();
        let gaps = self.moments_ms.windows(2).map(|pair| pair[1] - pair[0]);
        // It begins again when it ends.
        Duration::from_millis(gaps.fold(first, u32::max).into())
    }

    fn period_ms(&self) -> u64 {
        self.moments_ms.last().copied().unwrap_or(1).into()
    }

    /// When a moment is, counted on from round to round.
    fn at_ms(&self, moment: u64) -> u64 {
        let count = self.moments_ms.len() as u64;
        let of_round = self.moments_ms.get((moment % count) as usize);
        (moment / count) * self.period_ms() + u64::from(of_round.copied().unwrap_or_default())
    }

    /// The first moment at or after a time.
    fn first_from(&self, at_ms: u64) -> u64 {
        let (count, period) = (self.moments_ms.len() as u64, self.period_ms());
        // The end of one round is the start of the next: its last moments are still to be looked at.
        let round = (at_ms / period).saturating_sub(1);
        let mut low = round * count;
        let mut high = (round + 3) * count;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at_ms(middle) < at_ms {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

/// How far a direction's line has come along its trace.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The moment that carries what comes next.
    moment: u64,
    /// Bytes of it that were carried.
    used: u64,
}

impl Reader {
    /// When the last of `bytes` that are handed over at `now_us`, behind everything before them, has left; microseconds.
    ///
    /// What a moment could have carried while nothing waited is lost; what is left of one carries the next packet, which may need
    /// several.
    pub(super) fn leave(&mut self, trace: &Trace, now_us: u64, bytes: u64) -> u64 {
        let now_ms = now_us.div_ceil(1000);
        if trace.at_ms(self.moment) < now_ms {
            *self = Self {
                moment: trace.first_from(now_ms),
                used: 0,
            };
        }
        let mut left = bytes;
        loop {
            let free = MOMENT_BYTES - self.used;
            if left <= free {
                self.used += left;
                return trace.at_ms(self.moment) * 1000;
            }
            left -= free;
            *self = Self {
                moment: self.moment + 1,
                used: 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_at_the_moments_of_the_trace_round_after_round() {
        let trace = Trace::parse("10\n10\n30\n\n100\n").expect("a trace");
        let mut reader = Reader::default();
        let mut at = |now_ms: u64, bytes| reader.leave(&trace, now_ms * 1000, bytes) / 1000;
        assert_eq!(at(0, 1504), 10);
        assert_eq!(at(0, 1504), 10);
        // Two packets share a moment, and one is cut in two.
        assert_eq!(at(0, 700), 30);
        assert_eq!(at(0, 700), 30);
        assert_eq!(at(0, 700), 100);
        // What was not used is lost.
        assert_eq!(at(105, 100), 110);
        assert_eq!(at(131, 100), 200);
        assert_eq!(at(1_000_031, 3_008), 1_000_110);
    }

    #[test]
    fn a_search_finds_what_a_walk_finds() {
        let trace = Trace::parse("0\n0\n3\n7\n7\n12").expect("a trace");
        for at in 0..60 {
            let walked = (0..)
                .find(|moment| trace.at_ms(*moment) >= at)
                .expect("one");
            assert_eq!(trace.first_from(at), walked, "{at}");
        }
    }

    #[test]
    fn a_trace_says_what_it_carries_and_how_long_it_carries_nothing() {
        let trace = Trace::parse("500\n600\n2000").expect("a trace");
        assert_eq!(trace.longest_gap(), Duration::from_millis(1400));
        assert_eq!(trace.mean_bps(), 3 * 1504 * 8 / 2);
        let late = Trace::parse("1900\n2000").expect("a trace");
        assert_eq!(late.longest_gap(), Duration::from_millis(1900));
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        for (text, words) in [
            ("", "has no moment after 0"),
            ("0\n0\n", "has no moment after 0"),
            ("1\nx\n", "line 2: \"x\" is not a whole number"),
            ("-1\n", "line 1: \"-1\" is not a whole number"),
            ("5\n4\n", "line 2: 4 is before the line above"),
        ] {
            let told = Trace::parse(text).expect_err("a refusal").to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
