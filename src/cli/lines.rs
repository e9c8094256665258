//! Texts in columns of a terminal, whatever script they are in: a character of a CJK script takes two.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What ends a phrase, and does not begin a line.
const CLOSING: &str = "，。、；：！？）》」』”’,.;:!?)]";
/// What begins a phrase, and does not end a line.
const OPENING: &str = "（《「『“‘([";

/// The text with blanks behind it, `columns` wide.
pub fn left(text: &str, columns: usize) -> String {
    format!("{text}{}", blanks(text, columns))
}

/// The text with blanks before it, `columns` wide.
pub fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", blanks(text, columns))
}

fn blanks(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(text.width()))
}

/// A text in lines of a width, parted at blanks, and between characters of a CJK script, which has none.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for piece in pieces(text) {
        let mut new_line = used > 0 && used + piece.trim_end().width() > columns;
        for letter in piece.chars() {
            let wide = letter.width().unwrap_or(0);
            // A piece that is longer than a line is parted anywhere; a blank that has no room is dropped below.
            let parts = letter != ' ' && used > 0 && used + wide > columns;
            if new_line || parts {
                lines.push(String::new());
                used = 0;
                new_line = false;
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
            used += wide;
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// The text in pieces between which a line may end.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut begin, mut before) = (0, None);
    for (at, letter) in text.char_indices() {
        if before.is_some_and(|before| may_part(before, letter)) {
            pieces.push(text.get(begin..at).unwrap_or_default());
            begin = at;
        }
        before = Some(letter);
    }
    pieces.push(text.get(begin..).unwrap_or_default());
    pieces
}

fn may_part(before: char, after: char) -> bool {
    if before == ' ' || after == ' ' {
        return before == ' ' && after != ' ';
    }
    let is_wide = |letter: char| letter.width() == Some(2);
    (is_wide(before) || is_wide(after)) && !OPENING.contains(before) && !CLOSING.contains(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_parted_at_blanks_and_one_without_them_anywhere() {
        assert_eq!(
            wrapped("the link 3g is down", 11),
            ["the link 3g", "is down"]
        );
        assert_eq!(wrapped("abcdef gh", 4), ["abcd", "ef", "gh"]);
        assert_eq!(wrapped("", 5), [""]);
        // A width of nothing ends all the same.
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_text_without_blanks_is_parted_between_its_characters_but_for_what_closes_and_opens() {
        assert_eq!(wrapped("案件移送 一二", 6), ["案件移", "送 一", "二"]);
        assert_eq!(
            wrapped("用 casegate top 查看", 13),
            ["用 casegate", "top 查看"]
        );
        assert_eq!(wrapped("案件，移送", 4), ["案", "件，", "移送"]);
        assert_eq!(wrapped("案件（移送）", 6), ["案件", "（移", "送）"]);
    }

    #[test]
    fn blanks_are_counted_in_columns() {
        assert_eq!(left("案号", 6), "案号  ");
        assert_eq!(right("案号", 6), "  案号");
        assert_eq!(left("案号", 3), "案号");
    }
}
