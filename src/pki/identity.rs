//! A node's own identity, as `[identity] dir` holds it: `ca.pem tls.pem tls.key signing.pem signing.key`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::{
    certificate::{CertificateFault, Role, UnitCertificate},
    files::{self, PrivateFile},
    roots::{Roots, RootsFault},
};
use crate::{
    model::{Millis, UnitId},
    parcel::{Signer, VerifyingKey},
};

/// Why an identity cannot be used. The text says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file is not there.
    #[error("{}: is missing; make it with `casegate pki issue`, or set identity.dir to the folder that has it", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read a key.
    #[error("{}: is open to others (mode {mode:04o}); run `chmod 600` on it, and issue anew if they may have read it", .path.display())]
    Exposed {
        /// The key.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file is not the PEM file that it should be.
    #[error("{}: has no {expected} in PEM; replace it with the file from `casegate pki issue`", .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// `ca.pem` cannot be used.
    #[error("{}: {fault}", .path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: RootsFault,
    },
    /// A certificate does not count.
    #[error("{}: {fault}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: CertificateFault,
    },
    /// A key is of a kind that is not used.
    #[error("{}: is not an Ed25519 key; issue anew with `casegate pki issue`", .0.display())]
    KeyKind(PathBuf),
    /// A key and its certificate do not belong together.
    #[error("{}: is not the key of {}; put both back from one `casegate pki issue`", .key.display(), .certificate.display())]
    Mismatch {
        /// The key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
}

impl IdentityError {
    /// Whether a file is not there at all, as before the first `pki issue`.
    pub const fn is_missing(&self) -> bool {
        matches!(self, IdentityError::Missing(_))
    }
}

/// A node's identity: who it is, and how it proves it.
pub struct Identity {
    unit: UnitId,
    roots: Roots,
    tls: Arc<CertifiedKey>,
    tls_certificate: UnitCertificate,
    signer: Arc<Signer>,
    signing: CertificateDer<'static>,
    signing_certificate: UnitCertificate,
    secret: Zeroizing<[u8; 32]>,
}

impl Identity {
    /// Reads the identity of `unit` from `dir` and checks all of it at `now`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The first thing found wrong: a file missing or exposed, a certificate expired, not the unit's, for another role or not from
    /// `ca.pem`, or a key that is not its certificate's.
    pub fn load(dir: &Path, unit: &UnitId, now: Millis) -> Result<Self, IdentityError> {
        let ca = dir.join("ca.pem");
        let roots = Roots::from_pem(&read(&ca)?)
            .map_err(|fault| IdentityError::Roots { path: ca, fault })?;
        let (tls, tls_certificate) = certificate(dir, Role::Tls, unit, &roots, now)?;
        let (signing, signing_certificate) = certificate(dir, Role::Signing, unit, &roots, now)?;

        let tls_key = key(dir, Role::Tls)?;
        let signing_key = key(dir, Role::Signing)?;
        let tls = certified(dir, tls, &tls_key)?;
        let signer = signer(dir, &signing_certificate, &signing_key)?;
        let secret = Zeroizing::new(blake3::derive_key(
            "casegate 2026-11 secret of an identity",
            tls_key.secret_der(),
        ));
        Ok(Self {
            unit: unit.clone(),
            roots,
            tls: Arc::new(tls),
            tls_certificate,
            signer: Arc::new(signer),
            signing,
            signing_certificate,
            secret,
        })
    }

    /// The unit that this node is.
    pub fn unit(&self) -> &UnitId {
        &self.unit
    }

    /// The CAs that it trusts.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Its TLS certificate and key, for rustls.
    pub fn tls(&self) -> &Arc<CertifiedKey> {
        &self.tls
    }

    /// Its signing key.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// Its signing certificate, DER, for those who do not have it yet.
    pub fn signing_certificate(&self) -> &[u8] {
        &self.signing
    }

    /// The last moment of the TLS certificate, in milliseconds since the Unix epoch.
    pub fn tls_not_after(&self) -> Millis {
        self.tls_certificate.not_after
    }

    /// The last moment of the signing certificate, in milliseconds since the Unix epoch.
    pub fn signing_not_after(&self) -> Millis {
        self.signing_certificate.not_after
    }

