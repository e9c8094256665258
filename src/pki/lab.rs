//! A CA in a temporary folder, for tests.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{crypto::aws_lc_rs::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::{DAYS_DEFAULT, Identity, Issue, Role, Roots, csr, init, issue, profile};
use crate::model::{Millis, UnitId};

/// The time by the system's clock, which is the one that rustls asks. Milliseconds since the Unix epoch.
pub(crate) fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_millis() as u64
}

/// A day, in milliseconds.
pub(crate) const DAY: Millis = 24 * 3600 * 1000;

/// A CA and the identities that it issued.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    /// A new CA.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = Self { folder };
        init(&lab.ca(), "鹤壁 lab CA", now()).expect("a CA");
        lab
    }

    /// The CA's folder.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca")
    }

    /// A path beside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues an identity at a time, and gives its folder.
    pub(crate) fn issue_at(&self, unit: &str, at: Millis) -> PathBuf {
        let out = self.path(unit);
        let asked = Issue {
            dir: &self.ca(),
            unit: &name(unit),
            out: &out,
            hosts: &[],
            csr: None,
            days: DAYS_DEFAULT,
        };
        issue(&asked, at).expect("an identity");
        out
    }

    /// Issues an identity and loads it.
    pub(crate) fn identity(&self, unit: &str) -> Identity {
        let folder = self.issue_at(unit, now());
        Identity::load(&folder, &name(unit), now()).expect("an identity that loads")
    }

    /// The CA as others trust it.
    pub(crate) fn roots(&self) -> Roots {
        let pem = std::fs::read(self.ca().join("ca.pem")).expect("ca.pem");
        Roots::from_pem(&pem).expect("a CA's certificate")
    }

    /// Signs, with the CA's key, a certificate for today that its own profile would not let through.
    pub(crate) fn craft(
        &self,
        unit: &str,
        role: Role,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let validity = profile::Validity::of_days(now() / 1000, 1);
        let mut params = profile::leaf(&name(unit), role, &[], validity).expect("a profile");
        change(&mut params);
        let key = csr::new_key().expect("a key");
        let certificate = params
            .signed_by(&key, &self.issuer())
            .expect("a certificate");
        (certificate.into(), key)
    }

    /// [`Lab::craft`] as rustls takes it.
    pub(crate) fn certified(
        &self,
        unit: &str,
        role: Role,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertifiedKey {
        let (certificate, key) = self.craft(unit, role, change);
        let key = any_supported_type(&PrivateKeyDer::from(key)).expect("a key for TLS");
        CertifiedKey::new(vec![certificate], Arc::clone(&key))
    }

    fn issuer(&self) -> Issuer<'static, KeyPair> {
        let key = KeyPair::from_pem(&text(&self.ca().join("ca.key"))).expect("the CA's key");
        Issuer::from_ca_cert_pem(&text(&self.ca().join("ca.pem")), key).expect("an issuer")
    }
}

/// A unit's name.
pub(crate) fn name(unit: &str) -> UnitId {
    unit.parse().expect("a unit's name")
}

/// A file's text.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text file")
}
