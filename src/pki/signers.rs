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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::lab::{DAY, Lab, name, now};

    const UNIT: &str = "hebi.xunxian.tobacco";

    fn store(lab: &Lab) -> SignerStore {
        SignerStore::open(&lab.path("data/signers"), lab.roots()).expect("a trust directory")
    }

    fn refusal(store: &SignerStore, der: &[u8]) -> CertificateFault {
        match store.add(der).expect_err("a refusal") {
            error @ TrustError::Untrusted(_) if error.reason() != Some(Reason::UntrustedSigner) => {
                panic!("{error}")
            }
            TrustError::Untrusted(fault) => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_signer_is_known_once_added_and_still_after_a_restart() {
        let lab = Lab::new();
        let identity = lab.identity(UNIT);
        let fingerprint = identity.signer().certificate();
        let directory = store(&lab);
        assert!(directory.get(&fingerprint).is_none());
        let added = directory
            .add(identity.signing_certificate())
            .expect("added");
        assert_eq!(added.fingerprint(), fingerprint);
        let again = directory
            .add(identity.signing_certificate())
            .expect("known");
        assert!(Arc::ptr_eq(&added, &again));

        let found = store(&lab).get(&fingerprint).expect("found on disk");
        assert_eq!(found.der(), identity.signing_certificate());
        assert_eq!(found.unit().as_str(), UNIT);
        assert_eq!(found.key(), &identity.signer().verifying_key());
        assert_eq!(found.check_sender(&name(UNIT)), Ok(()));
        assert_eq!(
            found.check_sender(&name("hebi.other")),
            Err(Reason::ForeignSigner)
        );
    }

    #[test]
    fn a_signer_that_has_expired_is_known_and_judged_by_the_time_of_its_parcels() {
        let lab = Lab::new();
        let issued = now() - 1000 * DAY;
        let folder = lab.issue_at(UNIT, issued);
        let identity = crate::pki::Identity::load(&folder, &name(UNIT), issued).expect("then");
        let signer = store(&lab)
            .add(identity.signing_certificate())
            .expect("added");
        let (not_before, not_after) = signer.validity();
        for (at, expected) in [
            (not_before - 1, Err(Reason::ExpiredSigner)),
            (not_before, Ok(())),
            (not_after, Ok(())),
            (not_after + 1, Err(Reason::ExpiredSigner)),
        ] {
            assert_eq!(signer.check_time(at), expected);
        }
    }

    #[test]
    fn a_tls_certificate_signs_no_parcels() {
        let lab = Lab::new();
        let (der, _) = lab.craft(UNIT, Role::Tls, |_| {});
        assert_eq!(
            refusal(&store(&lab), &der),
            CertificateFault::WrongRole {
                unit: name(UNIT),
                expected: Role::Signing,
                found: Role::Tls
            }
        );
    }

    #[test]
    fn a_certificate_with_the_usages_of_both_roles_or_of_neither_counts_for_nothing() {
        use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
        let lab = Lab::new();
        let store = store(&lab);
        let changes: [fn(&mut rcgen::CertificateParams); 5] = [
            |params| params.custom_extensions.clear(),
            |params| params.key_usages.clear(),
            |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
            |params| params.key_usages.push(KeyUsagePurpose::DigitalSignature),
            |params| {
                params.custom_extensions.clear();
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
            },
        ];
        for change in changes {
            let (der, _) = lab.craft(UNIT, Role::Signing, change);
            assert_eq!(refusal(&store, &der), CertificateFault::NoRole(name(UNIT)));
        }
    }

    #[test]
    fn a_signer_without_one_unit_or_from_another_ca_is_refused_and_not_kept() {
        let lab = Lab::new();
        let store = store(&lab);
        let (nameless, _) = lab.craft(UNIT, Role::Signing, |params| {
            params.subject_alt_names.clear()
        });
        assert_eq!(refusal(&store, &nameless), CertificateFault::NoUnit);
        let (double, _) = lab.craft(UNIT, Role::Signing, |params| {
            let names = params.subject_alt_names.clone();
            params.subject_alt_names.extend(names);
        });
        assert_eq!(refusal(&store, &double), CertificateFault::SeveralUnits(2));
        let (foreign, _) = Lab::new().craft(UNIT, Role::Signing, |_| {});
        assert_eq!(
            refusal(&store, &foreign),
            CertificateFault::ForeignCa(name(UNIT))
        );
        let (ca, _) = lab.craft(UNIT, Role::Signing, |params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        });
        assert!(matches!(
            refusal(&store, &ca),
            CertificateFault::Malformed(_)
        ));
        let (fine, _) = lab.craft(UNIT, Role::Signing, |_| {});
        for cut in 0..fine.len() {
            assert!(store.add(&fine[..cut]).is_err());
        }
        assert!(matches!(
            refusal(&store, &[0x30; 5000]),
            CertificateFault::Malformed(_)
        ));
        let kept = fs::read_dir(lab.path("data/signers"))
            .expect("a folder")
            .count();
        assert_eq!(kept, 0);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_certificate_is_noticed() {
        let lab = Lab::new();
        let roots = lab.roots();
        let (der, _) = lab.craft(UNIT, Role::Signing, |_| {});
        for bit in 0..der.len() * 8 {
            let mut flipped = der.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(roots.verify(&flipped, Role::Signing).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_damaged_file_counts_as_absent_is_reported_and_is_healed() {
        let lab = Lab::new();
        let identity = lab.identity(UNIT);
        let fingerprint = identity.signer().certificate();
        store(&lab)
            .add(identity.signing_certificate())
            .expect("added");
        let path = lab.path("data/signers").join(format!("{fingerprint}.der"));
        fs::write(&path, b"half of it").expect("damaged");
        let leftover = lab.path("data/signers/.x.der.0.unfinished");
        fs::write(&leftover, b"").expect("written");

        let directory = store(&lab);
        assert!(!leftover.exists());
        assert!(directory.get(&fingerprint).is_none());
        assert_eq!(directory.damaged(), 1);
        directory
            .add(identity.signing_certificate())
            .expect("healed");
        assert!(store(&lab).get(&fingerprint).is_some());
    }

    #[test]
    fn a_full_cache_forgets_the_least_used_and_nothing_is_lost() {
        let lab = Lab::new();
        let directory = store(&lab);
        let signers: Vec<_> = (0..6)
            .map(|_| {
                let (der, _) = lab.craft(UNIT, Role::Signing, |_| {});
                directory.judge(&der).map(Arc::new).expect("a signer")
            })
            .collect();
        let used = directory.add(&signers[0].der).expect("added");
        {
            let mut cached = directory.cached.write().expect("a lock");
            cached.older = std::mem::take(&mut cached.recent);
        }
        let again = directory.get(&used.fingerprint()).expect("known");
        assert!(Arc::ptr_eq(&used, &again), "it was not read again");
        let cached = directory.cached.read().expect("a lock");
        assert!(cached.recent.contains_key(&used.fingerprint()));

        let mut cache = Cache::default();
        for signer in &signers {
            cache.put(signer.clone(), 4);
            assert!(cache.recent.len() + cache.older.len() <= 4);
        }
        assert!(cache.recent.contains_key(&signers[5].fingerprint()));
        assert!(!cache.older.contains_key(&signers[0].fingerprint()));
    }

    #[test]
    fn many_threads_get_one_certificate() {
        let lab = Lab::new();
        let identity = lab.identity(UNIT);
        let directory = store(&lab);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let added = directory
                        .add(identity.signing_certificate())
                        .expect("added");
                    let got = directory.get(&added.fingerprint()).expect("known");
                    assert_eq!(got.der(), added.der());
                });
            }
        });
        let kept = fs::read_dir(lab.path("data/signers"))
            .expect("a folder")
            .count();
        assert_eq!(kept, 1);
    }
}
