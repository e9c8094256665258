//! Tables for spreadsheets (RFC 4180).

/// Adds a line to a table. Every cell is in quotes, so that nothing in it ends it.
pub(crate) fn line(text: &mut String, cells: &[impl AsRef<str>]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push('"');
        let cell = cell.as_ref();
        // A spreadsheet would take what a sender wrote for a formula.
        if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            text.push('\'');
        }
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_breaks_out_of_its_quotes_or_is_a_formula() {
        let mut text = String::new();
        line(&mut text, &["a,b", "say \"no\"", "=1+1", "@x", "案件", ""]);
        assert_eq!(
            text,
            "\"a,b\",\"say \"\"no\"\"\",\"'=1+1\",\"'@x\",\"案件\",\"\"\r\n"
        );
    }
}
