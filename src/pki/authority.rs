//! The certificate authority: a folder with a key, a certificate, and a record of everything issued.
//!
//! ```text
//! ca.pem          its certificate: every node's ca.pem
//! ca.key          its key, 0600
//! issued/         one file a certificate, <serial>.pem: who and until when in words, then the certificate
//! ```

use std::{
    io,
    path::{Path, PathBuf},
};

use rcgen::{Issuer, KeyPair, PublicKeyData};
use x509_parser::{certificate::X509Certificate, pem::parse_x509_pem, prelude::FromDer as _};
use zeroize::Zeroizing;

use super::{
    certificate::{Role, instant},
    csr,
    error::PkiError,
    files::{self, Access, PrivateFile, Unfinished},
    profile::{self, Host, Validity},
    roots::Roots,
};
use crate::model::{Millis, UnitId};

/// A CA, opened.
pub(super) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_after: u64,
}

impl Authority {
    /// Makes a CA in `dir`.
    ///
    /// # Errors
    /// [`PkiError::Exists`] when there is one, or a part of one.
    pub(super) fn create(dir: &Path, name: &str, now: Millis) -> Result<(), PkiError> {
        const ADVICE: &str = "every unit's certificates hang on it; choose another --dir";
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.pem"));
        for path in [&key_path, &certificate_path] {
            if path.try_exists().map_err(PkiError::write(path))? {
                let (path, advice) = (path.clone(), ADVICE);
                return Err(PkiError::Exists { path, advice });
            }
        }
        let key = csr::new_key()?;
        let certificate = profile::ca(name, Validity::of_ca(now / 1000))?
            .self_signed(&key)
            .map_err(PkiError::internal)?;
        let issued = dir.join("issued");
        files::create_folder(&issued, Access::Private).map_err(PkiError::write(&issued))?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let files = [
            (key_path, key_pem.as_bytes(), Access::Private),
            (
                certificate_path,
                certificate.pem().as_bytes(),
                Access::Public,
            ),
        ]
        .map(|(path, content, access)| {
            Unfinished::write(&path, content, access).map_err(PkiError::write(&path))
        });
        for file in files {
            let file = file?;
            let path = file.path().to_owned();
            file.create().map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => PkiError::Exists {
                    path,
                    advice: ADVICE,
                },
                _ => PkiError::Write { path, source },
            })?;
        }
        Ok(())
    }

    /// Opens the CA in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, PkiError> {
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.pem"));
        let absent = |path: &Path| {
            let (dir, path) = (dir.to_owned(), path.to_owned());
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => PkiError::NoCa(dir),
                _ => PkiError::Read { path, source },
            }
        };
        let certificate_pem = files::read(&certificate_path).map_err(absent(&certificate_path))?;
        let key_pem = match files::read_private(&key_path).map_err(absent(&key_path))? {
            PrivateFile::Content(content) => content,
            PrivateFile::Exposed(mode) => {
                return Err(PkiError::CaKeyExposed {
                    path: key_path,
                    mode,
                });
            }
        };
        Roots::from_pem(&certificate_pem).map_err(|fault| PkiError::CaCertificate {
            path: certificate_path.clone(),
            fault,
        })?;

        let key = std::str::from_utf8(&key_pem)
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or_else(|| PkiError::CaKey(key_path.clone()))?;
        let (_, pem) = parse_x509_pem(&certificate_pem).map_err(PkiError::internal)?;
        let (_, certificate) =
            X509Certificate::from_der(&pem.contents).map_err(PkiError::internal)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(PkiError::CaKey(key_path));
        }
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), key)
            .map_err(PkiError::internal)?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer,
            certificate_pem: String::from_utf8(certificate_pem).map_err(PkiError::internal)?,
            not_after,
        })
    }

    /// The CA's certificate as PEM.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate, records it, and gives it as PEM.
    pub(super) fn issue(
        &self,
        key: &impl PublicKeyData,
        unit: &UnitId,
        role: Role,
        hosts: &[Host],
        days: u32,
        now: Millis,
    ) -> Result<String, PkiError> {
        let mut validity = Validity::of_days(now / 1000, days);
        validity.not_after = validity.not_after.min(self.not_after);
        if validity.not_after <= now / 1000 {
            return Err(PkiError::CaExpired {
                dir: self.dir.clone(),
                at: instant(self.not_after * 1000),
            });
        }
        let params = profile::leaf(unit, role, hosts, validity)?;
        let serial = params
            .serial_number
            .as_ref()
            .map(|serial| data_encoding::HEXLOWER.encode(serial.as_ref()))
            .ok_or_else(|| PkiError::internal("a certificate without a serial number"))?;
        let pem = params
            .signed_by(key, &self.issuer)
            .map_err(PkiError::internal)?
            .pem();
        self.record(&serial, unit, role, validity, &pem)?;
        Ok(pem)
    }

    /// Nothing leaves the CA that is not on record. Text before a PEM section is explanatory (RFC 7468 section 2).
    fn record(
        &self,
        serial: &str,
        unit: &UnitId,
        role: Role,
        validity: Validity,
        pem: &str,
    ) -> Result<(), PkiError> {
        let folder = self.dir.join("issued");
        files::create_folder(&folder, Access::Private).map_err(PkiError::write(&folder))?;
        let not_after = instant(validity.not_after * 1000);
        let record = format!(
            "serial: {serial}\nunit: {unit}\nrole: {role}\nnot-after: {not_after}\n\n{pem}"
        );
        let path = folder.join(format!("{serial}.pem"));
        Unfinished::write(&path, record.as_bytes(), Access::Public)
            .and_then(Unfinished::create)
            .map_err(PkiError::write(&path))
    }
}
