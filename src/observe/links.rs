//! What links are like just now, as gauges: of one link at an edge; at a hub, of all links that bear the name together.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::labels::{LinkLabel, Names};

/// One link, or one session over it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkFigures {
    /// Whether there is a session.
    pub up: bool,
    /// Whether what was sent over it is not answered.
    pub silent: bool,
    /// Whether only flash and urgent messages go over it.
    pub express_only: bool,
    /// Bytes of parcels under way and not acked.
    pub in_flight_bytes: u64,
    /// What it carries, bytes a second.
    pub rate_bytes: u64,
    /// Smoothed round trip, seconds.
    pub round_trip_s: f64,
    /// What it may carry a day, bytes.
    pub budget_bytes: Option<u64>,
    /// What it has carried today, bytes.
    pub today_bytes: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct LinkGauges {
    up: Family<LinkLabel, Gauge>,
    silent: Family<LinkLabel, Gauge>,
    express_only: Family<LinkLabel, Gauge>,
    in_flight: Family<LinkLabel, Gauge>,
    rate: Family<LinkLabel, Gauge>,
    round_trip: Family<LinkLabel, Gauge<f64, AtomicU64>>,
    budget: Family<LinkLabel, Gauge>,
    today: Family<LinkLabel, Gauge>,
}

impl LinkGauges {
    pub(super) fn new(all: &mut Registry) -> Self {
        let gauges = Self::default();
        let mut add = |name: &str, help: &str, family: &Family<LinkLabel, Gauge>| {
            all.register(name, help, family.clone());
        };
        add("link_up", "Live sessions over a link", &gauges.up);
        add(
            "link_silent",
            "Sessions over a link that do not answer",
            &gauges.silent,
        );
        add(
            "link_express_only",
            "Whether only flash and urgent messages go over a link",
            &gauges.express_only,
        );
        let mut add_bytes = |name: &str, help: &str, family: &Family<LinkLabel, Gauge>| {
            all.register_with_unit(name, help, Unit::Bytes, family.clone());
        };
        add_bytes(
            "link_in_flight",
            "Parcels under way over a link and not acked",
            &gauges.in_flight,
        );
        add_bytes(
            "link_rate",
            "What a link carries from here in a second",
            &gauges.rate,
        );
        add_bytes(
            "link_budget",
            "What a link may carry a day, both ways",
            &gauges.budget,
        );
        add_bytes(
            "link_today",
            "What a link has carried since midnight, both ways",
            &gauges.today,
        );
        all.register_with_unit(
            "link_round_trip",
            "The longest smoothed round trip over a link",
            Unit::Seconds,
            gauges.round_trip.clone(),
        );
        gauges
    }

    /// Shows these links, and no others.
    pub(super) fn set<'a>(
        &self,
        names: &Names,
        links: impl IntoIterator<Item = (&'a str, LinkFigures)>,
    ) {
        let mut sums: BTreeMap<String, LinkFigures> = BTreeMap::new();
        let mut counts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (name, link) in links {
            let name = names.label(name);
            let (up, silent) = counts.entry(name.clone()).or_default();
            *up += i64::from(link.up);
            *silent += i64::from(link.silent);
            let sum = sums.entry(name).or_default();
            sum.express_only |= link.express_only;
            sum.in_flight_bytes += link.in_flight_bytes;
            sum.rate_bytes = sum.rate_bytes.saturating_add(link.rate_bytes);
            sum.round_trip_s = sum.round_trip_s.max(link.round_trip_s);
            sum.budget_bytes = sum.budget_bytes.or(link.budget_bytes);
            sum.today_bytes = sum.today_bytes.or(link.today_bytes);
        }
        for family in [
            &self.up,
            &self.silent,
            &self.express_only,
            &self.in_flight,
            &self.rate,
            &self.budget,
            &self.today,
        ] {
            family.clear();
        }
        self.round_trip.clear();
        for (link, sum) in sums {
            let (up, silent) = counts.get(&link).copied().unwrap_or_default();
            let label = LinkLabel { link };
            let set = |family: &Family<LinkLabel, Gauge>, value: i64| {
                family.get_or_create(&label).set(value);
            };
            let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            set(&self.up, up);
            set(&self.silent, silent);
            set(&self.express_only, sum.express_only.into());
            set(&self.in_flight, bytes(sum.in_flight_bytes));
            set(&self.rate, bytes(sum.rate_bytes));
            if let Some(budget) = sum.budget_bytes {
                set(&self.budget, bytes(budget));
            }
            if let Some(today) = sum.today_bytes {
                set(&self.today, bytes(today));
            }
            self.round_trip.get_or_create(&label).set(sum.round_trip_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn links_of_one_name_are_shown_together_and_one_that_is_gone_is_not() {
        let metrics = Metrics::new(4);
        let link = |silent, round_trip_s| LinkFigures {
            up: true,
            silent,
            in_flight_bytes: 1_000,
            rate_bytes: 5_000,
            round_trip_s,
            budget_bytes: Some(1 << 20),
            today_bytes: Some(7),
            ..LinkFigures::default()
        };
        metrics.set_links([("3g", link(true, 0.5)), ("3g", link(false, 0.25))]);
        let text = metrics.render();
        for line in [
            "casegate_link_up{link=\"3g\"} 2",
            "casegate_link_silent{link=\"3g\"} 1",
            "casegate_link_express_only{link=\"3g\"} 0",
            "casegate_link_in_flight_bytes{link=\"3g\"} 2000",
            "casegate_link_rate_bytes{link=\"3g\"} 10000",
            "casegate_link_round_trip_seconds{link=\"3g\"} 0.5",
            "casegate_link_budget_bytes{link=\"3g\"} 1048576",
            "casegate_link_today_bytes{link=\"3g\"} 7",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
        metrics.set_links([("exclusive", LinkFigures::default())]);
        let text = metrics.render();
        assert!(!text.contains("3g"), "{text}");
        assert!(text.contains("casegate_link_up{link=\"exclusive\"} 0"));
    }
}
