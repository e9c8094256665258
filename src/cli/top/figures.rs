//! Rates and times for people.

use jiff::Timestamp;

use super::super::texts::{Texts, fill};

/// Bits a second.
pub(super) fn rate(bps: f64) -> String {
    match bps {
        ..1e3 => format!("{bps:.0} bit/s"),
        ..1e5 => format!("{:.1} kbit/s", bps / 1e3),
        ..1e6 => format!("{:.0} kbit/s", bps / 1e3),
        ..1e9 => format!("{:.1} Mbit/s", bps / 1e6),
        _ => format!("{:.1} Gbit/s", bps / 1e9),
    }
}

/// How long something takes or took, in two units at most.
pub(super) fn span(t: &Texts, seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => fill(t.span_s, &[&seconds]),
        60..600 => fill(t.span_min_s, &[&minutes, &(seconds % 60)]),
        600..3600 => fill(t.span_min, &[&minutes]),
        3600..86_400 => fill(t.span_h_min, &[&hours, &(minutes % 60)]),
        _ => fill(t.span_d_h, &[&(hours / 24), &(hours % 24)]),
    }
}

/// How long ago something was; nothing when nobody knows.
pub(super) fn age(t: &Texts, at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => span(t, seconds_since(at, now)),
        None => String::new(),
    }
}

/// Whole seconds from one time to another, none when they are the other way round.
pub(super) fn seconds_since(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - at.as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::super::texts::Language, *};

    #[test]
    fn rates_and_spans_are_short_and_say_their_unit() {
        assert_eq!(rate(0.0), "0 bit/s");
        assert_eq!(rate(12_340.0), "12.3 kbit/s");
        assert_eq!(rate(812_400.0), "812 kbit/s");
        assert_eq!(rate(1_250_000.0), "1.2 Mbit/s");
        let [en, zh] = [Language::English, Language::Chinese].map(Texts::of);
        assert_eq!(span(en, 42), "42 s");
        assert_eq!(span(en, 62), "1 min 2 s");
        assert_eq!(span(en, 3 * 3600 + 20 * 60 + 5), "3 h 20 min");
        assert_eq!(span(en, 2 * 86_400 + 4 * 3600), "2 d 4 h");
        assert_eq!(span(zh, 2 * 86_400 + 4 * 3600), "2 天 4 小时");
        let at = |second| Timestamp::from_second(second).ok();
        let now = at(100).expect("a time");
        assert_eq!(
            (age(en, at(58), now), age(en, at(200), now)),
            ("42 s".into(), "0 s".into())
        );
        assert_eq!(age(en, None, now), "");
    }
}
