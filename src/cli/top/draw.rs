//! The screen: the node in two lines, a notice when it is not as it should be, four panes that share what room there is, and the keys.

use jiff::Timestamp;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::{Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    super::{
        exit::one_line,
        lines::{left, wrapped},
        table::bytes,
        texts::{Texts, fill},
    },
    columns::cut,
    figures::{age, seconds_since, span},
    panes::{Part, parts},
    theme::{Theme, Tone},
    view::{Pane, View},
};

/// A node that has not answered for so long is told of, seconds.
const SILENT_S: u64 = 5;
/// Lines of a notice at most.
const NOTICE_LINES_MAX: usize = 3;

/// Draws it; gives the last row that each pane can begin with.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    view: &View,
    theme: Theme,
    now: Timestamp,
) -> [usize; Pane::ALL.len()] {
    let mut rest = frame.area();
    let time = view.time(now);
    let width = usize::from(rest.width);
    for line in heading(view, theme, time) {
        frame.render_widget(line, take(&mut rest, 1));
    }
    if let Some((tone, text)) = notice(view, now) {
        let lines = wrapped(&text, width).into_iter().take(NOTICE_LINES_MAX);
        let lines: Vec<_> = lines.map(Line::raw).collect();
        let area = take(&mut rest, u16::try_from(lines.len()).unwrap_or(u16::MAX));
        frame.render_widget(Paragraph::new(lines).style(theme.bar(tone)), area);
    }
    let mut keys = rest;
    keys.y = rest.bottom().saturating_sub(1);
    keys.height = rest.height.min(1);
    rest.height = rest.height.saturating_sub(1);
    let keys_text = Span::styled(view.t.top_keys, theme.style(Tone::Faint));
    frame.render_widget(keys_text, keys);

    let parts = parts(view, theme, time, width);
    let heights = share(parts.each_ref().map(Part::height), rest.height.into());
    let mut last = [0; Pane::ALL.len()];
    for (at, (part, height)) in parts.into_iter().zip(heights).enumerate() {
        let area = take(&mut rest, u16::try_from(height).unwrap_or(u16::MAX));
        let scrolled = view.scrolled.get(at).copied().unwrap_or_default();
        let is_chosen = view.pane as usize == at;
        let bound = pane(frame, area, part, scrolled, is_chosen, view.t, theme);
        if let Some(last) = last.get_mut(at) {
            *last = bound;
        }
    }
    if view.help {
        help(frame, view.t, theme);
    }
    last
}

/// Takes so many lines from the top of an area.
fn take(rest: &mut Rect, lines: u16) -> Rect {
    let lines = lines.min(rest.height);
    let taken = Rect {
        height: lines,
        ..*rest
    };
    rest.y += lines;
    rest.height -= lines;
    taken
}

/// The node in two lines; what there is no room for is cut off.
fn heading(view: &View, theme: Theme, now: Timestamp) -> [Line<'static>; 2] {
    let (t, picture) = (view.t, &view.picture);
    let status = &picture.status;
    let role = match (&status.upstream, status.listens) {
        (Some(upstream), true) => fill(t.top_hub_under, &[upstream]),
        (Some(upstream), false) => fill(t.top_edge_of, &[upstream]),
        (None, _) => t.top_hub.into(),
    };
    let state = match status.ready {
        true => Span::styled(t.takes, theme.style(Tone::Good)),
        false => Span::styled(t.takes_not, theme.style(Tone::Bad)),
    };
    let first = [
        Span::styled(one_line(&status.unit), theme.style(Tone::Head)),
        Span::raw(one_line(&role)),
        state,
        Span::raw(fill(t.top_up, &[&age(t, status.started, now)])),
        Span::raw(one_line(&status.version)),
        Span::styled(one_line(&view.api), theme.style(Tone::Faint)),
    ];
    let volume = |name: &str, volume: super::node::Volume| {
        let size = bytes(volume.bytes);
        fill(t.top_volume, &[&name, &volume.messages, &size])
    };
    let attachments = &status.attachments;
    let second = [
        volume(t.queued, status.queued),
        volume(t.inbox, status.inbox),
        fill(t.top_awaiting, &[&status.awaiting_receipts]),
        fill(t.top_units, &[&picture.connected, &picture.units]),
        fill(
            t.top_journal,
            &[
                &bytes(status.journal_bytes),
                &bytes(status.journal_bytes_max),
            ],
        ),
        fill(
            t.top_attached,
            &[&bytes(attachments.bytes), &bytes(attachments.bytes_max)],
        ),
    ];
    [spaced(first.into()), spaced(second.map(Span::raw).into())]
}

