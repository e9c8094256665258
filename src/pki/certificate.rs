//! A unit's certificate, read: whose it is, what it may do, and when.

use std::fmt;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::model::{Fingerprint, Millis, UnitId};

/// What stands before the unit's name in the certificate's URI name.
pub const UNIT_URI_PREFIX: &str = "casegate:unit:";

/// The extended key usage of a key that signs parcels. The arc `2.25.<UUID>` (ITU-T X.667) needs no registration; the UUID is
/// 654dd0a4-7256-42e5-8ef2-a60d66389c67.
pub const PARCEL_SIGNING_OID: &str = "2.25.134656066202385471428393843769090808935.1";

/// [`PARCEL_SIGNING_OID`] as the contents of a DER object identifier. X.509 libraries that keep arcs in 64 bits cannot hold it as
/// numbers, so it is written and compared as bytes.
pub const PARCEL_SIGNING_OID_DER: [u8; 21] = [
    0x69, 0x81, 0xca, 0xcd, 0xe8, 0xa9, 0x8e, 0xa5, 0xb2, 0x8b, 0xcb, 0x8e, 0xf9, 0xa9, 0xc1, 0xd6,
    0xb1, 0xe2, 0xb8, 0x67, 0x01,
];

/// Largest certificate that is looked at, in bytes; ours have about 400.
pub const CERTIFICATE_BYTES_MAX: usize = 4096;

/// What a certificate's key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Speak TLS, as a client and as a server.
    Tls,
    /// Sign parcels.
    Signing,
}

impl Role {
    /// The name in file names, records and messages: `tls` or `signing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Tls => "tls",
            Role::Signing => "signing",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Key usage bits (RFC 5280 section 4.2.1.3), counted from the lowest as x509-parser does.
const DIGITAL_SIGNATURE: u16 = 1 << 0;
const CONTENT_COMMITMENT: u16 = 1 << 1;

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// None was shown.
    #[error("the peer showed no certificate")]
    Absent,
    /// It is not an X.509 certificate, or not one in the form that the CA issues.
    #[error("the certificate does not read: {0}")]
    Malformed(String),
    /// It has no name `casegate:unit:<unit>`.
    #[error(
        "the certificate names no unit; issue it with `casegate pki issue`, which writes the URI name casegate:unit:<unit>"
    )]
    NoUnit,
    /// It has more than one name `casegate:unit:<unit>`.
    #[error("the certificate names {0} units; one is allowed")]
    SeveralUnits(usize),
    /// What follows `casegate:unit:` is not a unit's name.
    #[error("the certificate's casegate:unit: name is not a unit's name")]
    BadUnit,
    /// Its usages are those of neither role, or of both.
    #[error("the certificate of {0} has the key usages of neither a TLS nor a signing certificate")]
    NoRole(UnitId),
    /// It is for something else.
    #[error(
        "the certificate of {unit} is a {found} certificate where a {expected} certificate is needed"
    )]
    WrongRole {
        /// Whose it is.
        unit: UnitId,
        /// What was needed.
        expected: Role,
        /// What it is.
        found: Role,
    },
    /// It is somebody else's.
    #[error("the certificate is that of {found}, not of {expected}")]
    WrongUnit {
        /// Whose was needed.
        expected: UnitId,
        /// Whose it is.
        found: UnitId,
    },
    /// No CA that this node trusts has signed it.
    #[error("the certificate of {0} was not issued by the CA in ca.pem")]
    ForeignCa(UnitId),
    /// Its time is over.
    #[error("the certificate of {unit} expired at {}; renew it with `casegate pki issue`", instant(*not_after))]
    Expired {
        /// Whose it is.
        unit: UnitId,
        /// Its last millisecond, since the Unix epoch.
        not_after: Millis,
    },
    /// Its time has not begun.
    #[error(
        "the certificate of {unit} is valid from {} only; check this machine's clock",
        instant(*not_before)
    )]
    NotYetValid {
        /// Whose it is.
        unit: UnitId,
        /// Its first millisecond, since the Unix epoch.
        not_before: Millis,
    },
}

/// A time as RFC 3339.
pub(super) fn instant(millis: Millis) -> String {
    i64::try_from(millis / 1000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{millis} ms"), |time| time.to_string())
}

/// A certificate of a unit, as it reads. Whether it was issued by a trusted CA is for [`super::Roots`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitCertificate {
    /// Whose it is.
    pub unit: UnitId,
    /// What its key may do.
    pub role: Role,
    /// First millisecond of its validity, since the Unix epoch.
    pub not_before: Millis,
    /// Last millisecond of its validity, since the Unix epoch.
    pub not_after: Millis,
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The subject's public key, without its algorithm: 32 bytes for Ed25519.
    pub public_key: Vec<u8>,
}

