//! What stands in each pane.

use jiff::Timestamp;
use ratatui::text::Line;

use super::{
    super::{
        exit::one_line,
        lines::wrapped,
        table::bytes,
        texts::{Texts, fill},
    },
    columns::{Cell, Column, table},
    figures::{age, rate, span},
    model::{Empty, Flowing, Queue},
    node::{Transfer, Usage},
    theme::{Theme, Tone},
    view::{Pane, View},
    warnings::warnings,
};

/// Letters of a digest that tell it from others.
const DIGEST_SHOWN: usize = 12;
/// Signs of a bar.
const BAR_SIGNS: usize = 20;

fn links(t: &Texts) -> [Column; 13] {
    [
        Column::name(t.head_neighbour, 2, 10),
        Column::name(t.head_link, 0, 9),
        Column::word(t.head_state, 1),
        Column::figure(t.head_rtt, 3),
        Column::figure(t.head_loss, 4),
        Column::figure(t.head_capacity, 5),
        Column::figure(t.head_sends, 6),
        Column::figure(t.head_gets, 8),
        Column::figure(t.head_today, 7),
        Column::figure(t.head_lasts, 9),
        Column::figure(t.head_flying, 10),
        Column::figure(t.head_ratio, 11),
        Column::word(t.head_kind, 12),
    ]
}

fn queues(t: &Texts) -> [Column; 10] {
    [
        Column::name(t.head_neighbour, 0, 10),
        Column::name(t.head_unit_title, 8, 8),
        Column::word(t.head_state, 9),
        Column::figure(t.head_flash, 1),
        Column::figure(t.head_urgent, 2),
        Column::figure(t.head_normal, 3),
        Column::figure(t.head_bulk, 4),
        Column::figure(t.head_size, 7),
        Column::figure(t.head_oldest, 5),
        Column::figure(t.head_empty_in, 6),
    ]
}

fn attachments(t: &Texts) -> [Column; 8] {
    [
        Column::word(t.head_attachment, 0),
        Column::word(t.head_way, 1),
        Column::name(t.head_neighbour, 2, 10),
        Column::figure(t.head_size, 6),
        Column::word("", 7),
        Column::figure(t.head_done, 3),
        Column::figure(t.head_rate, 4),
        Column::figure(t.head_left, 5),
    ]
}

/// A pane's lines.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) title: &'static str,
    /// The names of its columns.
    pub(super) head: Option<Line<'static>>,
    pub(super) rows: Vec<Line<'static>>,
    /// Nothing is drawn of it when it has no rows.
    needs_rows: bool,
}

impl Part {
    /// The lines that it wants.
    pub(super) fn height(&self) -> usize {
        match self.rows.len() {
            0 if self.needs_rows => 0,
            rows => 1 + usize::from(self.head.is_some()) + rows,
        }
    }
}

/// The panes in the order of [`Pane::ALL`].
pub(super) fn parts(
    view: &View,
    theme: Theme,
    now: Timestamp,
    width: usize,
) -> [Part; Pane::ALL.len()] {
    let (t, picture) = (view.t, &view.picture);
    let flowing = picture.links.iter();
    let flowing: Vec<_> = flowing.map(|link| link_row(t, link, now)).collect();
    let waiting = picture.queues.iter();
    let waiting: Vec<_> = waiting.map(|queue| queue_row(t, queue, now)).collect();
    let under_way = picture.status.attachments.under_way.iter();
    let under_way: Vec<_> = under_way.map(|one| transfer_row(t, one)).collect();
    let of_table = |title, (head, rows): (Line<'static>, Vec<_>)| Part {
        title,
        head: (!rows.is_empty()).then_some(head),
        rows,
        needs_rows: false,
    };
    Pane::ALL.map(|pane| match pane {
        Pane::Warnings => Part {
            title: t.top_warnings,
            head: None,
            rows: warning_rows(view, theme, now, width),
            needs_rows: true,
        },
        Pane::Links => of_table(t.top_links, table(&links(t), &flowing, width, theme)),
        Pane::Queues => of_table(t.top_queues, table(&queues(t), &waiting, width, theme)),
        Pane::Attachments => of_table(
            t.top_attachments,
            table(&attachments(t), &under_way, width, theme),
        ),
    })
}

fn warning_rows(view: &View, theme: Theme, now: Timestamp, width: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for (tone, text) in warnings(view.t, &view.picture, now) {
        let lines = wrapped(&one_line(&text), width.saturating_sub(2));
        for (at, line) in lines.into_iter().enumerate() {
            let mark = if at == 0 { "! " } else { "  " };
            rows.push(Line::styled(format!("{mark}{line}"), theme.style(tone)));
        }
    }
    rows
}

