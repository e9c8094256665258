//! Numbers, times and states as people read them.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::{Timestamp, tz::TimeZone};

use super::texts::{Texts, fill};
use crate::model::Millis;

/// A state: a shape, a colour and a word, each of which tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chip {
    /// How good it is.
    pub(super) tone: Tone,
    /// The word.
    pub(super) text: &'static str,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// It waits.
    Wait,
    /// Somebody should look.
    Warn,
    /// It has gone wrong.
    Bad,
    /// More urgent than most, and than all.
    Urgent,
    Flash,
    /// Nothing to say.
    Plain,
}

impl Tone {
    /// The class in the stylesheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Busy => "busy",
            Tone::Wait => "wait",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Urgent => "urgent",
            Tone::Flash => "flash",
            Tone::Plain => "plain",
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is one of the console's own.
        let (tone, text) = (self.tone.class(), self.text);
        write!(f, "<span class=\"chip {tone}\">{text}</span>")
    }
}

impl HtmlSafe for Chip {}

/// A moment, for people and for programs.
#[derive(Clone, Debug)]
pub(super) struct When {
    iso: String,
    text: String,
}

impl When {
    /// With its date, to the second.
    pub(super) fn exact(at: Millis) -> Self {
        Self::written(at, "%Y-%m-%d %H:%M:%S")
    }

    /// To the millisecond, without its date.
    pub(super) fn precise(at: Millis) -> Self {
        Self::written(at, "%m-%d %H:%M:%S.%3f")
    }

    /// A day.
    pub(super) fn brief_year(at: Millis) -> Self {
        Self::written(at, "%Y-%m-%d")
    }

    /// In a list: month, day, hour and minute.
    pub(super) fn brief(at: Millis) -> Self {
        Self::written(at, "%m-%d %H:%M")
    }

    fn written(at: Millis, how: &str) -> Self {
        let stamp = stamp(at);
        let local = stamp.to_zoned_datetime(TimeZone::system());
        Self {
            iso: format!("{stamp:.3}"),
            text: local.strftime(how).to_string(),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iso, text } = self;
        write!(f, "<time datetime=\"{iso}\" title=\"{iso}\">{text}</time>")
    }
}

impl HtmlSafe for When {}

/// RFC 3339, in UTC.
pub(super) fn iso(at: Millis) -> String {
    format!("{:.3}", stamp(at))
}

fn stamp(at: Millis) -> Timestamp {
    let stamp = i64::try_from(at).ok();
    let stamp = stamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.unwrap_or(Timestamp::MAX)
}

/// The zone in which times are shown, as its difference from UTC.
pub(super) fn zone() -> String {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
    now.strftime("UTC%:z").to_string()
}

/// A time of day or a span that an `<input type="datetime-local">` or `date` has, from the machine's zone.
pub(super) fn local_time(text: &str) -> Option<Millis> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned_datetime(TimeZone::system()).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond()).ok()
}

/// How long something takes or took, in at most two units.
pub(super) fn span(t: &Texts, seconds: u64) -> String {
    let parts = |big: u64, big_text, small: u64, small_text| {
        let big = fill(big_text, &[&big]);
        match small {
            0 => big,
            small => format!("{big} {}", fill(small_text, &[&small])),
        }
    };
    match seconds {
        0..60 => fill(t.span_s, &[&seconds]),
        60..3600 => fill(t.span_min, &[&(seconds / 60)]),
        3600..86_400 => parts(seconds / 3600, t.span_h, seconds % 3600 / 60, t.span_min),
        _ => parts(
            seconds / 86_400,
            t.span_d,
            seconds % 86_400 / 3600,
            t.span_h,
        ),
    }
}

/// How long ago.
pub(super) fn age(t: &Texts, at: Millis, now: Millis) -> String {
    span(t, now.saturating_sub(at) / 1000)
}

/// Bytes, in powers of 1024.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Bits a second, in powers of 1000.
pub(super) fn rate(bps: f64) -> String {
    scaled(bps, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s"])
}

fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut at = 0;
    while number >= step && at + 1 < units.len() {
        number /= step;
        at += 1;
    }
    let unit = units.get(at).copied().unwrap_or_default();
    let digits = usize::from(at > 0 && number < 100.0);
    format!("{number:.digits$} {unit}")
}

/// A whole number with its thousands set apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow blank that does not break.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// How much of a bound is used, percent.
pub(super) fn percent(used: u64, max: u64) -> u64 {
    if max == 0 {
        return 0;
    }
    // Of very little something is shown, and full is only what is full.
    let percent = (used as f64 / max as f64 * 100.0).floor() as u64;
    percent.clamp(u64::from(used > 0), 100)
}

#[cfg(test)]
mod tests {
    use super::{super::texts::Language, *};

    #[test]
    fn numbers_are_short_and_say_their_unit() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(300 << 20), "300 MiB");
        assert_eq!(rate(812_400.0), "812 kbit/s");
        assert_eq!(rate(1_250_000.0), "1.2 Mbit/s");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(999), "999");
        assert_eq!(
            (percent(1, 1000), percent(999, 1000), percent(5, 0)),
            (1, 99, 0)
        );
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        let (en, zh) = (Language::English.texts(), Language::Chinese.texts());
        assert_eq!(span(en, 42), "42 s");
        assert_eq!(span(en, 3600), "1 h");
        assert_eq!(span(en, 3 * 3600 + 20 * 60 + 5), "3 h 20 min");
        assert_eq!(span(zh, 2 * 86_400 + 4 * 3600), "2 天 4 小时");
    }
}
