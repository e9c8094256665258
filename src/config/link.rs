//! `[upstream]`: the hub that the node dials, and the links to it.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    document::{Document, Section},
    field::{Field, quoted},
    hours::Hours,
    settings::{Compression, Link, LinkKind, Local, Upstream},
    texts::told,
};
use crate::{language::fill, model::UnitId};

/// Longest name of a network interface in bytes: Linux's `IFNAMSIZ` with its terminating zero.
const INTERFACE_BYTES_MAX: usize = 15;

/// Reads `[upstream]`.
pub(super) fn upstream(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    own: Option<&UnitId>,
) -> Option<Upstream> {
    let hub = section.required("hub", "\"hebi.hub\"").and_then(|field| {
        let hub = field.unit()?;
        if Some(&hub) == own {
            field.error(told(|t| fill(t.own_unit, &[&hub])), told(|t| t.write_hub));
        }
        Some(hub)
    });
    let sections = section.sections("link");
    if let Some(beyond) = sections.get(Upstream::LINKS_MAX) {
        document.error(
            beyond.at(),
            "upstream.link",
            told(|t| fill(t.links_too_many, &[&sections.len()])),
            told(|t| fill(t.write_at_most, &[&Upstream::LINKS_MAX])),
        );
    }
    let mut links = Vec::new();
    let mut lines = BTreeMap::new();
    for section in &sections {
        links.extend(link(document, section, &mut lines));
    }
    section.finish();
    if section.is_present() && sections.is_empty() {
        document.missing(
            section.at(),
            "upstream.link",
            told(|t| t.no_link),
            told(|t| t.write_link),
        );
    }
    Some(Upstream { hub: hub?, links })
}

/// Reads one link; `lines` has the names of the links before it, and where they stand.
fn link(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    lines: &mut BTreeMap<String, usize>,
) -> Option<Link> {
    let name = section.required("name", "\"exclusive\"").and_then(|field| {
        let name = link_name(&field)?;
        if let Some(line) = lines.insert(name.clone(), document.line(field.at())) {
            field.error(
                told(|t| fill(t.link_name_twice, &[&name, &line])),
                told(|t| t.write_other_link_name),
            );
        }
        Some(name)
    });
    let kinds = LinkKind::ALL.map(|kind| (kind.as_str(), kind));
    let kind = section
        .required("kind", "\"exclusive\", \"3g\" or \"lan\"")
        .and_then(|field| field.choice(&kinds));
    let address = section
        .required("address", "\"10.1.0.1:4433\"")
        .and_then(|field| field.address());
    let interface = section.field("interface");
    let bind = section.field("bind");
    if let (Some(interface), Some(bind)) = (&interface, &bind) {
        let later = if interface.at() > bind.at() {
            interface
        } else {
            bind
        };
        later.error(told(|t| t.interface_and_bind), told(|t| t.keep_interface));
    }
    let interface = interface.and_then(|field| interface_name(&field));
    let bind = bind.and_then(|field| {
        let ip = local_ip(&field)?;
        let remote = address.as_ref().and_then(|address| address.ip());
        if remote.is_some_and(|remote| remote.is_ipv4() != ip.is_ipv4()) {
            field.error(
                told(|t| fill(t.not_same_sort, &[&ip])),
                told(|t| t.write_same_sort),
            );
        }
        Some(ip)
    });
    let budget_mib_per_day = section
        .field("budget-mib-per-day")
        .and_then(|field| field.number(1..=1_048_576));
    let cost_s = section
        .field("cost")
        .and_then(|field| field.number(0..=Link::COST_S_MAX));
    let hours = section.field("hours").and_then(|field| hours(&field));
    let choices = Compression::ALL.map(|choice| (choice.as_str(), choice));
    let compression = section
        .field("compression")
        .and_then(|field| field.choice(&choices));
    section.finish();
    Some(Link {
        name: name?,
        kind: kind?,
        address: address?,
        local: match (interface, bind) {
            (Some(name), _) => Local::Interface(name),
            (None, Some(ip)) => Local::Address(ip),
            (None, None) => Local::Any,
        },
        budget_mib_per_day,
        compression: compression.unwrap_or_default(),
        cost_s: cost_s.unwrap_or(kind?.cost_s()),
        hours: hours.unwrap_or_default(),
    })
}

/// When a link may be used for everything.
fn hours(field: &Field<'_, '_>) -> Option<Vec<Hours>> {
    let example = "[\"08:00-18:00\"]";
    let items = field.list(example)?;
    if items.is_empty() || items.len() > Link::HOURS_MAX {
        field.error(
            told(|t| fill(t.times_wrong, &[&items.len()])),
            told(|t| fill(t.write_times, &[&Link::HOURS_MAX, &example])),
        );
        return None;
    }
    let hours = items.iter().map(|item| {
        let text = item.text()?;
        let hours = text.parse().ok();
        if hours.is_none() {
            item.error(
                told(|t| fill(t.no_time, &[&quoted(text)])),
                told(|t| t.write_time),
            );
        }
        hours
    });
    hours.collect()
}

/// A link's name goes to the hub and into metrics, so it is short and plain.
fn link_name(field: &Field<'_, '_>) -> Option<String> {
    let name = field.text()?;
    if Link::is_name(name) {
        return Some(name.to_owned());
    }
    let mended = name
        .trim()
        .to_ascii_lowercase()
        .replace(['_', ' ', '.'], "-");
    field.error(
        told(|t| fill(t.no_link_name, &[&quoted(name)])),
        told(|t| match Link::is_name(&mended) {
            true => fill(t.write_quoted, &[&mended]),
            false => fill(t.write_link_name, &[&Link::NAME_BYTES_MAX]),
        }),
    );
    None
}

fn interface_name(field: &Field<'_, '_>) -> Option<String> {
    let name = field.text()?;
    let fits = (1..=INTERFACE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if fits && name.parse::<IpAddr>().is_err() {
        return Some(name.to_owned());
    }
    field.error(
        told(|t| fill(t.no_interface, &[&quoted(name)])),
        told(|t| match name.parse::<IpAddr>() {
            Ok(ip) => fill(t.write_bind, &[&ip]),
            Err(_) => t.write_interface.to_owned(),
        }),
    );
    None
}

fn local_ip(field: &Field<'_, '_>) -> Option<IpAddr> {
    let text = field.text()?;
    let parsed = text.parse::<IpAddr>().ok();
    if parsed.is_none() {
        let without_port = text.parse::<std::net::SocketAddr>().ok();
        field.error(
            told(|t| fill(t.no_ip, &[&quoted(text)])),
            told(|t| match without_port {
                Some(socket) => fill(t.write_without_port, &[&socket.ip()]),
                None => t.write_local_ip.to_owned(),
            }),
        );
    }
    parsed
}
