//! `[api]`: where applications and operators ask, and who they are.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use super::{
    document::{Document, Section},
    field::{Field, quoted},
    read::Offsets,
    settings::{Api, ApiCertificate, ApiTls, ApiToken},
    texts::{Pick, told},
};
use crate::{
    language::fill,
    model::{Role, Sha256},
};

/// Longest host name, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Reads the section.
pub(super) fn api(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    file: &Path,
    offsets: &mut Offsets,
) -> Api {
    let listen = section.field("listen").and_then(|field| {
        let address = field.socket(Api::LISTEN)?;
        if !address.ip().is_loopback() {
            field.error(
                told(|t| fill(t.not_loopback, &[&address])),
                told(|t| fill(t.write_loopback_or_tls, &[&address.port()])),
            );
        }
        Some(address)
    });
    let token_file = section.field("token-file").and_then(|field| {
        offsets.token_file = field.at();
        field.path_beside(file)
    });
    let show_bodies = section
        .field("show-bodies")
        .and_then(|field| field.boolean());
    let mut names = BTreeMap::new();
    let tokens = tokens(document, section, file, offsets, &mut names);
    let certificates = certificates(document, section, &mut names);
    let tls = tls(&section.section("tls"), file, offsets);
    if let (Some(first), None) = (section.sections("certificate").first(), &tls) {
        document.advise(
            first.at(),
            "api.certificate",
            told(|t| t.certificates_unused),
            told(|t| t.write_tls),
        );
    }
    section.finish();
    Api {
        listen: listen.unwrap_or(Api::LISTEN),
        tls,
        token_file,
        tokens,
        certificates,
        show_bodies: show_bodies.unwrap_or_default(),
    }
}

/// Reads `[api.tls]`.
fn tls(section: &Section<'_, '_>, file: &Path, offsets: &mut Offsets) -> Option<ApiTls> {
    let everywhere = (Ipv4Addr::UNSPECIFIED, ApiTls::PORT).into();
    let listen = section
        .required("listen", "\"0.0.0.0:8441\"")
        .and_then(|field| field.socket(everywhere));
    let certificate = section.required("certificate", "\"/etc/casegate/api.pem\"");
    let certificate = certificate.and_then(|field| {
        offsets.tls_certificate = field.at();
        field.path_beside(file)
    });
    let key = section.required("key", "\"/etc/casegate/api.key\"");
    let key = key.and_then(|field| {
        offsets.tls_key = field.at();
        field.path_beside(file)
    });
    let hosts = section.field("hosts").map(|field| hosts(&field));
    section.finish();
    Some(ApiTls {
        listen: listen?,
        certificate: certificate?,
        key: key?,
        hosts: hosts.unwrap_or_default(),
    })
}

fn hosts(field: &Field<'_, '_>) -> Vec<String> {
    const EXAMPLE: &str = "[\"gateway.hebi.example\"]";
    let items = field.list(EXAMPLE).unwrap_or_default();
    if items.len() > ApiTls::HOSTS_MAX {
        field.error(
            told(|t| fill(t.names_too_many, &[&items.len()])),
            told(|t| fill(t.write_at_most, &[&ApiTls::HOSTS_MAX])),
        );
    }
    let mut hosts = Vec::new();
    for item in items {
        let Some(host) = item.text() else { continue };
        let is_name = (1..=HOST_BYTES_MAX).contains(&host.len())
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && host.parse::<IpAddr>().is_err();
        if is_name {
            hosts.push(host.to_owned());
        } else {
            item.error(
                told(|t| fill(t.no_host_name, &[&quoted(host)])),
                told(|t| fill(t.write_host_names, &[&EXAMPLE])),
            );
        }
    }
    hosts
}

/// The name of a person, which no other entry has.
fn person<'d>(
    document: &Document<'_>,
    section: &Section<'d, '_>,
    names: &mut BTreeMap<String, usize>,
) -> Option<(String, usize)> {
    let field = section.required("name", "\"li.wei\"")?;
    let name = field.line_of_text(ApiToken::NAME_BYTES_MAX)?.trim();
    if name.is_empty() || ApiToken::TAKEN.contains(&name) {
        field.error(
            told(|t| fill(t.name_taken, &[&quoted(name)])),
            told(|t| t.write_person),
        );
        return None;
    }
    let at = field.at();
    if let Some(line) = names.insert(name.to_owned(), document.line(at)) {
        document.error(
            at,
            &section.path_of("name"),
            told(|t| fill(t.listed_already, &[&quoted(name), &line])),
            told(|t| t.keep_one_entry),
        );
        return None;
    }
    Some((name.to_owned(), at))
}

fn role(section: &Section<'_, '_>) -> Option<Role> {
    let role = section.required("role", "\"operator\"");
    role.and_then(|field| field.choice(&Role::ALL.map(|role| (role.as_str(), role))))
}

fn bound(document: &Document<'_>, sections: &[Section<'_, '_>], key: &str, too_many: Pick) {
    if let Some(beyond) = sections.get(ApiToken::COUNT_MAX) {
        document.error(
            beyond.at(),
            key,
            told(|t| fill(too_many(t), &[&sections.len()])),
            told(|t| fill(t.write_at_most, &[&ApiToken::COUNT_MAX])),
        );
    }
}

fn tokens(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    file: &Path,
    offsets: &mut Offsets,
    names: &mut BTreeMap<String, usize>,
) -> Vec<ApiToken> {
    let sections = section.sections("token");
    bound(document, &sections, "api.token", |t| t.tokens_too_many);
    let mut tokens = Vec::new();
    for section in &sections {
        let person = person(document, section, names);
        let role = role(section);
        let path = section.required("file", "\"/etc/casegate/li.wei.token\"");
        let path = path.and_then(|field| field.path_beside(file));
        section.finish();
        if let (Some((name, at)), Some(role), Some(file)) = (person, role, path) {
            offsets.tokens.push(at);
            tokens.push(ApiToken { name, role, file });
        }
    }
    tokens
}

fn certificates(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    names: &mut BTreeMap<String, usize>,
) -> Vec<ApiCertificate> {
    let sections = section.sections("certificate");
    bound(document, &sections, "api.certificate", |t| {
        t.certificates_too_many
    });
    let mut certificates: Vec<ApiCertificate> = Vec::new();
    for section in &sections {
        let person = person(document, section, names);
        let role = role(section);
        let sha256 = section.required("sha256", "\"BA:78:...\"");
        let sha256 = sha256.and_then(|field| {
            let text = field.text()?;
            let Ok(sha256) = text.parse::<Sha256>() else {
                field.error(
                    told(|t| fill(t.no_fingerprint, &[&quoted(text)])),
                    told(|t| t.write_fingerprint),
                );
                return None;
            };
            if let Some(other) = certificates.iter().find(|known| known.sha256 == sha256) {
                field.error(
                    told(|t| fill(t.same_certificate, &[&quoted(&other.name)])),
                    told(|t| t.own_certificates),
                );
                return None;
            }
            Some(sha256)
        });
        section.finish();
        if let (Some((name, _)), Some(role), Some(sha256)) = (person, role, sha256) {
            certificates.push(ApiCertificate { name, role, sha256 });
        }
    }
    certificates
}
