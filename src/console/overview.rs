//! The first page: what needs attention, links, queues, storage, and what is on its way.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console, form,
    pause::REASON_BYTES_MAX,
    show::{Chip, Tone, age, bytes, count, percent, rate, span},
    texts::{Texts, fill},
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, LinkView, Status, TransferView, UnitView, Warning},
    model::{Millis, UnitId},
};

/// Rows of a table at most; the pages behind them have the rest.
const LINKS_MAX: usize = 40;
const QUEUES_MAX: usize = 15;
const TRANSFERS_MAX: usize = 20;
/// What waits so long for a unit that is away is worth a look: an hour.
const WAITS_LONG: Millis = 3600 * 1000;
/// A bound that is used so far, percent, is worth a look.
const NEARLY_FULL: u64 = 80;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    f: Frame,
    warnings: Vec<Concern>,
    figures: Vec<Figure>,
    links: Vec<LinkRow>,
    links_more: usize,
    queues: Vec<QueueRow>,
    queues_more: usize,
    bounds: Vec<Bound>,
    transfers: Vec<TransferRow>,
    is_draining: bool,
    reason_max: usize,
    about: String,
}

struct Concern {
    tone: &'static str,
    text: String,
    detail: String,
    /// Where something can be done about it.
    href: String,
}

struct Figure {
    name: &'static str,
    value: String,
    note: String,
    href: &'static str,
}

struct LinkRow {
    neighbour: String,
    link: String,
    kind: &'static str,
    state: Chip,
    since: String,
    rtt: String,
    loss: String,
    rate: String,
    up: String,
    down: String,
    flying: String,
    ratio: String,
    budget: Option<Budget>,
    error: String,
}

struct Budget {
    used: u64,
    max: u64,
    text: String,
}

struct QueueRow {
    neighbour: String,
    href: String,
    lanes: [String; 4],
    total: String,
    bytes: String,
    oldest: String,
    waiting: String,
    empty_in: String,
}

struct Bound {
    name: &'static str,
    used: u64,
    max: u64,
    percent: u64,
    text: String,
    tone: &'static str,
}

struct TransferRow {
    digest: String,
    full: String,
    neighbour: String,
    way: &'static str,
    bytes: u64,
    size: u64,
    text: String,
    rate: String,
    left: String,
}

/// `GET /console/`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let gateway = console.api.gateway();
    let status = gateway.status(visit.language).await?;
    let links = gateway.links(visit.language).await?;
    let units = gateway.units().await?;
    let now = gateway.intake().accepted;
    let t = visit.t();
    let mut waiting: Vec<_> = units.iter().filter(|u| u.mailbox.messages > 0).collect();
    waiting.sort_by_key(|unit| (std::cmp::Reverse(unit.mailbox.messages), &unit.unit));
    let drains = drains(&waiting, &links);
    let queues = waiting.iter().zip(&drains);
    let transfers = status.attachments.under_way.iter().take(TRANSFERS_MAX);
    render(&Page {
        f: visit.frame("overview", t.overview),
        warnings: warnings(t, &status, &links, &units, now),
        figures: figures(t, &status, &units),
        links: links
            .iter()
            .take(LINKS_MAX)
            .map(|link| link_row(t, link, now))
            .collect(),
        links_more: links.len().saturating_sub(LINKS_MAX),
        queues: queues
            .take(QUEUES_MAX)
            .map(|(unit, drain)| queue_row(t, unit, *drain, now))
            .collect(),
        queues_more: waiting.len().saturating_sub(QUEUES_MAX),
        bounds: bounds(t, console, &status),
        transfers: transfers.map(|one| transfer_row(t, one)).collect(),
        is_draining: status.draining,
        reason_max: REASON_BYTES_MAX,
        about: fill(
            t.about_node,
            &[
                &status.version,
                &span(t, now.saturating_sub(status.started) / 1000),
            ],
        ),
    })
}