    /// A key for one purpose, the same as long as the TLS key is. `context` names the purpose and is a constant of the program.
    /// It is wiped when dropped.
    pub fn derive_key(&self, context: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, self.secret.as_ref()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.unit)
    }
}

fn fault(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    |source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing(path.to_owned()),
        _ => IdentityError::Read {
            path: path.to_owned(),
            source,
        },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    files::read(path).map_err(fault(path))
}

fn certificate_path(dir: &Path, role: Role) -> PathBuf {
    dir.join(format!("{role}.pem"))
}

fn key_path(dir: &Path, role: Role) -> PathBuf {
    dir.join(format!("{role}.key"))
}

fn certificate(
    dir: &Path,
    role: Role,
    unit: &UnitId,
    roots: &Roots,
    now: Millis,
) -> Result<(CertificateDer<'static>, UnitCertificate), IdentityError> {
    let path = certificate_path(dir, role);
    let der = CertificateDer::from_pem_slice(&read(&path)?).map_err(|_| IdentityError::NotPem {
        path: path.clone(),
        expected: "certificate",
    })?;
    let certificate = roots
        .verify_at(&der, role, now)
        .and_then(|certificate| certificate.check_unit(unit).map(|()| certificate))
        .map_err(|fault| IdentityError::Certificate { path, fault })?;
    Ok((der, certificate))
}

fn key(dir: &Path, role: Role) -> Result<Zeroizing<PrivateKeyDer<'static>>, IdentityError> {
    let path = key_path(dir, role);
    let pem = match files::read_private(&path).map_err(fault(&path))? {
        PrivateFile::Content(pem) => pem,
        PrivateFile::Exposed(mode) => return Err(IdentityError::Exposed { path, mode }),
    };
    PrivateKeyDer::from_pem_slice(&pem)
        .map(Zeroizing::new)
        .map_err(|_| IdentityError::NotPem {
            path,
            expected: "private key",
        })
}

