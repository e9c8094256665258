//! Dates and times of the sample's own clock, in Beijing time; the caller says when it starts.

use jiff::{Timestamp, civil::DateTime, tz};

use crate::model::Millis;

/// A moment of the generated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) Millis);

pub(super) const HOUR: Millis = 3_600_000;
pub(super) const DAY: Millis = 24 * HOUR;

impl Moment {
    fn civil(self) -> DateTime {
        let last = i64::try_from(self.0).unwrap_or(i64::MAX);
        let timestamp = Timestamp::from_millisecond(last).unwrap_or(Timestamp::UNIX_EPOCH);
        tz::offset(8).to_datetime(timestamp)
    }

    pub(super) fn plus(self, millis: Millis) -> Self {
        Self(self.0.saturating_add(millis))
    }

    pub(super) fn minus(self, millis: Millis) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// `2024-02-20T15:17:57+08:00`.
    pub(super) fn rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
    }

    /// `2024-02-20 15:17`, as forms have it.
    pub(super) fn minute(self) -> String {
        self.civil().strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// `2024-02-20`.
    pub(super) fn date(self) -> String {
        self.civil().strftime("%Y-%m-%d").to_string()
    }

    /// `20240220`.
    pub(super) fn compact_date(self) -> String {
        self.civil().strftime("%Y%m%d").to_string()
    }

    /// `2024年2月20日`, as running text has it.
    pub(super) fn chinese_date(self) -> String {
        let day = self.civil();
        format!("{}年{}月{}日", day.year(), day.month(), day.day())
    }

    pub(super) fn year(self) -> i16 {
        self.civil().year()
    }

    /// `2024-02`.
    pub(super) fn month(self) -> String {
        self.civil().strftime("%Y-%m").to_string()
    }
}

/// An identifier in the form of a ULID: 48 bits of time, 80 of chance, Crockford's base32.
pub(super) fn ulid(at: Moment, chance: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let value = (u128::from(at.0) << 80) | (chance & ((1 << 80) - 1));
    (0..26)
        .rev()
        .map(|place| char::from(DIGITS[(value >> (place * 5) & 31) as usize]))
        .collect()
}
