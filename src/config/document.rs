//! A TOML document read so that nothing is lost: every value knows its line and its key's path, and every finding is kept
//! until the end.
//!
//! A [`Section`] hands out its keys one by one, and by that learns which keys exist; what the file has besides is unknown.

use std::{borrow::Cow, cell::RefCell, collections::BTreeSet, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    field::{Field, shown_key, without_indices},
    finding::{ConfigError, Finding, Severity, Warning},
    suggest::nearest,
    syntax::{self, Damage},
    texts::told,
};
use crate::language::{Both, fill};

/// The key that stands for `[[unit]]` headers: as long as `unit`, and nothing that anyone would write.
const UNIT_HEADER: &str = "-_-_";

/// `text` with `[[unit]]` headers renamed.
///
/// TOML has no room for `[[unit]]` beside `unit = "..."`: one key cannot be both. People write it all the same, and what they
/// mean is plain, so it is read as `[[listen.unit]]`. Every offset stays what it is. A line inside a text of several lines may be
/// renamed too, but no setting takes such a text.
pub(super) fn unit_headers(text: &str) -> Cow<'_, str> {
    let mut renamed = String::new();
    let mut copied = 0;
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let at = line.find("unit").filter(|at| {
            let (before, rest) = (&line[..*at], &line[*at + UNIT_HEADER.len()..]);
            let opens = before.trim_start().strip_prefix("[[");
            opens.is_some_and(|blank| blank.trim().is_empty())
                && rest.trim_start_matches([' ', '\t']).starts_with("]]")
        });
        if let Some(at) = at {
            renamed.push_str(&text[copied..line_start + at]);
            renamed.push_str(UNIT_HEADER);
            copied = line_start + at + UNIT_HEADER.len();
        }
        line_start += line.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    renamed.push_str(&text[copied..]);
    Cow::Owned(renamed)
}

/// A document and what was found in it so far.
pub(super) struct Document<'t> {
    file: &'t Path,
    line_starts: Vec<usize>,
    damage: Damage,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<Warning>>,
    /// The path of every key that was asked for, without indices.
    known: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

/// A key that nothing asked for.
struct Unknown {
    section: String,
    name: String,
    at: usize,
}

/// A table, or the want of one: then every key in it is absent, and nothing is said about that.
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    table: Option<&'d DeTable<'t>>,
    /// The path with indices, for findings.
    path: String,
    /// The path without indices, for what is known.
    name: String,
    at: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'t> Document<'t> {
    /// Most findings of one kind that are kept (G7); the last one says that there were more.
    pub(super) const FINDINGS_MAX: usize = 1000;

    /// Parses `text`; what cannot be read is an error, and the rest is read all the same.
    pub(super) fn parse(text: &'t str, file: &'t Path) -> (Self, DeTable<'t>) {
        let (table, problems) = DeTable::parse_recoverable(text);
        let table = table.into_inner();
        let line_starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let (found, damage) = syntax::explain(text, &line_starts, &table, &problems);
        let document = Self {
            file,
            line_starts,
            damage: Damage::default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            known: RefCell::default(),
            unknown: RefCell::default(),
        };
        for error in found {
            document.error(error.at, &error.key, error.problem, error.fix);
        }
        (Self { damage, ..document }, table)
    }

    /// The whole document as a section.
    pub(super) fn root<'d>(&'d self, table: &'d DeTable<'t>) -> Section<'d, 't> {
        Section::new(self, Some(table), String::new(), String::new(), 0)
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Keeps an error, unless the text around it could not be read: then it may well not be one.
    pub(super) fn error(&self, at: usize, key: &str, problem: Both, fix: Both) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() > Self::FINDINGS_MAX || self.damage.covers(self.line(at), at) {
            return;
        }
        let error = if errors.len() < Self::FINDINGS_MAX {
            self.finding(at, key, problem, fix)
        } else {
            let (problem, fix) = (told(|t| t.more_errors), told(|t| t.mend_these));
            self.finding(at, key, problem, fix)
        };
        errors.push(ConfigError(error));
    }

    /// Keeps an error about something that is not there, unless a damaged line may have held it.
    pub(super) fn missing(&self, at: usize, key: &str, problem: Both, fix: Both) {
        if !self.damage.lost_something() {
            self.error(at, key, problem, fix);
        }
    }

    /// Keeps a piece of advice.
    pub(super) fn advise(&self, at: usize, key: &str, problem: Both, fix: Both) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < Self::FINDINGS_MAX && !self.damage.covers(self.line(at), at) {
            warnings.push(Warning {
                finding: self.finding(at, key, problem, fix),
                severity: Severity::Advice,
            });
        }
    }

    /// Everything that was found, in order of line, and the path of every key that was asked for.
    pub(super) fn into_findings(self) -> (Vec<ConfigError>, Vec<Warning>, BTreeSet<String>) {
        for unknown in self.unknown.take() {
            let (key, fix) = self.explain_unknown(&unknown);
            self.error(unknown.at, &key, told(|t| t.no_such_key), fix);
        }
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.0.line);
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.finding.line);
        (errors, warnings, self.known.into_inner())
    }

    fn finding(&self, at: usize, key: &str, problem: Both, fix: Both) -> Finding {
        Finding {
            file: self.file.to_owned(),
            line: self.line(at),
            key: key.to_owned(),
            problem,
            fix,
        }
    }

    fn explain_unknown(&self, unknown: &Unknown) -> (String, Both) {
        let Unknown { section, name, .. } = unknown;
        let known = self.known.borrow();
        let plain_section: String = without_indices(section);
        let siblings: Vec<&str> = known
            .iter()
            .filter_map(|path| {
                let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
                (parent == plain_section).then_some(leaf)
            })
            .collect();
        let elsewhere: Vec<&str> = known
            .iter()
            .filter_map(|path| {
                let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
                (leaf == name && parent != plain_section).then_some(parent)
            })
            .collect();
        let meant = nearest(name, siblings.iter().copied());
        let fix = told(|t| match meant {
            Some(meant) => fill(t.did_you_mean, &[&meant]),
            None if elsewhere.contains(&"") => t.write_at_top.to_owned(),
            None if !elsewhere.is_empty() => fill(t.write_under, &[&elsewhere.join(t.or)]),
            None => fill(t.write_known, &[&siblings.join(t.comma)]),
        });
        (join(section, name), fix)
    }
}

