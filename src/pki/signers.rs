//! The trust directory: the certificates of everybody's signers, by fingerprint.
//!
//! A parcel names its signer by the fingerprint of a certificate. Here a node looks it up, and here a certificate that a neighbour
//! sent is judged, once: issued by the CA, for signing, to a unit. Its validity in time is not judged here: that is a question of
//! each parcel and the moment at which the first hub had it. Nor is whether a unit is blocked: that is policy.
//!
//! One file a certificate, `<fingerprint>.der`, on stable storage before [`SignerStore::add`] returns, since a node that passes a
//! parcel on must be able to hand over its signer's certificate too. A file that is damaged counts as absent: it is reported, and
//! the certificate is asked for again.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    certificate::{CertificateFault, Role, UnitCertificate},
    files::{self, Access, UNFINISHED, Unfinished},
    roots::Roots,
};
use crate::{
    model::{Fingerprint, Millis, Reason, UnitId},
    parcel::VerifyingKey,
};

/// A signer's certificate that was judged and counts.
#[derive(Debug)]
pub struct SignerCertificate {
    certificate: UnitCertificate,
    key: VerifyingKey,
    der: Box<[u8]>,
}

impl SignerCertificate {
    /// How parcels name it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint
    }

    /// Whose it is.
    pub fn unit(&self) -> &UnitId {
        &self.certificate.unit
    }

    /// The key that its parcels verify under.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Its bytes, for those who do not have it yet.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its first and last millisecond, since the Unix epoch.
    pub fn validity(&self) -> (Millis, Millis) {
        (self.certificate.not_before, self.certificate.not_after)
    }

    /// Whether it is valid at `at`, in milliseconds since the Unix epoch.
    pub fn valid_at(&self, at: Millis) -> bool {
        self.certificate.valid_at(at)
    }

    /// Checks that it may sign for `sender`.
    ///
    /// # Errors
    /// [`Reason::ForeignSigner`] when it is another unit's.
    pub fn check_sender(&self, sender: &UnitId) -> Result<(), Reason> {
        if self.certificate.unit == *sender {
            Ok(())
        } else {
            Err(Reason::ForeignSigner)
        }
    }

    /// Checks its validity at `at`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Reason::ExpiredSigner`] outside it, before as well as after.
    pub fn check_time(&self, at: Millis) -> Result<(), Reason> {
        if self.valid_at(at) {
            Ok(())
        } else {
            Err(Reason::ExpiredSigner)
        }
    }
}

/// Why a certificate was not added.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It does not count. What it signed is refused.
    #[error(transparent)]
    Untrusted(#[from] CertificateFault),
    /// This node keeps as many as it may.
    #[error(
        "{0} signers' certificates are kept, which is the most; remove old ones from the data folder's signers"
    )]
    Full(usize),
    /// It cannot be stored. Nothing is wrong with it: ask again later.
    #[error("{}: cannot be written: {source}", .path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl TrustError {
    /// Why a parcel that names the certificate is refused; `None` when the fault is this node's and the parcel must wait.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            TrustError::Untrusted(_) => Some(Reason::UntrustedSigner),
            TrustError::Full(_) | TrustError::Storage { .. } => None,
        }
    }
}

/// The trust directory. Any thread may use it.
pub struct SignerStore {
    folder: PathBuf,
    roots: Roots,
    cached: RwLock<Cache>,
    stored: AtomicUsize,
    damaged: AtomicUsize,
}

impl SignerStore {
    /// Most certificates on disk. Only what the CA issued gets in; this bounds a CA that went astray.
    pub const STORED_MAX: usize = 200_000;
    /// Most certificates in memory, about 1 KiB each; the least used are read again from disk when they are needed.
    pub const CACHED_MAX: usize = 16_384;