fn spaced(spans: Vec<Span<'static>>) -> Line<'static> {
    let mut line = Line::default();
    for span in spans {
        if !line.spans.is_empty() {
            line.push_span("  ");
        }
        line.push_span(span);
    }
    line
}

/// Why what is drawn is not the node as it is.
fn notice(view: &View, now: Timestamp) -> Option<(Tone, String)> {
    let t = view.t;
    let since = seconds_since(view.answered, now);
    let ago = span(t, since);
    match &view.trouble {
        _ if view.paused => Some((Tone::Warn, fill(t.top_paused, &[&ago]))),
        Some(why) => Some((Tone::Bad, fill(t.top_gone, &[&ago, &one_line(why)]))),
        None if since >= SILENT_S => Some((Tone::Bad, fill(t.top_silent, &[&ago, &view.api]))),
        None => None,
    }
}

/// Draws a pane; gives the last row that it can begin with.
fn pane(
    frame: &mut Frame<'_>,
    mut area: Rect,
    part: Part,
    scrolled: usize,
    is_chosen: bool,
    t: &Texts,
    theme: Theme,
) -> usize {
    if area.is_empty() {
        return 0;
    }
    let title_area = take(&mut area, 1);
    if let Some(head) = part.head {
        frame.render_widget(head, take(&mut area, 1));
    }
    let (all, room) = (part.rows.len(), usize::from(area.height));
    let last = all.saturating_sub(room);
    let first = scrolled.min(last);
    let place = match all > room {
        true => fill(t.top_place, &[&(first + 1), &(first + room), &all]),
        false => all.to_string(),
    };
    let mark = if is_chosen { '>' } else { ' ' };
    let title = format!("{mark} {}  {place}", part.title);
    let width = usize::from(title_area.width);
    let title = left(&cut(&title, width), width);
    let tone = if is_chosen { Tone::Head } else { Tone::Faint };
    frame.render_widget(Span::styled(title, theme.bar(tone)), title_area);
    let rows = part.rows.into_iter().skip(first).take(room);
    frame.render_widget(Text::from_iter(rows), area);
    last
}

/// How many lines each pane gets: what it wants, or what is left when the others have as much.
fn share<const N: usize>(wants: [usize; N], lines: usize) -> [usize; N] {
    let mut given = [0; N];
    for _ in 0..lines {
        let short = given
            .iter_mut()
            .zip(wants)
            .filter(|(had, want)| **had < *want);
        match short.min_by_key(|(had, _)| **had) {
            Some((had, _)) => *had += 1,
            None => break,
        }
    }
    given
}

fn help(frame: &mut Frame<'_>, t: &'static Texts, theme: Theme) {
    let screen = frame.area();
    let lines = || t.top_help.lines();
    let widest = lines().map(|line| line.width()).max().unwrap_or(0);
    let width = u16::try_from(widest + 4)
        .unwrap_or(u16::MAX)
        .min(screen.width);
    let height = u16::try_from(lines().count() + 2).unwrap_or(u16::MAX);
    let height = height.min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, area);
    let title = left("  casegate top", usize::from(width));
    let bar = Line::styled(title, theme.bar(Tone::Head));
    let lines = lines().map(|line| Line::raw(format!("  {line}")));
    let text = Text::from_iter([bar].into_iter().chain(lines));
    frame.render_widget(text, area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_get_what_they_want_or_as_much_as_the_others() {
        assert_eq!(share([2, 5, 3, 2], 20), [2, 5, 3, 2]);
        assert_eq!(share([0, 50, 3, 50], 21), [0, 9, 3, 9]);
        assert_eq!(share([9, 9, 9, 9], 6), [2, 2, 1, 1]);
        assert_eq!(share([9, 9], 0), [0, 0]);
    }
}
