//! What `casegate pki` does: `init`, `issue`, `request`.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::{
    authority::Authority,
    certificate::{Role, UnitCertificate},
    csr,
    error::PkiError,
    files::{self, Access, Unfinished},
    profile::Host,
};
use crate::model::{Millis, UnitId};

const KEY_ADVICE: &str = "a key in use would be lost; choose another --out";

/// Makes a CA in `dir`, which is created as needed.
///
/// `name` is its common name, at most [`super::CA_NAME_CHARS_MAX`] characters; `now` is in milliseconds since the Unix epoch.
///
/// # Errors
/// [`PkiError::Exists`] when there is a CA; it is never overwritten.
pub fn init(dir: &Path, name: &str, now: Millis) -> Result<(), PkiError> {
    Authority::create(dir, name, now)
}

/// What [`issue`] is asked.
#[derive(Clone, Debug)]
pub struct Issue<'a> {
    /// The CA's folder.
    pub dir: &'a Path,
    /// The unit that the certificates are for.
    pub unit: &'a UnitId,
    /// Where the files go; created as needed.
    pub out: &'a Path,
    /// Names for other tools, in the TLS certificate.
    pub hosts: &'a [Host],
    /// A file of requests made by [`request`]; without one the keys are made here too.
    pub csr: Option<&'a Path>,
    /// How long the certificates are valid, in days; never longer than the CA.
    pub days: u32,
}

/// Issues a unit's certificates: `ca.pem tls.pem signing.pem`, with `tls.key signing.key` when no request is given, in which case
/// the CA has seen the unit's keys. Files there are replaced, each whole, so that issuing again renews.
///
/// With a request only its public keys, its unit and its roles count: names, usages and constraints are ours, whatever it asks.
/// `now` is in milliseconds since the Unix epoch. Gives the files that it wrote.
///
/// # Errors
/// The folder holds another unit's certificate, there is no CA, or the request is not for the unit.
pub fn issue(asked: &Issue<'_>, now: Millis) -> Result<Vec<PathBuf>, PkiError> {
    let authority = Authority::open(asked.dir)?;
    refuse_foreign_folder(asked.out, asked.unit)?;
    let mut files = Files::new(asked.out);
    files.add("ca.pem", authority.certificate_pem(), Access::Public);
    let wanted = match asked.csr {
        Some(path) => {
            let pem = files::read(path).map_err(PkiError::read(path))?;
            csr::read(&pem, asked.unit).map_err(|fault| PkiError::Request {
                path: path.to_owned(),
                fault,
            })?
        }
        None => {
            let mut wanted = Vec::new();
            for role in [Role::Tls, Role::Signing] {
                let key = csr::new_key()?;
                wanted.push(csr::Wanted::of(role, &key)?);
                files.add(format!("{role}.key"), key.serialize_pem(), Access::Private);
            }
            wanted
        }
    };
    // Before anything is issued: what cannot be written should not be on record.
    files::create_folder(asked.out, Access::Public).map_err(PkiError::write(asked.out))?;
    for csr::Wanted { role, key } in wanted {
        let (unit, hosts, days) = (asked.unit, asked.hosts, asked.days);
        let pem = authority.issue(&key, unit, role, hosts, days, now)?;
        files.add(format!("{role}.pem"), pem, Access::Public);
    }
    files.write(Unfinished::replace)
}

/// Makes a unit's keys and the request for its certificates: `tls.key signing.key request.csr`. The keys never leave the folder.
/// Gives the files that it wrote.
///
/// # Errors
/// [`PkiError::Exists`] when there is a key: a key in use is never overwritten.
pub fn request(unit: &UnitId, out: &Path) -> Result<Vec<PathBuf>, PkiError> {
    for name in ["tls.key", "signing.key", "request.csr"] {
        let path = out.join(name);
        if path.try_exists().map_err(PkiError::write(&path))? {
            let advice = KEY_ADVICE;
            return Err(PkiError::Exists { path, advice });
        }
    }
    let mut files = Files::new(out);
    let mut requests = String::new();
    for role in [Role::Tls, Role::Signing] {
        let key = csr::new_key()?;
        requests.push_str(&csr::make(unit, role, &key)?);
        files.add(format!("{role}.key"), key.serialize_pem(), Access::Private);
    }
    files.add("request.csr", requests, Access::Public);
    files.write(Unfinished::create)
}