    /// Opens the folder, which is created as needed.
    ///
    /// # Errors
    /// It cannot be made or listed.
    pub fn open(folder: &Path, roots: Roots) -> io::Result<Self> {
        files::create_folder(folder, Access::Public)?;
        let mut stored = 0;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            } else if name.ends_with(".der") {
                stored += 1;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            roots,
            cached: RwLock::default(),
            stored: AtomicUsize::new(stored),
            damaged: AtomicUsize::new(0),
        })
    }

    /// The certificate that parcels call `fingerprint`, if this node has it. Reads one small file when it is not in memory.
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<Arc<SignerCertificate>> {
        if let Some(found) = self.read_cache(fingerprint) {
            return Some(found);
        }
        let path = self.path(fingerprint);
        let der = match files::read(&path) {
            Ok(der) => der,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.report(&path, &error);
                }
                return None;
            }
        };
        if Fingerprint::of(&der) != *fingerprint {
            self.report(&path, &"its content is not what its name says");
            return None;
        }
        match self.judge(&der) {
            Ok(certificate) => Some(self.cache(certificate)),
            Err(fault) => {
                self.report(&path, &fault);
                None
            }
        }
    }

    /// Judges a certificate and keeps it. One that is known already costs a look-up.
    ///
    /// # Errors
    /// It does not count, or cannot be kept; [`TrustError::reason`] tells which.
    pub fn add(&self, der: &[u8]) -> Result<Arc<SignerCertificate>, TrustError> {
        if let Some(known) = self.get(&Fingerprint::of(der)) {
            return Ok(known);
        }
        let certificate = self.judge(der)?;
        let kept = self.stored.load(Ordering::Relaxed);
        if kept >= Self::STORED_MAX {
            return Err(TrustError::Full(kept));
        }
        let path = self.path(&certificate.fingerprint());
        Unfinished::write(&path, der, Access::Public)
            .and_then(Unfinished::replace)
            .map_err(|source| TrustError::Storage { path, source })?;
        self.stored.fetch_add(1, Ordering::Relaxed);
        Ok(self.cache(certificate))
    }

    /// How many files were found damaged and passed over since the start.
    pub fn damaged(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }

    fn judge(&self, der: &[u8]) -> Result<SignerCertificate, CertificateFault> {
        let certificate = self.roots.verify(der, Role::Signing)?;
        Ok(SignerCertificate {
            key: VerifyingKey::new(&certificate.public_key),
            certificate,
            der: der.into(),
        })
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.folder.join(format!("{fingerprint}.der"))
    }

    fn report(&self, path: &Path, why: &dyn std::fmt::Display) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = %path.display(), %why, "a stored signer's certificate is passed over and will be asked for again");
    }

    fn read_cache(&self, fingerprint: &Fingerprint) -> Option<Arc<SignerCertificate>> {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cached.recent.get(fingerprint) {
            return Some(found.clone());
        }
        let found = cached.older.get(fingerprint)?.clone();
        drop(cached);
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        Some(cached.put(found, Self::CACHED_MAX))
    }

    fn cache(&self, certificate: SignerCertificate) -> Arc<SignerCertificate> {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        cached.put(Arc::new(certificate), Self::CACHED_MAX)
    }
}

impl std::fmt::Debug for SignerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignerStore({})", self.folder.display())
    }
}

/// Two generations: what is used moves to the recent one; when that has half the bound, it becomes the older one and the older
/// one is forgotten.
#[derive(Default)]
struct Cache {
    recent: HashMap<Fingerprint, Arc<SignerCertificate>>,
    older: HashMap<Fingerprint, Arc<SignerCertificate>>,
}

impl Cache {
    /// Gives what is kept: of two threads that bring the same certificate, the first one's stays.
    fn put(&mut self, certificate: Arc<SignerCertificate>, bound: usize) -> Arc<SignerCertificate> {
        if self.recent.len() >= bound / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent
            .entry(certificate.fingerprint())
            .or_insert(certificate)
            .clone()
    }
}