impl UnitCertificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It does not read, names no unit or several, or has the usages of neither role.
    pub fn read(der: &[u8]) -> Result<Self, CertificateFault> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(malformed(format!("it has {} bytes", der.len())));
        }
        let unit = unit_of(der)?;
        let (rest, certificate) = X509Certificate::from_der(der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed("bytes are left over"));
        }
        let role = role_of(&certificate)?.ok_or_else(|| CertificateFault::NoRole(unit.clone()))?;
        let key = certificate.public_key();
        if role == Role::Signing
            && key.algorithm.algorithm != x509_parser::oid_registry::OID_SIG_ED25519
        {
            return Err(malformed("a signing certificate must have an Ed25519 key"));
        }
        let validity = certificate.validity();
        Ok(Self {
            unit,
            role,
            not_before: millis(validity.not_before.timestamp()),
            not_after: millis(validity.not_after.timestamp()).saturating_add(999),
            fingerprint: Fingerprint::of(der),
            public_key: key.subject_public_key.data.to_vec(),
        })
    }

    /// Whether `at`, in milliseconds since the Unix epoch, lies in its validity.
    pub fn valid_at(&self, at: Millis) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }

    /// Checks that `at` lies in its validity.
    ///
    /// # Errors
    /// [`CertificateFault::Expired`] or [`CertificateFault::NotYetValid`].
    pub fn check_time(&self, at: Millis) -> Result<(), CertificateFault> {
        let unit = self.unit.clone();
        if at > self.not_after {
            let not_after = self.not_after;
            return Err(CertificateFault::Expired { unit, not_after });
        }
        if at < self.not_before {
            let not_before = self.not_before;
            return Err(CertificateFault::NotYetValid { unit, not_before });
        }
        Ok(())
    }

    /// Checks whose it is.
    ///
    /// # Errors
    /// [`CertificateFault::WrongUnit`].
    pub fn check_unit(&self, expected: &UnitId) -> Result<(), CertificateFault> {
        if self.unit == *expected {
            return Ok(());
        }
        Err(CertificateFault::WrongUnit {
            expected: expected.clone(),
            found: self.unit.clone(),
        })
    }
}

pub(super) fn malformed(why: impl fmt::Display) -> CertificateFault {
    CertificateFault::Malformed(why.to_string())
}

fn millis(seconds: i64) -> Millis {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

/// The one unit that a list of URI names speaks of.
pub(super) fn unit_among<'a>(
    uris: impl Iterator<Item = &'a str>,
) -> Result<UnitId, CertificateFault> {
    let names: Vec<&str> = uris
        .filter_map(|uri| uri.strip_prefix(UNIT_URI_PREFIX))
        .collect();
    match names[..] {
        [] => Err(CertificateFault::NoUnit),
        [name] => name.parse().map_err(|_| CertificateFault::BadUnit),
        _ => Err(CertificateFault::SeveralUnits(names.len())),
    }
}

fn unit_of(der: &[u8]) -> Result<UnitId, CertificateFault> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der).map_err(malformed)?;
    unit_among(certificate.valid_uri_names())
}

/// The role whose usages the certificate has: all of them and no other.
fn role_of(certificate: &X509Certificate<'_>) -> Result<Option<Role>, CertificateFault> {
    let (Some(usage), Some(extended)) = (
        certificate.key_usage().map_err(malformed)?,
        certificate.extended_key_usage().map_err(malformed)?,
    ) else {
        return Ok(None);
    };
    let (usage, extended) = (usage.value, extended.value);
    let general = extended.any
        || extended.code_signing
        || extended.email_protection
        || extended.time_stamping
        || extended.ocsp_signing;
    let ours: Vec<&[u8]> = extended.other.iter().map(|oid| oid.as_bytes()).collect();
    Ok(
        match (extended.server_auth, extended.client_auth, &ours[..]) {
            _ if general => None,
            (true, true, []) if usage.flags == DIGITAL_SIGNATURE => Some(Role::Tls),
            (false, false, [only])
                if *only == PARCEL_SIGNING_OID_DER && usage.flags == CONTENT_COMMITMENT =>
            {
                Some(Role::Signing)
            }
            _ => None,
        },
    )
}