fn link_row(t: &Texts, flowing: &Flowing, now: Timestamp) -> [Cell; 13] {
    let link = &flowing.link;
    let lately = |bps| match link.up {
        true => Cell::from(rate(bps)),
        false => Cell::default(),
    };
    let tone = match link.state.as_str() {
        "sound" => Tone::Good,
        "proving" | "opening" => Tone::Warn,
        _ => Tone::Bad,
    };
    let state = t.link_state(&link.state, &link.takes);
    let figure = |figure: Option<String>| Cell::from(figure.unwrap_or_default());
    [
        Cell::from(&link.neighbour),
        Cell::from(&link.link),
        Cell::toned(&state, tone),
        figure(link.rtt_ms.map(|ms| format!("{ms:.0} ms"))),
        figure(link.loss_percent.map(|percent| format!("{percent:.1} %"))),
        figure(link.rate_bps.map(|bps| rate(bps as f64))),
        lately(flowing.sent_bps),
        lately(flowing.received_bps),
        match &link.usage {
            Some(usage) => today(t, usage),
            None => Cell::default(),
        },
        Cell::from(age(t, link.since, now)),
        Cell::from(match link.up {
            true => bytes(link.in_flight_bytes),
            false => String::new(),
        }),
        figure(link.ratio_sent.map(|ratio| format!("{ratio:.2}"))),
        Cell::from(&link.kind),
    ]
}

/// What a link has carried today, of its budget if it has one.
fn today(t: &Texts, usage: &Usage) -> Cell {
    let carried = bytes(usage.today_bytes);
    match usage.budget_bytes {
        Some(budget) => {
            let is_spent = usage.today_bytes >= budget;
            let tone = if is_spent { Tone::Bad } else { Tone::Plain };
            Cell::toned(&fill(t.of_budget, &[&carried, &bytes(budget)]), tone)
        }
        None => Cell::from(carried),
    }
}

fn queue_row(t: &Texts, queue: &Queue, now: Timestamp) -> [Cell; 10] {
    let unit = &queue.unit;
    let (state, tone) = match (unit.blocked, unit.paused.is_empty(), unit.connected) {
        (true, ..) => (t.blocked, Tone::Bad),
        (_, false, _) => (t.paused, Tone::Warn),
        (.., true) => (t.connected, Tone::Good),
        _ => (t.away, Tone::Warn),
    };
    let lanes = &unit.mailbox_lanes;
    let depth = |messages: u64| {
        let tone = if messages == 0 {
            Tone::Faint
        } else {
            Tone::Plain
        };
        Cell::toned(&messages.to_string(), tone)
    };
    [
        Cell::from(&unit.unit),
        Cell::from(&unit.title),
        Cell::toned(state, tone),
        depth(lanes.flash),
        depth(lanes.urgent),
        depth(lanes.normal),
        depth(lanes.bulk),
        Cell::from(bytes(unit.mailbox.bytes)),
        Cell::from(age(t, unit.oldest, now)),
        match queue.empty {
            Empty::After(seconds) => Cell::from(span(t, seconds)),
            Empty::NoLink => Cell::toned(t.no_link, Tone::Warn),
            Empty::Paused => Cell::toned(t.paused, Tone::Warn),
            Empty::Waits => Cell::toned(t.waits, Tone::Warn),
            Empty::Unknown => Cell::from("-"),
        },
    ]
}

fn transfer_row(t: &Texts, transfer: &Transfer) -> [Cell; 8] {
    let digest = transfer.digest.strip_prefix("blake3:");
    let digest: String = digest
        .unwrap_or(&transfer.digest)
        .chars()
        .take(DIGEST_SHOWN)
        .collect();
    let done = transfer.bytes;
    let percent = transfer.size.map(|size| match size {
        0 => 100,
        size => (u128::from(done) * 100 / u128::from(size)).min(100) as usize,
    });
    let bar = percent.map(|percent| {
        let full = percent * BAR_SIGNS / 100;
        format!("[{}{}]", "#".repeat(full), ".".repeat(BAR_SIGNS - full))
    });
    let figure = |figure: Option<String>| Cell::from(figure.unwrap_or_default());
    [
        Cell::from(digest),
        Cell::from(t.way(&transfer.way)),
        Cell::from(&transfer.neighbour),
        figure(transfer.size.map(bytes)),
        figure(bar),
        Cell::from(percent.map_or_else(|| bytes(done), |percent| format!("{percent} %"))),
        figure(transfer.rate_bps.map(|bps| rate(bps as f64))),
        figure(transfer.seconds_left.map(|seconds| span(t, seconds))),
    ]
}
