//! A value of the document: what it must be, and what to write when it is not.

use std::{ops::RangeInclusive, str::FromStr};

use toml::de::DeValue;

use super::{
    document::{Document, Section},
    suggest::nearest,
    texts::{Pick, told},
};
use crate::language::{Both, fill};

/// A value under a key.
pub(super) struct Field<'d, 't> {
    pub(super) document: &'d Document<'t>,
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) value: &'d DeValue<'t>,
}

impl<'d, 't> Field<'d, 't> {
    /// The value as tables, in order.
    pub(super) fn into_sections(self) -> Vec<Section<'d, 't>> {
        let name = without_indices(&self.path);
        let is = |value| told(|t| fill(t.is, &[&t.described(value)]));
        let fix = told(|t| fill(t.write_list_header, &[&name]));
        let DeValue::Array(items) = self.value else {
            self.error(is(self.value), fix);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.path);
            // An element's span starts at its [[header]], or at its { when it is written inline.
            let at = item.span().start;
            match item.get_ref() {
                DeValue::Table(table) => {
                    let name = name.clone();
                    sections.push(Section::new(self.document, Some(table), path, name, at));
                }
                other => {
                    self.document.error(at, &path, is(other), fix.clone());
                }
            }
        }
        sections
    }

    /// The key's path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The offset of the key.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Keeps an error about this value.
    pub(super) fn error(&self, problem: Both, fix: Both) {
        self.document.error(self.at, &self.path, problem, fix);
    }

    /// Keeps a piece of advice about this value.
    pub(super) fn advise(&self, problem: Both, fix: Both) {
        self.document.advise(self.at, &self.path, problem, fix);
    }

    /// The value as text.
    pub(super) fn text(&self) -> Option<&'d str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            other => {
                let problem = told(|t| fill(t.is_no_text, &[&t.described(other)]));
                let fix = told(|t| match other {
                    DeValue::Integer(number) => fill(t.write_this_quoted, &[number]),
                    DeValue::Float(number) => fill(t.write_this_quoted, &[number]),
                    _ => t.write_quotes.to_owned(),
                });
                self.error(problem, fix);
                None
            }
        }
    }

    /// The value as text without control characters, at most `bytes_max` bytes.
    pub(super) fn line_of_text(&self, bytes_max: usize) -> Option<&'d str> {
        let text = self.text()?;
        if text.len() > bytes_max || text.chars().any(char::is_control) {
            self.error(
                told(|t| fill(t.no_line, &[&quoted(text)])),
                told(|t| fill(t.write_line, &[&bytes_max])),
            );
            return None;
        }
        Some(text)
    }

    /// The value as `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.error(
                told(|t| fill(t.is, &[&t.described(self.value)])),
                told(|t| t.write_boolean),
            );
        }
        value
    }

    /// The value as a whole number within `range`.
    pub(super) fn number(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let fix = || told(|t| fill(t.write_number, &[range.start(), range.end()]));
        let DeValue::Integer(integer) = self.value else {
            let problem = told(|t| fill(t.is, &[&t.described(self.value)]));
            self.error(problem, fix());
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            self.error(told(|t| fill(t.out_of_range, &[integer])), fix());
        }
        number
    }

    /// The value as a number that may have a fraction; what it must be, the caller says.
    pub(super) fn decimal(&self) -> Option<f64> {
        match self.value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        }
    }

    /// The value as one of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(w, _)| format!("\"{w}\"")).collect();
            let meant = nearest(text, choices.iter().map(|(word, _)| *word));
            let fix = told(|t| match meant {
                Some(meant) => fill(t.write_quoted, &[&meant]),
                None => fill(t.write_one_of, &[&words.join(t.comma)]),
            });
            self.error(told(|t| fill(t.no_choice, &[&quoted(text)])), fix);
        }
        found.map(|(_, value)| *value)
    }

    /// The value as a dotted name or pattern; `is_none` says that it is none, `how` how one is written.
    pub(super) fn dotted<T: FromStr>(&self, is_none: Pick, how: Pick) -> Option<T> {
        let text = self.text()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let mended = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
            let fix = match mended.parse::<T>() {
                Ok(_) => told(|t| fill(t.write_quoted, &[&mended])),
                Err(_) => told(how),
            };
            self.error(told(|t| fill(is_none(t), &[&quoted(text)])), fix);
        }
        parsed
    }

    /// The elements of the value, a list.
    pub(super) fn list(&self, example: &str) -> Option<Vec<Field<'d, 't>>> {
        let DeValue::Array(items) = self.value else {
            self.error(
                told(|t| fill(t.is_no_list, &[&t.described(self.value)])),
                told(|t| fill(t.write, &[&example])),
            );
            return None;
        };
        let fields = items.iter().enumerate().map(|(index, item)| Field {
            document: self.document,
            path: format!("{}[{index}]", self.path),
            at: item.span().start,
            value: item.get_ref(),
        });
        Some(fields.collect())
    }
}

/// `text` in quotes, on one line and of a bounded length, whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// A key as it would be written in a file.
pub(super) fn shown_key(name: &str) -> String {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !name.is_empty() && name.len() <= 80 && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A key's path without the places in lists.
pub(super) fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| {
            let skipped = inside || *c == '[';
            inside = match c {
                '[' => true,
                ']' => false,
                _ => inside,
            };
            !skipped
        })
        .collect()
}