fn warnings(
    t: &Texts,
    status: &Status,
    links: &[LinkView],
    units: &[UnitView],
    now: Millis,
) -> Vec<Concern> {
    let of_node = status.warnings.iter().map(|warned| {
        let (bad, text) = t.warning(warned);
        Concern {
            tone: if bad { Tone::Bad } else { Tone::Warn }.class(),
            text,
            detail: String::new(),
            href: match &warned.warning {
                Warning::Paused { unit, .. } => queue_of(unit),
                Warning::Drained { .. } => "#maintenance".into(),
                _ => String::new(),
            },
        }
    });
    let down = links.iter().filter(|link| !link.up);
    let down = down.map(|link| Concern {
        tone: Tone::Warn.class(),
        text: fill(
            t.warn_link_down,
            &[
                &link.link,
                &link.neighbour,
                &link
                    .since
                    .map_or_else(String::new, |since| age(t, since, now)),
            ],
        ),
        detail: link.error.clone().unwrap_or_default(),
        href: String::new(),
    });
    let waits = units.iter().filter(|unit| {
        let is_long = unit
            .oldest
            .is_some_and(|oldest| now.saturating_sub(oldest) > WAITS_LONG);
        is_long && !unit.connected
    });
    let waits = waits.map(|unit| Concern {
        tone: Tone::Warn.class(),
        text: fill(
            t.warn_waits,
            &[
                &count(unit.mailbox.messages),
                &unit.unit,
                &unit
                    .oldest
                    .map_or_else(String::new, |oldest| age(t, oldest, now)),
            ],
        ),
        detail: String::new(),
        href: queue_of(&unit.unit),
    });
    let nearly_full = [
        (
            t.bound_journal,
            status.journal_bytes,
            status.journal_bytes_max,
        ),
        (
            t.bound_attachments,
            status.attachments.bytes,
            status.attachments.bytes_max,
        ),
    ];
    let nearly_full = nearly_full
        .into_iter()
        .map(|(name, used, max)| (name, percent(used, max)))
        .filter(|(_, percent)| *percent >= NEARLY_FULL)
        .map(|(name, percent)| Concern {
            tone: Tone::Warn.class(),
            text: fill(t.warn_nearly_full, &[&name, &percent]),
            detail: String::new(),
            href: String::new(),
        });
    of_node
        .chain(down)
        .chain(nearly_full)
        .chain(waits)
        .take(50)
        .collect()
}

fn queue_of(unit: &UnitId) -> String {
    form::address("/console/queue", &[("neighbour", unit.as_str())])
}

fn figures(t: &'static Texts, status: &Status, units: &[UnitView]) -> Vec<Figure> {
    let connected = units.iter().filter(|unit| unit.connected).count();
    let mut figures = vec![
        Figure {
            name: t.figure_queued,
            value: count(status.queued.messages),
            note: bytes(status.queued.bytes),
            href: "/console/queue",
        },
        Figure {
            name: t.figure_inbox,
            value: count(status.inbox.messages),
            note: bytes(status.inbox.bytes),
            href: "",
        },
        Figure {
            name: t.figure_awaiting,
            value: count(status.awaiting_receipts),
            note: t.figure_awaiting_note.into(),
            href: "",
        },
    ];
    let figure = if status.listens {
        Figure {
            name: t.figure_units,
            value: format!("{connected} / {}", units.len()),
            note: fill(t.figure_sessions, &[&status.sessions]),
            href: "/console/units",
        }
    } else {
        Figure {
            name: t.figure_upstream,
            value: if connected > 0 {
                t.connected
            } else {
                t.not_connected
            }
            .into(),
            note: status
                .upstream
                .as_ref()
                .map_or_else(String::new, UnitId::to_string),
            href: "",
        }
    };
    figures.push(figure);
    figures
}

fn link_row(t: &'static Texts, link: &LinkView, now: Millis) -> LinkRow {
    let some = |number: Option<String>| number.unwrap_or_else(|| "–".into());
    let usage = link.usage.as_ref();
    LinkRow {
        neighbour: link.neighbour.to_string(),
        link: link.link.clone(),
        kind: t.link_kind(&link.kind),
        state: t.link_state(link.state, link.takes),
        since: link
            .since
            .map_or_else(String::new, |since| age(t, since, now)),
        rtt: some(link.rtt_ms.map(|ms| format!("{ms:.0} ms"))),
        loss: some(link.loss_percent.map(|percent| format!("{percent:.1} %"))),
        rate: some(link.rate_bps.map(|bps| rate(bps as f64))),
        up: some(link.sent_bps.map(|bps| rate(bps as f64))),
        down: some(link.received_bps.map(|bps| rate(bps as f64))),
        flying: some(link.up.then(|| bytes(link.in_flight_bytes))),
        ratio: some(link.ratio_sent.map(|ratio| format!("{ratio:.2}"))),
        budget: usage.and_then(|usage| {
            let max = usage.budget_bytes?;
            Some(Budget {
                used: usage.today_bytes.min(max),
                max,
                text: format!("{} / {}", bytes(usage.today_bytes), bytes(max)),
            })
        }),
        error: link.error.clone().unwrap_or_default(),
    }
}

