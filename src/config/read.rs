//! From a document to settings: every section, and what must hold between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::Path,
};

use super::{
    api,
    document::{Document, Section},
    field::{Field, quoted},
    limits, link, local,
    settings::{Identity, Listen, Log, Settings, Unit, beside},
    suggest::nearest,
    texts::{Pick, told},
    traces,
};
use crate::{
    language::{Both, fill},
    model::{Allow, Kind, KindRule, Kinds, Lane, Limits, Pattern, Policy, RECEIPT_KIND, UnitId},
    observe::{LogFormat, LogLevel},
};

/// Most entries of one list of tables (G7), save for units, which have a bound of their own.
const ENTRIES_MAX: usize = 10_000;

/// The offsets of settings that name files, so that what is wrong with the files can be told at the right line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    pub(super) data_dir: usize,
    pub(super) identity_dir: usize,
    pub(super) token_file: usize,
    /// Of every `[[api.token]]`.
    pub(super) tokens: Vec<usize>,
    pub(super) tls_certificate: usize,
    pub(super) tls_key: usize,
    pub(super) dictionary: usize,
    pub(super) spool_in: usize,
    pub(super) spool_out: usize,
    pub(super) deliver_secret: usize,
}

/// Reads the whole document. `None` when a setting without which there are no settings could not be read; what is wrong is kept in
/// the document either way, and settings count only if it has no errors.
pub(super) fn settings<'d, 't>(
    document: &'d Document<'t>,
    root: &Section<'d, 't>,
    file: &Path,
) -> Option<(Settings, Offsets)> {
    let mut offsets = Offsets::default();
    let unit = root
        .required("unit", "\"hebi.xunxian.tobacco\"")
        .and_then(|field| field.unit());
    let data_dir = root
        .required("data-dir", "\"/var/lib/casegate\"")
        .and_then(|field| {
            offsets.data_dir = field.at();
            field.path_beside(file)
        });
    let identity = identity(document, root, file, &mut offsets);
    let api = api::api(document, &root.section("api"), file, &mut offsets);
    let listen_section = root.section("listen");
    let listen = listen(&listen_section);
    let limits = limits::read(document, &root.section("limits"));
    let units = units(document, root, unit.as_ref(), &listen_section, &limits);
    let upstream_section = root.section("upstream");
    let upstream = link::upstream(document, &upstream_section, unit.as_ref());
    let kinds = kinds(document, root, &limits);
    let policy = policy(document, root, &kinds);
    let dictionary = dictionary(&root.section("compression"), file, &mut offsets);
    let spool = local::spool(document, &root.section("spool"), file, &kinds, &mut offsets);
    let deliver_section = root.section("deliver");
    let deliver = local::deliver(document, &deliver_section, file, &limits, &mut offsets);
    let traces = traces::traces(&root.section("traces"));
    let log = log(&root.section("log"));
    root.finish();

    // Asked of the keys and not of the sections: one that is there and wrong has been told so already.
    if root.field("listen").is_none() && root.field("upstream").is_none() {
        document.missing(
            root.at(),
            "listen",
            told(|t| t.talks_to_nobody),
            told(|t| t.write_listen_or_upstream),
        );
    }
    let settings = Settings {
        unit: unit?,
        data_dir: data_dir?,
        identity: identity?,
        api,
        listen,
        units,
        upstream,
        policy,
        kinds,
        limits,
        dictionary,
        spool,
        deliver,
        traces,
        log,
    };
    Some((settings, offsets))
}

fn identity(
    document: &Document<'_>,
    root: &Section<'_, '_>,
    file: &Path,
    offsets: &mut Offsets,
) -> Option<Identity> {
    const EXAMPLE: &str = "\"/etc/casegate/identity\"";
    let section = root.section("identity");
    if root.field("identity").is_none() {
        let fix = told(|t| fill(t.write_identity, &[&EXAMPLE]));
        document.missing(section.at(), "identity.dir", told(|t| t.missing), fix);
    }
    let dir = section.required("dir", EXAMPLE).and_then(|field| {
        offsets.identity_dir = field.at();
        field.path_beside(file)
    });
    section.finish();
    Some(Identity { dir: dir? })
}

fn dictionary(
    section: &Section<'_, '_>,
    file: &Path,
    offsets: &mut Offsets,
) -> Option<std::path::PathBuf> {
    let dictionary = section.field("dictionary").and_then(|field| {
        offsets.dictionary = field.at();
        field.path_beside(file)
    });
    section.finish();
    dictionary
}

/// Reads `listen.address`; the rest of the section is for [`units`].
fn listen(section: &Section<'_, '_>) -> Option<Listen> {
    let everywhere = (std::net::Ipv4Addr::UNSPECIFIED, super::HUB_PORT).into();
    let address = section
        .required("address", "\"0.0.0.0:4433\"")
        .and_then(|field| field.socket(everywhere));
    Some(Listen { address: address? })
}

