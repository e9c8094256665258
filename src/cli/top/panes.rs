//! What stands in each pane.

use jiff::Timestamp;
use ratatui::text::Line;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    super::{exit::one_line, table::bytes},
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

const LINKS: [Column; 13] = [
    Column::name("NEIGHBOUR", 2, 10),
    Column::name("LINK", 0, 9),
    Column::word("STATE", 1),
    Column::figure("RTT", 3),
    Column::figure("LOSS", 4),
    Column::figure("RATE", 5),
    Column::figure("SENDS", 6),
    Column::figure("GETS", 8),
    Column::figure("TODAY", 7),
    Column::figure("FOR", 9),
    Column::figure("FLYING", 10),
    Column::figure("RATIO", 11),
    Column::word("KIND", 12),
];

const QUEUES: [Column; 10] = [
    Column::name("NEIGHBOUR", 0, 10),
    Column::name("TITLE", 8, 8),
    Column::word("STATE", 9),
    Column::figure("FLASH", 1),
    Column::figure("URGENT", 2),
    Column::figure("NORMAL", 3),
    Column::figure("BULK", 4),
    Column::figure("SIZE", 7),
    Column::figure("OLDEST", 5),
    Column::figure("EMPTY IN", 6),
];

const ATTACHMENTS: [Column; 8] = [
    Column::word("ATTACHMENT", 0),
    Column::word("WAY", 1),
    Column::name("NEIGHBOUR", 2, 10),
    Column::figure("SIZE", 6),
    Column::word("", 7),
    Column::figure("DONE", 3),
    Column::figure("RATE", 4),
    Column::figure("LEFT", 5),
];

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
    let picture = &view.picture;
    let links: Vec<_> = picture
        .links
        .iter()
        .map(|link| link_row(link, now))
        .collect();
    let queues: Vec<_> = picture
        .queues
        .iter()
        .map(|queue| queue_row(queue, now))
        .collect();
    let under_way = picture.status.attachments.under_way.iter();
    let transfers: Vec<_> = under_way.map(transfer_row).collect();
    let of_table = |title, (head, rows): (Line<'static>, Vec<_>)| Part {
        title,
        head: (!rows.is_empty()).then_some(head),
        rows,
        needs_rows: false,
    };
    Pane::ALL.map(|pane| match pane {
        Pane::Warnings => Part {
            title: "Warnings",
            head: None,
            rows: warning_rows(view, theme, now, width),
            needs_rows: true,
        },
        Pane::Links => of_table("Links", table(&LINKS, &links, width, theme)),
        Pane::Queues => of_table("Queues", table(&QUEUES, &queues, width, theme)),
        Pane::Attachments => of_table(
            "Attachments under way",
            table(&ATTACHMENTS, &transfers, width, theme),
        ),
    })
}

fn warning_rows(view: &View, theme: Theme, now: Timestamp, width: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for (tone, text) in warnings(&view.picture, now) {
        let lines = wrapped(&one_line(&text), width.saturating_sub(2));
        for (at, line) in lines.into_iter().enumerate() {
            let mark = if at == 0 { "! " } else { "  " };
            rows.push(Line::styled(format!("{mark}{line}"), theme.style(tone)));
        }
    }
    rows
}

/// A text in lines of a width, parted at blanks where there are some.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let wide = word.width();
        if used > 0 && used + 1 + wide > width {
            lines.push(String::new());
            used = 0;
        }
        let blank = (used > 0).then_some(' ');
        for letter in blank.into_iter().chain(word.chars()) {
            let wide = letter.width().unwrap_or(0);
            if used > 0 && used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
            used += wide;
        }
    }
    lines
}

fn link_row(flowing: &Flowing, now: Timestamp) -> [Cell; LINKS.len()] {
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
    let state = match link.takes.as_str() {
        "express" => format!("{}, urgent only", link.state),
        _ => link.state.clone(),
    };
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
        link.usage.as_ref().map_or_else(Cell::default, today),
        Cell::from(age(link.since, now)),
        Cell::from(match link.up {
            true => bytes(link.in_flight_bytes),
            false => String::new(),
        }),
        figure(link.ratio_sent.map(|ratio| format!("{ratio:.2}"))),
        Cell::from(&link.kind),
    ]
}

/// What a link has carried today, of its budget if it has one.
fn today(usage: &Usage) -> Cell {
    let carried = bytes(usage.today_bytes);
    match usage.budget_bytes {
        Some(budget) => {
            let is_spent = usage.today_bytes >= budget;
            let tone = if is_spent { Tone::Bad } else { Tone::Plain };
            Cell::toned(&format!("{carried} of {}", bytes(budget)), tone)
        }
        None => Cell::from(carried),
    }
}

fn queue_row(queue: &Queue, now: Timestamp) -> [Cell; QUEUES.len()] {
    let unit = &queue.unit;
    let (state, tone) = match (unit.blocked, unit.paused.is_empty(), unit.connected) {
        (true, ..) => ("blocked", Tone::Bad),
        (_, false, _) => ("paused", Tone::Warn),
        (.., true) => ("connected", Tone::Good),
        _ => ("away", Tone::Warn),
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
        Cell::from(age(unit.oldest, now)),
        match queue.empty {
            Empty::After(seconds) => Cell::from(span(seconds)),
            Empty::NoLink => Cell::toned("no link", Tone::Warn),
            Empty::Paused => Cell::toned("paused", Tone::Warn),
            Empty::Waits => Cell::toned("waits", Tone::Warn),
            Empty::Unknown => Cell::from("-"),
        },
    ]
}

fn transfer_row(transfer: &Transfer) -> [Cell; ATTACHMENTS.len()] {
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
        Cell::from(&transfer.way),
        Cell::from(&transfer.neighbour),
        figure(transfer.size.map(bytes)),
        figure(bar),
        Cell::from(percent.map_or_else(|| bytes(done), |percent| format!("{percent} %"))),
        figure(transfer.rate_bps.map(|bps| rate(bps as f64))),
        figure(transfer.seconds_left.map(span)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_warning_is_parted_at_blanks_and_one_without_them_anywhere() {
        assert_eq!(
            wrapped("the link 3g is down", 11),
            ["the link 3g", "is down"]
        );
        assert_eq!(wrapped("案件移送 一二", 6), ["案件移", "送", "一二"]);
        assert_eq!(wrapped("", 5), [""]);
        // A width of nothing ends all the same.
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }
}
