//! The screen as it is drawn, of a node that is told here.

use jiff::Timestamp;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};
use serde_json::json;

use super::{
    draw::draw,
    model::{Model, Picture},
    node::Look,
    theme::Theme,
    view::{Pane, View},
};
use crate::cli::texts::{Language, Texts};

/// When the screen is drawn.
fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().expect("a time")
}

/// A county hub in trouble, as its API tells of it.
fn look() -> Look {
    let status = json!({
        "unit": "hebi.xunxian", "version": "0.1.0", "upstream": "hebi.hub", "listens": true, "ready": true,
        "started": "2026-11-23T05:00:00Z", "queued": {"messages": 1340, "bytes": 2_500_000},
        "inbox": {"messages": 2, "bytes": 900}, "awaiting_receipts": 7,
        "journal_bytes": 900_000_000_u64, "journal_bytes_max": 1_000_000_000_u64,
        "attachments": {
            "whole": 3, "bytes": 5_000_000, "bytes_max": 500_000_000, "under_way": [
                {"digest": "blake3:6af1c0de5a2b00", "neighbour": "hebi.hub", "way": "out", "size": 8_000_000,
                 "bytes": 2_000_000, "rate_bps": 400_000, "seconds_left": 120},
                {"digest": "blake3:00b1ade5a2b00f", "neighbour": "hebi.xunxian.tobacco", "way": "in", "bytes": 4096},
            ],
        },
        "warnings": ["what is for hebi.xunxian.court is paused by an operator: bulk; `casegate resume hebi.xunxian.court` lets it go"],
    });
    let link = |neighbour: &str, link: &str, state: &str| {
        json!({
            "neighbour": neighbour, "link": link, "kind": link, "up": state != "down", "state": state,
            "since": "2026-11-24T07:50:00Z", "bytes_sent": 70_000, "bytes_received": 9000, "payload_sent": 200_000,
            "in_flight_bytes": 0, "takes": "all",
        })
    };
    let mut exclusive = link("hebi.hub", "exclusive", "down");
    exclusive["error"] = json!("timed out");
    let mut mobile = link("hebi.hub", "3g", "sound");
    mobile["takes"] = json!("express");
    mobile["rtt_ms"] = json!(212.4);
    mobile["loss_percent"] = json!(1.25);
    mobile["rate_bps"] = json!(384_000);
    mobile["ratio_sent"] = json!(0.35);
    mobile["in_flight_bytes"] = json!(12_000);
    mobile["usage"] = json!({"today_bytes": 199_000_000, "budget_bytes": 209_715_200});
    let links = json!([
        exclusive,
        mobile,
        link("hebi.xunxian.tobacco", "lan", "silent")
    ]);
    let unit = |name: &str, title: &str, connected: bool, lanes: [u64; 4], oldest: &str| {
        json!({
            "unit": name, "title": title, "connected": connected, "blocked": false,
            "mailbox": {"messages": lanes.iter().sum::<u64>(), "bytes": lanes.iter().sum::<u64>() * 1800},
            "mailbox_lanes": {"flash": lanes[0], "urgent": lanes[1], "normal": lanes[2], "bulk": lanes[3]},
            "oldest": oldest, "waiting": 0,
        })
    };
    let mut court = unit(
        "hebi.xunxian.court",
        "浚县人民法院",
        false,
        [0, 0, 12, 88],
        "2026-11-22T07:00:00Z",
    );
    court["paused"] = json!(["bulk"]);
    let units = json!([
        unit(
            "hebi.hub",
            "",
            true,
            [1, 40, 1199, 0],
            "2026-11-24T07:58:20Z"
        ),
        court,
        unit(
            "hebi.xunxian.tobacco",
            "浚县烟草专卖局",
            true,
            [0, 0, 0, 0],
            "2026-11-24T07:58:20Z"
        ),
    ]);
    Look {
        status: serde_json::from_value(status).expect("a status"),
        links: serde_json::from_value(links).expect("links"),
        units: serde_json::from_value(units).expect("units"),
    }
}

/// What is drawn of it a second after it was seen first, when `sent` more bytes have gone over every link.
fn picture(sent: u64) -> Picture {
    let mut model = Model::default();
    model.take(look(), 0.0);
    let mut second = look();
    for link in &mut second.links {
        link.bytes_sent += sent;
        link.payload_sent += sent * 3;
    }
    model.take(second, 1.0)
}

fn view() -> View {
    View::new("http://127.0.0.1:8440".into(), picture(24_000), now())
}

fn screen(view: &View, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let drawn = terminal.draw(|frame| {
        draw(frame, view, theme, now());
    });
    drawn.expect("it is drawn").buffer.clone()
}