fn units(
    document: &Document<'_>,
    root: &Section<'_, '_>,
    own: Option<&UnitId>,
    listen: &Section<'_, '_>,
    limits: &Limits,
) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut lines = BTreeMap::new();
    let mut sections = listen.sections("unit");
    sections.extend(root.unit_sections());
    if let Some(beyond) = sections.get(limits.units as usize) {
        document.error(
            beyond.at(),
            "listen.unit",
            told(|t| fill(t.units_too_many, &[&sections.len(), &limits.units])),
            told(|t| t.write_more_units),
        );
    }
    for section in &sections {
        let name = section.required("name", "\"hebi.police\"");
        let at = name.as_ref().map(Field::at);
        let name = name.and_then(|field| {
            let unit = field.unit()?;
            if Some(&unit) == own {
                field.error(
                    told(|t| fill(t.own_unit, &[&unit])),
                    told(|t| t.remove_own_unit),
                );
            }
            Some(unit)
        });
        let title = section
            .field("title")
            .and_then(|field| field.line_of_text(Unit::TITLE_BYTES_MAX));
        let blocked = section.field("blocked").and_then(|field| field.boolean());
        let serves = section
            .field("serves")
            .map(|field| field.patterns("[\"hebi.xunxian.**\"]", |t| t.write_unit_pattern))
            .unwrap_or_default();
        section.finish();
        let (Some(name), Some(at)) = (name, at) else {
            continue;
        };
        if let Some(line) = lines.insert(name.clone(), document.line(at)) {
            document.error(
                at,
                &section.path_of("name"),
                listed_already(&name, line),
                told(|t| t.keep_one_entry),
            );
            continue;
        }
        units.push(Unit {
            name,
            title: title.map(str::to_owned),
            blocked: blocked.unwrap_or_default(),
            serves,
        });
    }
    listen.finish();
    if let (Some(first), false) = (sections.first(), listen.is_present()) {
        document.advise(
            first.at(),
            "unit",
            told(|t| t.units_unused),
            told(|t| t.write_listen),
        );
    }
    units
}

fn kinds(document: &Document<'_>, root: &Section<'_, '_>, limits: &Limits) -> Kinds {
    let days_max = u16::try_from(limits.expires_days).unwrap_or(u16::MAX);
    let mut kinds = Kinds::default();
    let built_in: Vec<(Kind, KindRule)> = kinds.iter().map(|(k, r)| (k.clone(), r)).collect();
    for (kind, mut rule) in built_in {
        rule.expires_days = rule.expires_days.min(days_max);
        kinds.insert(kind, rule);
    }
    let mut lines = BTreeMap::new();
    for section in bounded(document, root.sections("kind"), "kind") {
        let name = section.required("name", "\"inspection.report\"");
        let at = name.as_ref().map(Field::at);
        let name = name.and_then(|field| {
            let kind: Kind = field.dotted(|t| t.no_kind, |t| t.write_kind)?;
            if kind.is_receipt() {
                field.error(
                    told(|t| fill(t.own_kind, &[&RECEIPT_KIND])),
                    told(|t| t.remove_or_rename),
                );
                return None;
            }
            Some(kind)
        });
        let inherited = name.as_ref().and_then(|kind| kinds.get(kind));
        let lanes = Lane::ALL.map(|lane| (lane.as_str(), lane));
        let lane = section.field("lane").and_then(|field| field.choice(&lanes));
        let expires_days = section
            .field("expires-days")
            .and_then(|field| field.number(1..=limits.expires_days))
            .and_then(|days| u16::try_from(days).ok());
        let read_receipt = section
            .field("read-receipt")
            .and_then(|field| field.boolean());
        let compressed = section
            .field("compression")
            .and_then(|field| field.choice(&[("on", true), ("off", false)]));
        section.finish();
        let (Some(kind), Some(at)) = (name, at) else {
            continue;
        };
        if let Some(line) = lines.insert(kind.clone(), document.line(at)) {
            document.error(
                at,
                &section.path_of("name"),
                listed_already(&kind, line),
                told(|t| t.keep_one_entry),
            );
            continue;
        }
        let inherited = inherited.unwrap_or(KindRule {
            lane: Lane::Normal,
            expires_days: days_max.min(30),
            read_receipt: true,
            compressed: true,
        });
        kinds.insert(
            kind,
            KindRule {
                lane: lane.unwrap_or(inherited.lane),
                expires_days: expires_days.unwrap_or(inherited.expires_days),
                read_receipt: read_receipt.unwrap_or(inherited.read_receipt),
                compressed: compressed.unwrap_or(inherited.compressed),
            },
        );
    }
    kinds
}

