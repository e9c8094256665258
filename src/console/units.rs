//! Every unit that the node knows, by city and county, as a table or as a map.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console,
    form::address,
    map::{City, Meaning, cities, legend},
    show::{Chip, Tone, When, age, bytes, count},
    texts::Texts,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, UnitView},
    model::{Millis, UnitId},
};

/// Units that are shown at most.
const SHOWN_MAX: usize = 2000;
/// A certificate that expires within a month is told with emphasis, as in the node's own warnings.
const EXPIRES_SOON: Millis = 30 * 24 * 3600 * 1000;
/// What can be picked out.
const FILTERS: [&str; 4] = ["connected", "away", "mail", "blocked"];

#[derive(Template)]
#[template(path = "units.html")]
struct Page {
    f: Frame,
    q: String,
    filters: Vec<Filter>,
    /// The table and the map, of which one is chosen.
    views: [Filter; 2],
    groups: Vec<Group>,
    cities: Vec<City>,
    legend: Vec<Meaning>,
    view: &'static str,
    shown: usize,
    total: usize,
}

struct Filter {
    value: &'static str,
    text: &'static str,
    count: usize,
    href: String,
    is_chosen: bool,
}

/// The units of a city or, in it, of a county.
struct Group {
    name: String,
    connected: usize,
    rows: Vec<Row>,
}

struct Row {
    unit: String,
    title: String,
    state: Chip,
    links: String,
    seen: Option<When>,
    seen_ago: String,
    mailbox: String,
    href: String,
    is_paused: bool,
    bytes: String,
    oldest: String,
    expires: Option<When>,
    expires_soon: bool,
    is_upstream: bool,
}

/// `GET /console/units?q=&state=&view=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let t = visit.t();
    let gateway = console.api.gateway();
    let now = gateway.intake().accepted;
    let units = gateway.units().await?;
    let status = gateway.status(visit.language).await?;
    let q = visit.query.text("q").to_lowercase();
    let chosen = visit.query.text("state");
    let named = |unit: &&UnitView| {
        let title = unit.title.as_deref().unwrap_or_default();
        unit.unit.as_str().contains(&q) || title.to_lowercase().contains(&q)
    };
    let shown: Vec<_> = units
        .iter()
        .filter(named)
        .filter(|unit| chosen.is_empty() || fits(unit, chosen))
        .take(SHOWN_MAX)
        .collect();
    let shows_map = visit.query.text("view") == "map";
    let (view, in_table) = match shows_map {
        true => ("map", &[][..]),
        false => ("", &shown[..]),
    };
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for unit in in_table {
        let name = place(&unit.unit);
        let group = groups.entry(name.clone()).or_insert_with(|| Group {
            name,
            connected: 0,
            rows: Vec::new(),
        });
        group.connected += usize::from(unit.connected);
        let is_upstream = status.upstream.as_ref() == Some(&unit.unit);
        group.rows.push(row(t, unit, is_upstream, now));
    }
    let here = |view, state| {
        let parameters = [("q", &*q), ("state", state), ("view", view)];
        address("/console/units", &parameters)
    };
    let filter = |value: &'static str| Filter {
        value,
        text: t.unit_filter(value),
        count: units.iter().filter(|unit| fits(unit, value)).count(),
        href: here(view, value),
        is_chosen: chosen == value,
    };
    let all = Filter {
        count: units.len(),
        ..filter("")
    };
    let show_as = |value, text| Filter {
        value,
        text,
        count: 0,
        href: here(value, chosen),
        is_chosen: view == value,
    };
    let on_map = if shows_map { &shown[..] } else { &[] };
    render(&Page {
        f: visit.frame("units", t.units),
        filters: [all].into_iter().chain(FILTERS.map(filter)).collect(),
        views: [show_as("", t.units_table), show_as("map", t.units_map)],
        cities: cities(t, on_map),
        legend: legend(t, on_map),
        view,
        groups: groups.into_values().collect(),
        shown: shown.len(),
        total: units.len(),
        q,
    })
}

fn fits(unit: &UnitView, filter: &str) -> bool {
    match filter {
        "connected" => unit.connected,
        "away" => !unit.connected,
        "mail" => unit.mailbox.messages > 0,
        "blocked" => unit.blocked,
        _ => false,
    }
}

/// The city, and the county if there is one: all of a name but its last part.
fn place(unit: &UnitId) -> String {
    let parts: Vec<_> = unit.as_str().split('.').collect();
    let of_place = parts.len().saturating_sub(1).clamp(1, 2);
    parts.get(..of_place).unwrap_or_default().join(".")
}

/// How a unit is.
pub(super) fn state(t: &'static Texts, unit: &UnitView) -> Chip {
    let (tone, text) = match (unit.blocked, unit.connected) {
        (true, _) => (Tone::Bad, t.unit_blocked),
        (_, true) => (Tone::Good, t.connected),
        _ if unit.seen.is_some() => (Tone::Warn, t.not_connected),
        _ => (Tone::Plain, t.never_seen),
    };
    Chip { tone, text }
}

fn row(t: &'static Texts, unit: &UnitView, is_upstream: bool, now: Millis) -> Row {
    let name = unit.unit.to_string();
    Row {
        title: unit.title.clone().unwrap_or_default(),
        state: state(t, unit),
        links: unit.links.join(", "),
        seen: unit.seen.map(When::exact),
        seen_ago: unit.seen.map_or_else(String::new, |seen| age(t, seen, now)),
        mailbox: count(unit.mailbox.messages),
        href: address("/console/queue", &[("neighbour", &name)]),
        is_paused: !unit.paused.is_empty(),
        bytes: bytes(unit.mailbox.bytes),
        oldest: unit
            .oldest
            .map_or_else(String::new, |oldest| age(t, oldest, now)),
        expires: unit.certificate_expires.map(When::brief_year),
        expires_soon: unit
            .certificate_expires
            .is_some_and(|at| at < now + EXPIRES_SOON),
        is_upstream,
        unit: name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_with_those_of_their_city_and_county() {
        for (unit, of) in [
            ("hebi.xunxian.tobacco", "hebi.xunxian"),
            ("hebi.410621.031", "hebi.410621"),
            ("hebi.police", "hebi"),
            ("hebi", "hebi"),
            ("hebi.xunxian.tobacco.east", "hebi.xunxian"),
        ] {
            assert_eq!(place(&unit.parse().expect("a unit")), of);
        }
    }
}
