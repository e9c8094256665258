//! Times of the day.

use std::{fmt, str::FromStr};

const MINUTES_OF_DAY: u16 = 24 * 60;

/// A time of every day, by the machine's own time zone: from one minute up to another, over midnight when that is the smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Minutes since midnight.
    from: u16,
    to: u16,
}

/// A text is no time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the day")]
pub struct HoursError;

impl Hours {
    /// Whether a minute, counted from midnight, belongs to it.
    pub fn covers(&self, minute: u16) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    /// Reads `08:00-18:00`.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let minute = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let number = |text: &str| match text.as_bytes() {
                [b'0'..=b'9', b'0'..=b'9'] => text.parse::<u16>().ok(),
                _ => None,
            };
            let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
            let minute = number(hours)? * 60 + minutes;
            (minute <= MINUTES_OF_DAY).then_some(minute)
        };
        let read = || {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            (from < MINUTES_OF_DAY && from != to).then_some(Self { from, to })
        };
        read().ok_or(HoursError)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [self.from, self.to].map(|minute| (minute / 60, minute % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_back_and_nothing_else_is() {
        for text in ["08:00-18:00", "22:30-06:00", "00:00-24:00", "23:59-24:00"] {
            let hours: Hours = text.parse().expect(text);
            assert_eq!(hours.to_string(), text);
        }
        for strange in [
            "",
            "8:00-18:00",
            "08:00",
            "08:00-08:00",
            "08:00-24:01",
            "24:00-06:00",
            "08:60-09:00",
            "-1:00-02:00",
            "08:00-18:00 ",
            "+8:00-18:00",
        ] {
            assert_eq!(strange.parse::<Hours>(), Err(HoursError), "{strange}");
        }
    }

    #[test]
    fn hours_may_go_over_midnight() {
        let covers = |text: &str| {
            let hours: Hours = text.parse().expect(text);
            [0, 479, 480, 720, 1079, 1080, 1439].map(|minute| hours.covers(minute))
        };
        assert_eq!(
            covers("08:00-18:00"),
            [false, false, true, true, true, false, false]
        );
        assert_eq!(
            covers("18:00-08:00"),
            [true, true, false, false, false, true, true]
        );
        assert_eq!(covers("00:00-24:00"), [true; 7]);
    }
}