impl<'d, 't> Section<'d, 't> {
    pub(super) fn new(
        document: &'d Document<'t>,
        table: Option<&'d DeTable<'t>>,
        path: String,
        name: String,
        at: usize,
    ) -> Self {
        Self {
            document,
            table,
            path,
            name,
            at,
            asked: RefCell::default(),
        }
    }

    /// Whether the document has this section, and it is one.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The offset of the section's key.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The path of `key` in this section.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value under `key`, if there is one.
    pub(super) fn field(&self, key: &'static str) -> Option<Field<'d, 't>> {
        self.asked.borrow_mut().insert(key);
        self.document
            .known
            .borrow_mut()
            .insert(join(&self.name, key));
        let (name, value) = self.table?.get_key_value(key)?;
        Some(Field {
            document: self.document,
            path: self.path_of(key),
            at: name.span().start,
            value: value.get_ref(),
        })
    }

    /// The value under `key`; that there is none is an error, mended by writing `example`.
    pub(super) fn required(&self, key: &'static str, example: &str) -> Option<Field<'d, 't>> {
        let field = self.field(key);
        if field.is_none() && self.is_present() {
            self.document.missing(
                self.at,
                &self.path_of(key),
                told(|t| t.missing),
                told(|t| fill(t.write_key, &[&key, &example])),
            );
        }
        field
    }

    /// The table under `key`.
    pub(super) fn section(&self, key: &'static str) -> Section<'d, 't> {
        let name = join(&self.name, key);
        let Some(field) = self.field(key) else {
            return Section::new(self.document, None, self.path_of(key), name, self.at);
        };
        let table = match field.value {
            DeValue::Table(table) => Some(table),
            DeValue::Array(_) => {
                field.error(
                    told(|t| t.only_one),
                    told(|t| fill(t.write_one_header, &[&name, &name])),
                );
                None
            }
            other => {
                field.error(
                    told(|t| fill(t.is_no_section, &[&t.described(other)])),
                    told(|t| fill(t.write_header, &[&name])),
                );
                None
            }
        };
        Section::new(self.document, table, field.path, name, field.at)
    }

    /// The tables under `key`, in order.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'d, 't>> {
        self.field(key).map_or(Vec::new(), Field::into_sections)
    }

    /// The tables of the [`unit_headers`], in order.
    pub(super) fn unit_sections(&self) -> Vec<Section<'d, 't>> {
        self.asked.borrow_mut().insert(UNIT_HEADER);
        let found = self.table.and_then(|t| t.get_key_value(UNIT_HEADER));
        let field = found.map(|(name, value)| Field {
            document: self.document,
            path: "unit".to_owned(),
            at: name.span().start,
            value: value.get_ref(),
        });
        field.map_or(Vec::new(), Field::into_sections)
    }
    /// Reports every key that nothing asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        let mut unknown = self.document.unknown.borrow_mut();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref();
            if !asked.contains(name.as_ref()) && unknown.len() <= Document::FINDINGS_MAX {
                unknown.push(Unknown {
                    section: self.path.clone(),
                    name: shown_key(name),
                    at: key.span().start,
                });
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
