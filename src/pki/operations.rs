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
    let certify = |key: &_, role| {
        let hosts = asked.hosts;
        let pem = authority.issue(key, asked.unit, role, hosts, asked.days, now)?;
        Ok::<_, PkiError>((format!("{role}.pem"), pem))
    };
    match asked.csr {
        Some(path) => {
            let pem = files::read(path).map_err(PkiError::read(path))?;
            let wanted = csr::read(&pem, asked.unit).map_err(|fault| PkiError::Request {
                path: path.to_owned(),
                fault,
            })?;
            for wanted in wanted {
                let (name, pem) = certify(&wanted.key, wanted.role)?;
                files.add(name, pem, Access::Public);
            }
        }
        None => {
            for role in [Role::Tls, Role::Signing] {
                let key = csr::new_key()?;
                let public = rcgen::SubjectPublicKeyInfo::from_der(
                    &rcgen::PublicKeyData::subject_public_key_info(&key),
                )
                .map_err(PkiError::internal)?;
                let (name, pem) = certify(&public, role)?;
                files.add(format!("{role}.key"), key.serialize_pem(), Access::Private);
                files.add(name, pem, Access::Public);
            }
        }
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