/// An identity is never replaced by another unit's. What does not read is not an identity.
fn refuse_foreign_folder(out: &Path, unit: &UnitId) -> Result<(), PkiError> {
    for role in [Role::Tls, Role::Signing] {
        let path = out.join(format!("{role}.pem"));
        let found = files::read(&path)
            .ok()
            .and_then(|pem| CertificateDer::from_pem_slice(&pem).ok())
            .and_then(|der| UnitCertificate::read(&der).ok())
            .map(|certificate| certificate.unit);
        match found {
            Some(found) if found != *unit => return Err(PkiError::ForeignFolder { path, found }),
            _ => {}
        }
    }
    Ok(())
}

/// Files that belong together: all are complete on disk before the first gets its name.
struct Files<'a> {
    out: &'a Path,
    contents: Vec<(PathBuf, Zeroizing<String>, Access)>,
}

impl<'a> Files<'a> {
    fn new(out: &'a Path) -> Self {
        let contents = Vec::new();
        Self { out, contents }
    }

    fn add(&mut self, name: impl AsRef<Path>, content: impl Into<String>, access: Access) {
        let path = self.out.join(name);
        self.contents
            .push((path, Zeroizing::new(content.into()), access));
    }

    /// Gives every file its name by `finish`, and says which.
    fn write(
        self,
        finish: fn(Unfinished) -> std::io::Result<()>,
    ) -> Result<Vec<PathBuf>, PkiError> {
        files::create_folder(self.out, Access::Public).map_err(PkiError::write(self.out))?;
        let mut unfinished = Vec::new();
        for (path, content, access) in &self.contents {
            unfinished.push(
                Unfinished::write(path, content.as_bytes(), *access)
                    .map_err(PkiError::write(path))?,
            );
        }
        let mut written = Vec::new();
        for file in unfinished {
            let path = file.path().to_owned();
            finish(file).map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => PkiError::Exists {
                    path: path.clone(),
                    advice: KEY_ADVICE,
                },
                _ => PkiError::write(&path)(source),
            })?;
            written.push(path);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
    };
    use x509_parser::{
        certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _,
    };

    use super::*;
    use crate::pki::{
        DAYS_DEFAULT, Identity,
        csr::RequestFault,
        lab::{DAY, Lab, name, now, text},
    };

    const UNIT: &str = "hebi.410621.031";

    fn granted(lab: &Lab, csr: &Path) -> Result<Vec<PathBuf>, PkiError> {
        let (dir, unit, out) = (lab.ca(), name(UNIT), lab.path("granted"));
        let asked = Issue {
            dir: &dir,
            unit: &unit,
            out: &out,
            hosts: &[
                "hub.example.org".parse().expect("a host"),
                Host::Ip([10, 1, 0, 1].into()),
            ],
            csr: Some(csr),
            days: DAYS_DEFAULT,
        };
        issue(&asked, now())
    }

    fn certificate(path: &Path) -> Vec<u8> {
        CertificateDer::from_pem_slice(text(path).as_bytes())
            .expect("a certificate")
            .to_vec()
    }

    fn alternative_names(der: &[u8]) -> Vec<String> {
        let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
        let names = certificate.subject_alternative_name().expect("readable");
        let names = &names.expect("names").value.general_names;
        names
            .iter()
            .map(|name| match name {
                GeneralName::URI(uri) => (*uri).to_owned(),
                GeneralName::DNSName(host) => format!("DNS:{host}"),
                GeneralName::IPAddress(bytes) => format!("IP:{bytes:?}"),
                other => panic!("unexpected name {other:?}"),
            })
            .collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o7777
    }

    fn listing(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_identity_has_five_files_and_its_keys_are_the_owners_alone() {
        let lab = Lab::new();
        let out = lab.issue_at(UNIT, now());
        let names = ["ca.pem", "signing.key", "signing.pem", "tls.key", "tls.pem"];
        assert_eq!(listing(&out), names);
        for name in names {
            let expected = if name.ends_with(".key") { 0o600 } else { 0o644 };
            assert_eq!(mode(&out.join(name)), expected, "{name}");
        }
        assert_eq!(mode(&lab.ca().join("ca.key")), 0o600);
        assert_eq!(
            alternative_names(&certificate(&out.join("tls.pem"))),
            ["casegate:unit:hebi.410621.031"]
        );
    }

    #[test]
    fn a_ca_is_never_overwritten_not_even_half_of_one() {
        let lab = Lab::new();
        let before = text(&lab.ca().join("ca.key"));
        let error = init(&lab.ca(), "another", now()).expect_err("a refusal");
        assert_eq!(error.exit_code(), 73);
        fs::remove_file(lab.ca().join("ca.pem")).expect("removed");
        assert_eq!(
            init(&lab.ca(), "another", now())
                .expect_err("a refusal")
                .exit_code(),
            73
        );
        assert_eq!(text(&lab.ca().join("ca.key")), before);
        assert_eq!(listing(&lab.ca()), ["ca.key", "issued"]);
    }

    #[test]
    fn everything_issued_is_on_record_under_its_own_serial_number() {
        let lab = Lab::new();
        lab.issue_at(UNIT, now());
        lab.issue_at(UNIT, now());
        let issued = lab.ca().join("issued");
        let records = listing(&issued);
        assert_eq!(records.len(), 4);
        for record in records {
            let path = issued.join(&record);
            let der = certificate(&path);
            let (_, read) = X509Certificate::from_der(&der).expect("a certificate");
            let serial = record.strip_suffix(".pem").expect("a PEM file");
            assert_eq!(data_encoding::HEXLOWER.encode(read.raw_serial()), serial);
            let text = text(&path);
            assert!(
                text.starts_with(&format!("serial: {serial}\nunit: {UNIT}\nrole: ")),
                "{text}"
            );
        }
    }

    #[test]
    fn keys_made_at_the_unit_and_certificates_made_at_the_ca_are_one_identity() {
        let lab = Lab::new();
        let out = lab.path("unit");
        request(&name(UNIT), &out).expect("a request");
        assert_eq!(listing(&out), ["request.csr", "signing.key", "tls.key"]);
        assert_eq!(
            (mode(&out.join("tls.key")), mode(&out.join("signing.key"))),
            (0o600, 0o600)
        );

        granted(&lab, &out.join("request.csr")).expect("certificates");
        let from_ca = lab.path("granted");
        assert_eq!(listing(&from_ca), ["ca.pem", "signing.pem", "tls.pem"]);
        for name in listing(&from_ca) {
            fs::copy(from_ca.join(&name), out.join(&name)).expect("carried over");
        }
        Identity::load(&out, &name(UNIT), now()).expect("an identity");
        let hosts = [
            "casegate:unit:hebi.410621.031",
            "DNS:hub.example.org",
            "IP:[10, 1, 0, 1]",
        ];
        assert_eq!(alternative_names(&certificate(&out.join("tls.pem"))), hosts);
        assert_eq!(
            alternative_names(&certificate(&out.join("signing.pem"))),
            hosts[..1]
        );
    }

    #[test]
    fn a_key_in_use_is_not_lost_to_a_second_request() {
        let lab = Lab::new();
        let out = lab.issue_at(UNIT, now());
        let before = text(&out.join("signing.key"));
        fs::remove_file(out.join("tls.key")).expect("removed");
        let error = request(&name(UNIT), &out).expect_err("a refusal");
        assert_eq!(error.exit_code(), 73);
        assert_eq!(text(&out.join("signing.key")), before);
        assert!(!out.join("tls.key").exists());
    }

    /// A request that asks for more than it gets.
    fn greedy(unit: &str, key: &KeyPair) -> String {
        let mut params =
            CertificateParams::new(vec!["evil.example.org".to_owned()]).expect("params");
        params.subject_alt_names.push(SanType::URI(
            format!("casegate:unit:{unit}").try_into().expect("ASCII"),
        ));
        params
            .subject_alt_names
            .push(SanType::URI("spiffe://other".try_into().expect("ASCII")));
        params
            .distinguished_name
            .push(DnType::CommonName, "the hub itself");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let request = params.serialize_request(key).expect("a request");
        request.pem().expect("PEM")
    }

    fn ask(lab: &Lab, requests: &str) -> Result<Vec<PathBuf>, PkiError> {
        let path = lab.path("asked.csr");
        fs::write(&path, requests).expect("written");
        granted(lab, &path)
    }

    fn fault(answer: Result<Vec<PathBuf>, PkiError>) -> RequestFault {
        match answer.expect_err("a refusal") {
            error @ PkiError::Request { .. } if error.exit_code() != 65 => panic!("{error}"),
            PkiError::Request { fault, .. } => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_request_for_a_ca_and_for_other_names_gets_neither() {
        let lab = Lab::new();
        let key = csr::new_key().expect("a key");
        ask(&lab, &greedy(UNIT, &key)).expect("a certificate");
        assert_eq!(listing(&lab.path("granted")), ["ca.pem", "tls.pem"]);
        let der = certificate(&lab.path("granted").join("tls.pem"));
        assert_eq!(
            alternative_names(&der),
            [
                "casegate:unit:hebi.410621.031",
                "DNS:hub.example.org",
                "IP:[10, 1, 0, 1]"
            ]
        );
        let (_, read) = X509Certificate::from_der(&der).expect("a certificate");
        assert!(!read.is_ca());
        assert_eq!(read.subject().iter().count(), 0);
        let judged = lab
            .roots()
            .verify_at(&der, Role::Tls, now())
            .expect("a TLS certificate");
        assert_eq!(judged.unit.as_str(), UNIT);
    }

    #[test]
    fn a_request_for_another_unit_or_for_none_is_refused() {
        let lab = Lab::new();
        let key = csr::new_key().expect("a key");
        assert_eq!(
            fault(ask(&lab, &greedy("hebi.police", &key))),
            RequestFault::WrongUnit {
                number: 1,
                expected: name(UNIT),
                found: name("hebi.police")
            }
        );
        let anonymous = CertificateParams::new(vec!["evil.example.org".to_owned()])
            .and_then(|params| params.serialize_request(&key))
            .and_then(|request| request.pem())
            .expect("a request");
        assert_eq!(fault(ask(&lab, &anonymous)), RequestFault::NoUnit(1));
        assert!(!lab.path("granted").exists());
        assert_eq!(listing(&lab.ca().join("issued")), [""; 0]);
    }

    #[test]
    fn a_request_that_its_own_key_did_not_sign_is_refused() {
        let lab = Lab::new();
        let key = csr::new_key().expect("a key");
        let request = csr::make(&name(UNIT), Role::Signing, &key).expect("a request");
        let mut der =
            rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(request.as_bytes())
                .expect("PEM")
                .to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let encoded = data_encoding::BASE64.encode(&der);
        let forged = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{encoded}\n-----END CERTIFICATE REQUEST-----\n"
        );
        assert_eq!(fault(ask(&lab, &forged)), RequestFault::Signature(1));
    }

    #[test]
    fn one_key_for_both_roles_and_keys_of_other_kinds_are_refused() {
        let lab = Lab::new();
        let make = |role, key: &KeyPair| csr::make(&name(UNIT), role, key).expect("a request");
        let key = csr::new_key().expect("a key");
        let shared = make(Role::Tls, &key) + &make(Role::Signing, &key);
        assert_eq!(fault(ask(&lab, &shared)), RequestFault::SharedKey);
        let other = csr::new_key().expect("a key");
        let twice = make(Role::Tls, &key) + &make(Role::Tls, &other);
        assert_eq!(fault(ask(&lab, &twice)), RequestFault::Twice(Role::Tls));
        assert_eq!(fault(ask(&lab, "no PEM at all")), RequestFault::Count(0));

        let curve = KeyPair::generate().expect("a P-256 key");
        assert_eq!(
            fault(ask(&lab, &make(Role::Signing, &curve))),
            RequestFault::Key(1, Role::Signing)
        );
        ask(&lab, &make(Role::Tls, &curve)).expect("a TLS certificate for a P-256 key");
    }

    #[test]
    fn issuing_again_renews_and_another_units_folder_is_left_alone() {
        let lab = Lab::new();
        let out = lab.issue_at(UNIT, now());
        let before = text(&out.join("tls.pem"));
        lab.issue_at(UNIT, now());
        assert_ne!(text(&out.join("tls.pem")), before);
        Identity::load(&out, &name(UNIT), now()).expect("an identity");

        let dir = lab.ca();
        let asked = Issue {
            dir: &dir,
            unit: &name("hebi.police"),
            out: &out,
            hosts: &[],
            csr: None,
            days: DAYS_DEFAULT,
        };
        assert_eq!(issue(&asked, now()).expect_err("a refusal").exit_code(), 73);
        Identity::load(&out, &name(UNIT), now()).expect("the identity that was there");
    }

    #[test]
    fn no_certificate_outlives_its_ca() {
        let lab = Lab::new();
        let near_the_end = now() + 20 * 365 * DAY - 10 * DAY;
        let out = lab.issue_at(UNIT, near_the_end);
        let judged = lab
            .roots()
            .verify(&certificate(&out.join("tls.pem")), Role::Tls)
            .expect("a certificate");
        assert!(judged.not_after <= near_the_end + 10 * DAY + 999);
        let dir = lab.ca();
        let asked = Issue {
            dir: &dir,
            unit: &name(UNIT),
            out: &out,
            hosts: &[],
            csr: None,
            days: DAYS_DEFAULT,
        };
        let error = issue(&asked, near_the_end + 20 * DAY).expect_err("a refusal");
        assert!(matches!(error, PkiError::CaExpired { .. }), "{error}");
    }

    #[test]
    fn a_ca_that_is_missing_exposed_or_mixed_up_issues_nothing() {
        let lab = Lab::new();
        let dir = lab.ca();
        let (unit, out) = (name(UNIT), lab.path("out"));
        let asked = Issue {
            dir: &lab.path("nowhere"),
            unit: &unit,
            out: &out,
            hosts: &[],
            csr: None,
            days: DAYS_DEFAULT,
        };
        let error = issue(&asked, now()).expect_err("a refusal");
        assert!(matches!(error, PkiError::NoCa(_)), "{error}");
        let asked = Issue { dir: &dir, ..asked };
        let key = dir.join("ca.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = issue(&asked, now()).expect_err("a refusal");
        assert!(
            matches!(error, PkiError::CaKeyExposed { mode: 0o640, .. }),
            "{error}"
        );
        fs::copy(Lab::new().ca().join("ca.key"), &key).expect("mixed up");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("chmod");
        let error = issue(&asked, now()).expect_err("a refusal");
        assert!(matches!(error, PkiError::CaKey(_)), "{error}");
        assert!(!out.exists());
    }

    #[test]
    fn a_host_is_a_dns_name_or_an_address() {
        assert_eq!("10.1.0.1".parse(), Ok(Host::Ip([10, 1, 0, 1].into())));
        assert!(matches!("hub.example.org".parse(), Ok(Host::Dns(_))));
        for text in ["", "a b", "hebi.410621.031", "*.example.org", "鹤壁"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
