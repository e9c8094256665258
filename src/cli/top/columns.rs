//! Tables within a width: columns that do not fit are left out, the least telling first, and long names are cut short.

use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    super::exit::one_line,
    theme::{Theme, Tone},
};

/// Blanks between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) head: &'static str,
    /// Which one goes when there is no room: the one with the highest number.
    pub(super) rank: u8,
    /// The width to which its cells may be cut; none: they are shown whole.
    pub(super) least: Option<usize>,
    /// Whether it holds figures, which end at one edge.
    pub(super) is_figure: bool,
}

impl Column {
    /// A column of words, which are shown whole.
    pub(super) const fn word(head: &'static str, rank: u8) -> Self {
        Self {
            head,
            rank,
            least: None,
            is_figure: false,
        }
    }

    /// A column of names, which may be cut to `least`.
    pub(super) const fn name(head: &'static str, rank: u8, least: usize) -> Self {
        Self {
            least: Some(least),
            ..Self::word(head, rank)
        }
    }

    /// A column of figures.
    pub(super) const fn figure(head: &'static str, rank: u8) -> Self {
        Self {
            is_figure: true,
            ..Self::word(head, rank)
        }
    }
}

/// What stands in a row under a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text with a tone. What steers a terminal is taken out: others wrote it.
    pub(super) fn toned(text: &str, tone: Tone) -> Self {
        Self {
            text: one_line(text),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text.as_ref(), Tone::Plain)
    }
}

/// The head and the rows as lines of this width.
pub(super) fn table<const N: usize>(
    columns: &[Column; N],
    rows: &[[Cell; N]],
    width: usize,
    theme: Theme,
) -> (Line<'static>, Vec<Line<'static>>) {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.text.width()).max().unwrap_or(0)
    };
    // A column in which nothing stands takes no room.
    let wanted = |at, column: &Column| match widest(at) {
        0 => 0,
        widest => widest.max(column.head.width()),
    };
    let natural: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (column, wanted(at, column)))
        .collect();
    let widths = fit(&natural, width);
    let line = |cells: &[Cell; N]| {
        let mut spans = Vec::new();
        for ((column, cell), room) in columns.iter().zip(cells).zip(&widths) {
            let Some(room) = *room else { continue };
            if !spans.is_empty() {
                spans.push(Span::raw(" ".repeat(GAP)));
            }
            let text = cut(&cell.text, room);
            let blanks = " ".repeat(room.saturating_sub(text.width()));
            let style = theme.style(cell.tone);
            let parts = [Span::styled(text, style), Span::raw(blanks)];
            match column.is_figure {
                true => spans.extend(parts.into_iter().rev()),
                false => spans.extend(parts),
            }
        }
        Line::from(spans)
    };
    let head = columns.map(|column| Cell::toned(column.head, Tone::Head));
    (line(&head), rows.iter().map(line).collect())
}

/// How wide each column is drawn; none for those that are left out.
fn fit(columns: &[(&Column, usize)], width: usize) -> Vec<Option<usize>> {
    let least = |(column, natural): (&Column, usize)| {
        column.least.map_or(natural, |least| least.min(natural))
    };
    let total = |widths: &[Option<usize>]| {
        let widths = widths.iter().flatten();
        widths
            .map(|width| width + GAP)
            .sum::<usize>()
            .saturating_sub(GAP)
    };
    let mut widths: Vec<_> = columns
        .iter()
        .map(|column| Some(least(*column)).filter(|least| *least > 0))
        .collect();
    while total(&widths) > width {
        let shown = columns
            .iter()
            .zip(&mut widths)
            .filter(|(_, width)| width.is_some());
        // The last one stays; it is cut at the edge.
        match shown.max_by_key(|((column, _), _)| column.rank) {
            Some(((column, _), last)) if column.rank > 0 => *last = None,
            _ => break,
        }
    }
    // What room is left goes to those that were cut.
    let mut left = width.saturating_sub(total(&widths));
    for ((_, natural), width) in columns.iter().zip(&mut widths) {
        if let Some(width) = width {
            let more = natural.saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    widths
}

/// A text in so many columns of a terminal, with a sign at its end that there is more.
pub(super) fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if used + wide >= room {
            break;
        }
        kept.push(letter);
        used += wide;
    }
    if used < room {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::name("NAME", 0, 4),
        Column::name("TITLE", 3, 4),
        Column::word("STATE", 1),
        Column::figure("SIZE", 2),
    ];

    fn lines(width: usize) -> Vec<String> {
        let rows = [
            ["hebi.xunxian", "浚县烟草专卖局", "up", "7 B"].map(Cell::from),
            ["hebi", "a\u{1b}[31mb", "down", "12 B"].map(Cell::from),
        ];
        let (head, rows) = table(&COLUMNS, &rows, width, Theme::new(true));
        [head]
            .into_iter()
            .chain(rows)
            .map(|line| line.to_string())
            .collect()
    }

    #[test]
    fn a_table_with_room_shows_everything_by_the_width_of_its_characters() {
        assert_eq!(
            lines(80),
            [
                "NAME          TITLE           STATE  SIZE",
                "hebi.xunxian  浚县烟草专卖局  up      7 B",
                "hebi          a [31mb         down   12 B",
            ]
        );
    }

    #[test]
    fn names_are_cut_before_columns_are_left_out_the_least_telling_first() {
        assert_eq!(lines(33)[1], "hebi.xunxian  浚县…   up      7 B");
        assert_eq!(lines(25)[1], "hebi.…  浚…   up      7 B");
        assert_eq!(lines(23)[1], "heb…  浚…   up      7 B");
        assert_eq!(lines(17)[1], "heb…  up      7 B");
        assert_eq!(lines(12)[1], "hebi…  up   ");
        assert_eq!(lines(6)[1], "hebi.…");
        assert!(lines(0).iter().all(|line| line.width() <= 4));
        for width in 4..60 {
            assert!(
                lines(width).iter().all(|line| line.width() <= width),
                "{width}"
            );
        }
    }

    #[test]
    fn a_column_in_which_nothing_stands_is_left_out() {
        let rows = [["hebi", "", "up", ""].map(Cell::from)];
        let (head, rows) = table(&COLUMNS, &rows, 80, Theme::new(true));
        assert_eq!(head.to_string(), "NAME  STATE");
        assert_eq!(rows[0].to_string(), "hebi  up   ");
    }

    #[test]
    fn a_text_is_cut_before_a_wide_character_that_has_no_room() {
        assert_eq!(cut("浚县烟草", 8), "浚县烟草");
        assert_eq!(cut("浚县烟草", 7), "浚县烟…");
        assert_eq!(cut("浚县烟草", 6), "浚县…");
        assert_eq!(cut("ab", 1), "…");
        assert_eq!(cut("ab", 0), "");
    }
}