fn policy(document: &Document<'_>, root: &Section<'_, '_>, kinds: &Kinds) -> Policy {
    let section = root.section("policy");
    let mut policy = Policy::default();
    let rules = section.sections("allow");
    if rules.is_empty() {
        document.advise(
            section.at(),
            "policy",
            told(|t| t.nothing_allowed),
            told(|t| t.write_allow),
        );
    }
    for rule in bounded(document, rules, "policy.allow") {
        let pattern =
            |field: Field<'_, '_>| field.dotted(|t| t.no_pattern, |t| t.write_unit_pattern);
        let from = rule.required("from", "\"hebi.**\"").and_then(pattern);
        let to = rule
            .required("to", "\"hebi.procuratorate\"")
            .and_then(pattern);
        let kinds_allowed = rule
            .required("kinds", "[\"case.*\", \"notice\"]")
            .map(|field| {
                let patterns = field.patterns("[\"case.*\", \"notice\"]", |t| t.write_kind_pattern);
                for pattern in &patterns {
                    advise_on_kind(&field, pattern, kinds);
                }
                patterns
            });
        rule.finish();
        if let (Some(from), Some(to), Some(kinds)) = (from, to, kinds_allowed) {
            policy.allow.push(Allow { from, to, kinds });
        }
    }
    section.finish();
    policy
}

/// A hub need not know every kind that passes it, so this is no error.
fn advise_on_kind(field: &Field<'_, '_>, pattern: &Pattern, kinds: &Kinds) {
    if pattern.as_str() == RECEIPT_KIND {
        field.advise(
            told(|t| t.receipts_pass),
            told(|t| fill(t.remove_quoted, &[&RECEIPT_KIND])),
        );
    } else if !kinds.iter().any(|(kind, _)| pattern.matches(kind.as_str())) {
        let known = kinds.iter().map(|(kind, _)| kind.as_str());
        let meant = nearest(pattern.as_str(), known);
        field.advise(
            told(|t| fill(t.matches_no_kind, &[pattern])),
            told(|t| match meant {
                Some(meant) => fill(t.did_you_mean, &[&meant]),
                None => t.add_kind.to_owned(),
            }),
        );
    }
}

fn log(section: &Section<'_, '_>) -> Log {
    let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
    let formats = LogFormat::ALL.map(|format| (format.as_str(), format));
    let level = section.field("level").and_then(|f| f.choice(&levels));
    let format = section.field("format").and_then(|f| f.choice(&formats));
    section.finish();
    Log {
        level: level.unwrap_or_default(),
        format: format.unwrap_or_default(),
    }
}

fn listed_already(name: &impl Display, line: usize) -> Both {
    told(|t| fill(t.listed_already, &[&format_args!("\"{name}\""), &line]))
}

/// The first [`ENTRIES_MAX`] of `sections`; that there are more is an error.
fn bounded<'d, 't>(
    document: &Document<'_>,
    mut sections: Vec<Section<'d, 't>>,
    key: &str,
) -> Vec<Section<'d, 't>> {
    if let Some(beyond) = sections.get(ENTRIES_MAX) {
        document.error(
            beyond.at(),
            key,
            told(|t| fill(t.entries, &[&sections.len()])),
            told(|t| fill(t.write_at_most, &[&ENTRIES_MAX])),
        );
        sections.truncate(ENTRIES_MAX);
    }
    sections
}

impl Field<'_, '_> {
    /// The value as a unit's name.
    pub(super) fn unit(&self) -> Option<UnitId> {
        self.dotted(|t| t.no_unit, |t| t.write_unit)
    }

    /// The value as a list of at least one pattern, without repeats.
    pub(super) fn patterns(&self, example: &str, how: Pick) -> Vec<Pattern> {
        let Some(items) = self.list(example) else {
            return Vec::new();
        };
        if items.is_empty() {
            let fix = told(|t| fill(t.write, &[&example]));
            self.error(told(|t| t.list_empty), fix);
        }
        if items.len() > ENTRIES_MAX {
            self.error(
                told(|t| fill(t.entries, &[&items.len()])),
                told(|t| fill(t.write_at_most, &[&ENTRIES_MAX])),
            );
        }
        let mut seen = BTreeSet::new();
        let patterns = items.iter().take(ENTRIES_MAX);
        patterns
            .filter_map(|item| item.dotted::<Pattern>(|t| t.no_pattern, how))
            .filter(|pattern| seen.insert(pattern.clone()))
            .collect()
    }

    /// The value as a path, joined to the file's folder when it is relative.
    pub(super) fn path_beside(&self, file: &Path) -> Option<std::path::PathBuf> {
        let path = self.text()?;
        if path.is_empty() || path.chars().any(char::is_control) {
            self.error(
                told(|t| fill(t.no_path, &[&quoted(path)])),
                told(|t| t.write_path),
            );
            return None;
        }
        Some(beside(file, path))
    }
}
