//! Tables for people, aligned whatever script their cells are in.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

use super::{exit::one_line, lines::left};

/// Blanks between two columns.
const GAP: usize = 2;

/// Rows under a head.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row. What steers a terminal is taken out of the cells: others wrote them.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| one_line(&cell));
        self.rows.push(cells.to_vec());
    }

    /// Writes it; every column is as wide as its widest cell, a cell of a CJK script counting two columns a character.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&left(cell, width + GAP));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A line of what stands over tables: a name, and what it is.
pub fn fact(name: &str, value: &str) -> String {
    format!("{}{value}", left(name, 10))
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return match unit {
                "B" => format!("{count} B"),
                _ => format!("{size:.1} {unit}"),
            };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// A time of the API, to the second.
pub fn moment(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_wide_characters_and_controls_do_not_get_through() {
        let mut table = Table::new(["TITLE", "N"]);
        table.row(["案件移送".into(), "1".into()]);
        table.row(["a\u{1b}[31m\nb".into(), "2".into()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("writes");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "TITLE     N\n案件移送  1\na [31m b  2\n");
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
    }
}