/// How fast each queue empties.
#[derive(Clone, Copy)]
enum Drain {
    /// No link is up.
    Stands,
    /// Bytes of parcels a second.
    Flows(f64),
}

fn drains(of: &[&UnitView], links: &[LinkView]) -> Vec<Drain> {
    // What has gone lately over all links to a neighbour, and what they could carry when nothing has.
    let mut flows: HashMap<&UnitId, (f64, f64)> = HashMap::new();
    for link in links.iter().filter(|link| link.up) {
        let (lately, could) = flows.entry(&link.neighbour).or_default();
        *lately += link.payload_sent_bps.unwrap_or_default() as f64 / 8.0;
        let bytes = link.rate_bps.unwrap_or_default() as f64 / 8.0;
        *could += bytes / link.ratio_sent.unwrap_or(1.0).max(0.05);
    }
    let drain = |unit: &&UnitView| match flows.get(&unit.unit) {
        None => Drain::Stands,
        Some((lately, could)) => Drain::Flows(if *lately > 0.0 { *lately } else { *could }),
    };
    of.iter().map(drain).collect()
}

fn queue_row(t: &Texts, unit: &UnitView, drain: Drain, now: Millis) -> QueueRow {
    let name = unit.unit.to_string();
    let lanes = &unit.mailbox_lanes;
    QueueRow {
        href: queue_of(&unit.unit),
        neighbour: name,
        lanes: [lanes.flash, lanes.urgent, lanes.normal, lanes.bulk].map(count),
        total: count(unit.mailbox.messages),
        bytes: bytes(unit.mailbox.bytes),
        oldest: unit
            .oldest
            .map_or_else(|| "–".into(), |oldest| age(t, oldest, now)),
        waiting: count(unit.waiting),
        empty_in: match drain {
            Drain::Stands => t.queue_stands.into(),
            Drain::Flows(rate) if rate >= 1.0 => {
                span(t, (unit.mailbox.bytes as f64 / rate).ceil() as u64)
            }
            Drain::Flows(_) => "–".into(),
        },
    }
}

fn bounds<G: Gateway>(t: &'static Texts, console: &Console<G>, status: &Status) -> Vec<Bound> {
    let limits = console.api.limits();
    let mib = |mib: u32| u64::from(mib) << 20;
    let all = [
        (
            t.bound_journal,
            status.journal_bytes,
            status.journal_bytes_max,
        ),
        (
            t.bound_attachments,
            status.attachments.bytes,
            status.attachments.bytes_max,
        ),
        (t.bound_inbox, status.inbox.bytes, mib(limits.inbox_mib)),
    ];
    let bound = |(name, used, max)| {
        let percent = percent(used, max);
        Bound {
            name,
            used: used.min(max),
            max,
            percent,
            text: format!("{} / {}", bytes(used), bytes(max)),
            tone: match percent {
                0..NEARLY_FULL => Tone::Good,
                NEARLY_FULL..95 => Tone::Warn,
                _ => Tone::Bad,
            }
            .class(),
        }
    };
    all.into_iter().map(bound).collect()
}

fn transfer_row(t: &'static Texts, one: &TransferView) -> TransferRow {
    let full = one.digest.to_string();
    let hex = full.strip_prefix("blake3:").unwrap_or(&full);
    TransferRow {
        digest: hex.chars().take(12).collect(),
        neighbour: one.neighbour.to_string(),
        way: if one.way == "in" { t.way_in } else { t.way_out },
        bytes: one.bytes,
        size: one.size.unwrap_or_default(),
        text: match one.size {
            Some(size) => format!("{} / {}", bytes(one.bytes), bytes(size)),
            None => bytes(one.bytes),
        },
        rate: one
            .rate_bps
            .map_or_else(|| "–".into(), |bps| rate(bps as f64)),
        left: one
            .seconds_left
            .map_or_else(|| "–".into(), |left| span(t, left)),
        full,
    }
}