/// The same as text.
fn text(view: &View, width: u16, height: u16) -> String {
    lines(&screen(view, Theme::new(true), width, height)).join("\n")
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let row = |y| {
        let mut line = String::new();
        let mut x = 0;
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character takes the cell after it too.
            x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (0..area.height).map(row).collect()
}

#[test]
fn a_wide_terminal_shows_every_column() {
    insta::assert_snapshot!(text(&view(), 160, 30));
}

#[test]
fn a_terminal_of_80_columns_and_24_lines_shows_what_matters() {
    insta::assert_snapshot!(text(&view(), 80, 24));
}

fn in_chinese() -> View {
    View {
        t: Texts::of(Language::Chinese),
        ..view()
    }
}

#[test]
fn in_chinese_a_terminal_of_80_columns_and_24_lines_shows_what_matters() {
    insta::assert_snapshot!(text(&in_chinese(), 80, 24));
}

#[test]
fn in_chinese_a_wide_terminal_shows_every_column() {
    insta::assert_snapshot!(text(&in_chinese(), 160, 30));
}

#[test]
fn in_chinese_help_lies_over_the_screen_and_a_node_that_is_gone_is_told_of() {
    let mut view = in_chinese();
    view.help = true;
    insta::assert_snapshot!(text(&view, 80, 24));
    view.help = false;
    view.answered = "2026-11-24T07:59:48Z".parse().expect("a time");
    let silent = text(&view, 100, 30);
    assert!(silent.contains("已 12 秒没有应答"), "{silent}");
    view.trouble = Some("gone".into());
    let gone = text(&view, 80, 24);
    assert!(
        gone.contains("节点失联，所示为 12 秒前的状态，正在重试：gone"),
        "{gone}"
    );
}

#[test]
fn a_terminal_of_no_size_at_all_is_drawn_on_too() {
    let mut view = view();
    view.trouble = Some("gone".into());
    view.help = true;
    for (width, height) in [(1, 1), (2, 3), (5, 5), (20, 2), (3, 60), (300, 100)] {
        screen(&view, Theme::new(true), width, height);
    }
}

#[test]
fn a_node_that_is_gone_is_told_of_over_what_was_seen_last() {
    let mut view = view();
    view.answered = "2026-11-24T07:59:48Z".parse().expect("a time");
    let silent = text(&view, 100, 30);
    assert!(silent.contains("NO ANSWER for 12 s"), "{silent}");
    view.trouble = Some("http://127.0.0.1:8440: the node is not reachable: io: Connection refused; start it with `casegate run`, or name another with --api".into());
    let gone = text(&view, 80, 24);
    assert!(
        gone.contains("GONE, as it was 12 s ago, trying on"),
        "{gone}"
    );
    assert!(gone.contains("with --api"), "{gone}");
    assert!(gone.contains("hebi.xunxian.court"), "{gone}");
    view.paused = true;
    let paused = text(&view, 80, 24);
    assert!(
        paused.contains("PAUSED: as it was 12 s ago; p goes on"),
        "{paused}"
    );
}

#[test]
fn a_node_at_peace_has_no_warnings_and_says_that_nothing_waits() {
    let mut look = look();
    look.status.warnings.clear();
    look.status.journal_bytes = 1000;
    look.status.attachments.under_way.clear();
    look.units.clear();
    look.links.truncate(0);
    let mut view = view();
    view.picture = Model::default().take(look, 0.0);
    insta::assert_snapshot!(text(&view, 80, 12));
}

#[test]
fn a_pane_that_has_no_room_scrolls_to_its_last_row() {
    let mut view = view();
    let many = (0..50).map(|n| {
        let mut queue = view.picture.queues[0].clone();
        queue.unit.unit = format!("hebi.unit{n}");
        queue
    });
    view.picture.queues = many.collect();
    view.pane = Pane::Queues;
    view.scrolled[Pane::Queues as usize] = usize::MAX;
    let mut last = [0; 4];
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    let drawn = terminal.draw(|frame| last = draw(frame, &view, Theme::new(true), now()));
    drawn.expect("it is drawn");
    view.keep_within(last);
    let shown = text(&view, 80, 24);
    assert!(
        shown.contains("hebi.unit49") && !shown.contains("hebi.unit0 "),
        "{shown}"
    );
    assert!(
        shown.contains("> Queues") && shown.contains("-50 of 50"),
        "{shown}"
    );
}

#[test]
fn help_lies_over_the_screen() {
    let mut view = view();
    view.help = true;
    insta::assert_snapshot!(text(&view, 80, 24));
}

#[test]
fn without_colours_nothing_is_coloured_and_every_state_is_told_by_a_word() {
    let with = screen(&view(), Theme::new(true), 160, 30);
    let without = screen(&view(), Theme::new(false), 160, 30);
    let coloured = |buffer: &Buffer| {
        buffer
            .content
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert!(coloured(&with) > 20);
    assert_eq!(coloured(&without), 0);
    assert_eq!(lines(&with), lines(&without));
}

#[test]
fn what_others_wrote_steers_no_terminal() {
    let mut view = view();
    view.picture.queues[0].unit.title = "\u{1b}[2J\u{7}title".into();
    view.picture.status.warnings.push("a\u{1b}]0;b\u{7}".into());
    view.picture.links[0].link.error = Some("\r\n\u{9b}31m".into());
    view.picture.status.version = "\u{1b}c".into();
    let buffer = screen(&view, Theme::new(true), 160, 40);
    let controls = buffer
        .content
        .iter()
        .filter(|cell| cell.symbol().contains(char::is_control));
    assert_eq!(controls.count(), 0);
}