fn certified(
    dir: &Path,
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, IdentityError> {
    let signing_key: Arc<dyn SigningKey> =
        any_supported_type(key).map_err(|_| IdentityError::KeyKind(key_path(dir, Role::Tls)))?;
    let certified = CertifiedKey::new(vec![certificate], signing_key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(mismatch(dir, Role::Tls)),
    }
}

fn signer(
    dir: &Path,
    certificate: &UnitCertificate,
    key: &PrivateKeyDer<'static>,
) -> Result<Signer, IdentityError> {
    let signer = Signer::from_pkcs8(key.secret_der(), certificate.fingerprint)
        .map_err(|_| IdentityError::KeyKind(key_path(dir, Role::Signing)))?;
    if signer.verifying_key() != VerifyingKey::new(&certificate.public_key) {
        return Err(mismatch(dir, Role::Signing));
    }
    Ok(signer)
}

fn mismatch(dir: &Path, role: Role) -> IdentityError {
    IdentityError::Mismatch {
        key: key_path(dir, role),
        certificate: certificate_path(dir, role),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::pki::lab::{DAY, Lab, name, now};

    const UNIT: &str = "hebi.xunxian.tobacco";

    fn refusal(dir: &Path) -> String {
        Identity::load(dir, &name(UNIT), now())
            .expect_err("a refusal")
            .to_string()
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn an_identity_loads_with_everything_that_a_node_needs() {
        let lab = Lab::new();
        let dir = lab.issue_at(UNIT, now());
        chmod(&dir.join("tls.key"), 0o400);
        let identity = Identity::load(&dir, &name(UNIT), now()).expect("an identity");
        assert_eq!(identity.unit().as_str(), UNIT);
        let days = (identity.tls_not_after() - now()) / DAY;
        assert!((396..=397).contains(&days), "{days}");
        assert_eq!(
            identity.signing_not_after() / DAY,
            identity.tls_not_after() / DAY
        );
        let signing = identity
            .roots()
            .verify_at(identity.signing_certificate(), Role::Signing, now())
            .expect("a signing certificate");
        assert_eq!(identity.signer().certificate(), signing.fingerprint);
        assert!(format!("{identity:?}").len() < 40);
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_identity_and_outlive_a_restart() {
        let lab = Lab::new();
        let dir = lab.issue_at(UNIT, now());
        let load = || Identity::load(&dir, &name(UNIT), now()).expect("an identity");
        let key = load().derive_key("one");
        assert_eq!(key, load().derive_key("one"));
        assert_ne!(key, load().derive_key("two"));
        lab.issue_at(UNIT, now());
        assert_ne!(key, load().derive_key("one"));
    }

    #[test]
    fn a_missing_file_is_named_and_told_apart() {
        let lab = Lab::new();
        for file in ["ca.pem", "tls.pem", "tls.key", "signing.pem", "signing.key"] {
            let dir = lab.issue_at(UNIT, now());
            fs::remove_file(dir.join(file)).expect("removed");
            let error = Identity::load(&dir, &name(UNIT), now()).expect_err("a refusal");
            assert!(error.is_missing(), "{error}");
            assert!(error.to_string().contains(file), "{error}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let lab = Lab::new();
        for (file, mode) in [
            ("tls.key", 0o644),
            ("signing.key", 0o640),
            ("tls.key", 0o602),
        ] {
            let dir = lab.issue_at(UNIT, now());
            chmod(&dir.join(file), mode);
            let why = refusal(&dir);
            assert!(
                why.contains(file) && why.contains(&format!("{mode:04o}")),
                "{why}"
            );
        }
    }

    #[test]
    fn a_key_and_a_certificate_that_do_not_belong_together_are_refused() {
        let lab = Lab::new();
        let other = lab.issue_at("hebi.other", now());
        for file in ["tls.key", "signing.key"] {
            let dir = lab.issue_at(UNIT, now());
            fs::copy(other.join(file), dir.join(file)).expect("mixed up");
            let why = refusal(&dir);
            assert!(
                why.contains(file) && why.contains("is not the key of"),
                "{why}"
            );
        }
    }

    #[test]
    fn another_units_identity_is_refused() {
        let lab = Lab::new();
        let dir = lab.issue_at("hebi.other", now());
        let why = refusal(&dir);
        assert!(
            why.contains("that of hebi.other, not of hebi.xunxian.tobacco"),
            "{why}"
        );
    }

    #[test]
    fn certificates_put_in_each_others_place_are_refused() {
        let lab = Lab::new();
        let dir = lab.issue_at(UNIT, now());
        fs::copy(dir.join("tls.pem"), dir.join("signing.pem")).expect("copied");
        let why = refusal(&dir);
        assert!(
            why.contains("a tls certificate where a signing certificate"),
            "{why}"
        );
    }

    #[test]
    fn an_identity_is_refused_before_and_after_its_time() {
        let lab = Lab::new();
        let dir = lab.issue_at(UNIT, now());
        let at = |at| {
            Identity::load(&dir, &name(UNIT), at)
                .expect_err("a refusal")
                .to_string()
        };
        let late = at(now() + 398 * DAY);
        assert!(
            late.contains("tls.pem") && late.contains("expired at"),
            "{late}"
        );
        let early = at(now() - DAY);
        assert!(early.contains("check this machine's clock"), "{early}");
    }

    #[test]
    fn an_identity_from_another_ca_is_refused() {
        let (lab, foreign) = (Lab::new(), Lab::new());
        let dir = lab.issue_at(UNIT, now());
        fs::copy(foreign.ca().join("ca.pem"), dir.join("ca.pem")).expect("mixed up");
        let why = refusal(&dir);
        assert!(why.contains("not issued by the CA in ca.pem"), "{why}");
    }

    #[test]
    fn files_that_are_something_else_are_refused() {
        let lab = Lab::new();
        for file in ["ca.pem", "tls.pem", "tls.key", "signing.pem", "signing.key"] {
            let dir = lab.issue_at(UNIT, now());
            fs::write(dir.join(file), "nothing of the kind").expect("written");
            let why = refusal(&dir);
            assert!(why.contains(file), "{why}");
        }
        let dir = lab.issue_at(UNIT, now());
        fs::write(dir.join("ca.pem"), vec![b'x'; 70_000]).expect("written");
        assert!(refusal(&dir).contains("larger than"));
        fs::copy(dir.join("tls.pem"), dir.join("ca.pem")).expect("copied");
        assert!(refusal(&dir).contains("is not a CA's"));
    }
}
