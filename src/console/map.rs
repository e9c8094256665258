//! The units as a map: cities, their counties, and in them a tile for each unit. It is drawn from their names alone.

use std::collections::BTreeMap;

use super::{
    form::address,
    show::{Chip, Tone, count},
    texts::Texts,
    units::state,
};
use crate::api::UnitView;

/// A city: all names that begin with its own.
pub(super) struct City {
    pub(super) name: String,
    pub(super) connected: usize,
    /// Units of the city itself first, under an empty name; then county by county.
    pub(super) counties: Vec<County>,
}

/// A county of a city, or the city's own units.
pub(super) struct County {
    pub(super) name: String,
    pub(super) connected: usize,
    pub(super) tiles: Vec<Tile>,
}

/// A unit.
pub(super) struct Tile {
    /// What of its name the city and the county do not say.
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) title: String,
    pub(super) state: Chip,
    /// Messages that wait for it; empty when there are none.
    pub(super) mail: String,
    pub(super) is_paused: bool,
    pub(super) href: String,
}

impl City {
    /// How many units it has.
    pub(super) fn total(&self) -> usize {
        self.counties.iter().map(|county| county.tiles.len()).sum()
    }
}

/// What a colour means, and for how many units it stands.
pub(super) struct Meaning {
    pub(super) state: Chip,
    pub(super) count: usize,
}

/// Puts units on the map, in order of their names.
pub(super) fn cities(t: &'static Texts, units: &[&UnitView]) -> Vec<City> {
    let mut cities: BTreeMap<String, BTreeMap<String, County>> = BTreeMap::new();
    for unit in units {
        let (city, county, name) = parts(unit.unit.as_str());
        let counties = cities.entry(city.to_owned()).or_default();
        let county = counties.entry(county.to_owned()).or_insert_with(|| County {
            name: county.to_owned(),
            connected: 0,
            tiles: Vec::new(),
        });
        county.connected += usize::from(unit.connected);
        county.tiles.push(tile(t, unit, name));
    }
    let city = |(name, counties): (String, BTreeMap<String, County>)| City {
        name,
        connected: counties.values().map(|county| county.connected).sum(),
        counties: counties.into_values().collect(),
    };
    cities.into_iter().map(city).collect()
}

/// What the colours mean.
pub(super) fn legend(t: &'static Texts, units: &[&UnitView]) -> Vec<Meaning> {
    let mut meanings: Vec<Meaning> = Vec::new();
    for unit in units {
        let state = state(t, unit);
        match meanings.iter_mut().find(|m| m.state.text == state.text) {
            Some(meaning) => meaning.count += 1,
            None => meanings.push(Meaning { state, count: 1 }),
        }
    }
    let worst_last = [Tone::Good, Tone::Plain, Tone::Warn, Tone::Bad];
    meanings.sort_by_key(|m| worst_last.iter().position(|tone| *tone == m.state.tone));
    meanings
}

/// City, county and the rest of a name. A name of two parts is a unit of the city itself; what stands below a county's unit is shown with it.
fn parts(unit: &str) -> (&str, &str, &str) {
    match unit.split_once('.') {
        None => (unit, "", unit),
        Some((city, rest)) => match rest.split_once('.') {
            None => (city, "", rest),
            Some((county, name)) => (city, county, name),
        },
    }
}

fn tile(t: &'static Texts, unit: &UnitView, name: &str) -> Tile {
    Tile {
        name: name.to_owned(),
        title: unit.title.clone().unwrap_or_default(),
        state: state(t, unit),
        mail: match unit.mailbox.messages {
            0 => String::new(),
            messages => count(messages),
        },
        is_paused: !unit.paused.is_empty(),
        href: address("/console/queue", &[("neighbour", unit.unit.as_str())]),
        unit: unit.unit.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_a_unit_stands() {
        for (unit, place) in [
            ("hebi", ("hebi", "", "hebi")),
            ("hebi.police", ("hebi", "", "police")),
            ("hebi.xunxian.tobacco", ("hebi", "xunxian", "tobacco")),
            (
                "hebi.xunxian.tobacco.east",
                ("hebi", "xunxian", "tobacco.east"),
            ),
        ] {
            assert_eq!(parts(unit), place);
        }
    }
}
