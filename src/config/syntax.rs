//! What is wrong with text that is not TOML, in words that say what to write; and how much of the document it spoils.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::{
    document::Document,
    field::{quoted, shown_key},
    texts::told,
};
use crate::language::{Both, fill};

/// A syntax error, explained.
pub(super) struct SyntaxError {
    /// The offset of the error.
    pub(super) at: usize,
    /// The key of the line that it is on, as far as one can tell.
    pub(super) key: String,
    /// What is wrong.
    pub(super) problem: Both,
    /// What to write.
    pub(super) fix: Both,
}

/// The parts of a document about which nothing can be said, because they, or what heads them, could not be read.
#[derive(Default)]
pub(super) struct Damage {
    /// Lines with a syntax error, in order.
    lines: Vec<usize>,
    /// What stands under a header that could not be read, in order and apart.
    headless: Vec<Range<usize>>,
    /// Whether a key may have gone missing.
    lost: bool,
}

impl Damage {
    /// Whether an error on `line`, at the offset `at`, may come of the damage alone.
    pub(super) fn covers(&self, line: usize, at: usize) -> bool {
        self.lines.binary_search(&line).is_ok()
            || self
                .headless
                .get(..self.headless.partition_point(|range| range.start <= at))
                .and_then(<[_]>::last)
                .is_some_and(|range| range.contains(&at))
    }

    /// Whether a key that is not there may be there after all.
    pub(super) fn lost_something(&self) -> bool {
        self.lost
    }
}

/// Explains the parser's `problems`, at most one a line.
pub(super) fn explain(
    text: &str,
    line_starts: &[usize],
    table: &DeTable<'_>,
    problems: &[Error],
) -> (Vec<SyntaxError>, Damage) {
    if problems.is_empty() {
        return (Vec::new(), Damage::default());
    }
    let mut entries = Vec::new();
    collect_entries(table, &mut entries);
    entries.sort_unstable();
    let mut found = Vec::new();
    let mut damage = Damage::default();
    let mut in_order: Vec<(usize, &Error)> = problems
        .iter()
        .map(|problem| (problem.span().map_or(0, |span| span.start), problem))
        .collect();
    in_order.sort_by_key(|(at, _)| *at);
    for (at, problem) in in_order {
        // An error at a line's very end may be placed on its line break: it belongs to the line before.
        let line = line_starts.partition_point(|start| *start <= at);
        if damage.lines.last() == Some(&line) {
            continue;
        }
        damage.lines.push(line);
        let start = line_starts.get(line - 1).copied().unwrap_or(0);
        let end = line_starts.get(line).copied().unwrap_or(text.len());
        let source = text.get(start..end).unwrap_or_default().trim();
        let is_duplicate = problem.message() == "duplicate key";
        if source.starts_with('[') && !is_duplicate {
            let rest = text.get(end..).unwrap_or_default();
            let next_header = match rest.starts_with('[') {
                true => Some(0),
                false => rest.find("\n["),
            };
            damage
                .headless
                .push(start..next_header.map_or(text.len(), |found| end + found + 1));
            damage.lost = true;
        }
        // Every key that survived stands in the document; a line without one may have held what will be missed.
        let survived = entries.partition_point(|entry| *entry < start)
            < entries.partition_point(|entry| *entry < end);
        damage.lost |= !survived && !is_duplicate;
        // What is meant to span lines and is not closed swallows those below it.
        damage.lost |= ["multi-line", "array", "inline table"]
            .iter()
            .any(|spanning| problem.message().contains(spanning));
        if found.len() <= Document::FINDINGS_MAX {
            let (key, problem, fix) = explain_line(source, problem.message());
            found.push(SyntaxError {
                at,
                key,
                problem,
                fix,
            });
        }
    }
    (found, damage)
}

/// The key, what is wrong and what to write, for one line.
fn explain_line(line: &str, message: &str) -> (String, Both, Both) {
    if line.starts_with('[') {
        let name = line
            .split('#')
            .next()
            .unwrap_or_default()
            .trim_matches(|c: char| c == '[' || c == ']' || c.is_whitespace());
        let header = match line.starts_with("[[") {
            true => format!("[[{}]]", plain(name, "section")),
            false => format!("[{}]", plain(name, "section")),
        };
        return match message {
            // The node's own `unit` stands at the top of the file.
            "duplicate key" if name == "unit" => (
                plain(name, "section"),
                told(|t| t.unit_is_own),
                told(|t| t.write_listen_unit),
            ),
            "duplicate key" => (
                plain(name, "section"),
                told(|t| t.section_twice),
                told(|t| fill(t.join_sections, &[&header])),
            ),
            _ => (
                plain(name, "section"),
                told(|t| fill(t.no_header, &[&message])),
                told(|t| fill(t.write, &[&header])),
            ),
        };
    }
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (line, None),
    };
    let key = plain(name, "syntax");
    let fix = match (message, value) {
        ("duplicate key", _) => {
            return (key, told(|t| t.key_twice), told(|t| t.keep_one));
        }
        (_, None) => told(|t| t.write_key_value),
        (_, Some("")) => told(|t| fill(t.write_value, &[&key])),
        (_, Some(value)) if needs_quotes(value) => {
            let value = value.split('#').next().unwrap_or_default().trim();
            let value = quoted(value.trim_matches('"'));
            told(|t| fill(t.write_text_quoted, &[&key, &value]))
        }
        _ => told(|t| t.write_any_value),
    };
    (key, told(|t| fill(t.no_syntax, &[&message])), fix)
}

/// Whether `value` looks like text whose quotes are missing or not closed.
fn needs_quotes(value: &str) -> bool {
    let unclosed = value.starts_with('"') && value.matches('"').count() % 2 == 1;
    unclosed
        || value.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '*')
        || (value.starts_with(|c: char| c.is_ascii_digit()) && value.contains(['.', ':']))
}

/// `name` if it is a dotted key that needs no quotes, else `otherwise`.
fn plain(name: &str, otherwise: &str) -> String {
    if name.len() <= 80 && name.split('.').all(|part| shown_key(part) == part) {
        name.to_owned()
    } else {
        otherwise.to_owned()
    }
}

/// The offsets of every key in `table`, however deep.
fn collect_entries(table: &DeTable<'_>, entries: &mut Vec<usize>) {
    for (key, value) in table {
        entries.push(key.span().start);
        collect_inner(value.get_ref(), entries);
    }
}

fn collect_inner(value: &DeValue<'_>, entries: &mut Vec<usize>) {
    match value {
        DeValue::Table(table) => collect_entries(table, entries),
        DeValue::Array(items) => {
            for item in items.iter() {
                entries.push(item.span().start);
                collect_inner(item.get_ref(), entries);
            }
        }
        _ => {}
    }
}
