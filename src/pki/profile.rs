//! What is written into each certificate.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SerialNumber, string::Ia5String,
};
use rustls_pki_types::DnsName;

use super::{
    certificate::{PARCEL_SIGNING_OID_DER, Role, UNIT_URI_PREFIX},
    error::PkiError,
};
use crate::model::UnitId;

/// How long a unit's certificate is valid unless told otherwise, in days.
pub const DAYS_DEFAULT: u32 = 397;
/// The longest validity that can be asked for, in days; a certificate never outlives its CA.
pub const DAYS_MAX: u32 = CA_DAYS;
/// Longest CA name, in characters (X.520 ub-common-name).
pub const CA_NAME_CHARS_MAX: usize = 64;

const CA_DAYS: u32 = 20 * 365;
const DAY_SECONDS: u64 = 24 * 3600;
/// A certificate begins this long before it is made, for machines whose clock is behind the CA's.
const BACKDATE_SECONDS: u64 = 3600;
/// 2.5.29.37, extKeyUsage.
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

/// A name for other tools in a TLS certificate: DNS or IP. Nodes never compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name.
    Dns(DnsName<'static>),
    /// An address.
    Ip(IpAddr),
}

/// A text is neither a DNS name nor an IP address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a DNS name nor an IP address; write one like hub.example.org or 10.1.0.1"
)]
pub struct HostError(String);

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Host::Ip(address));
        }
        DnsName::try_from(text.to_owned())
            .map(Host::Dns)
            .map_err(|_| HostError(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Dns(name) => f.write_str(name.as_ref()),
            Host::Ip(address) => address.fmt(f),
        }
    }
}

/// A validity in whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Validity {
    pub(super) fn of_days(now: u64, days: u32) -> Self {
        Self {
            not_before: now.saturating_sub(BACKDATE_SECONDS),
            not_after: now.saturating_add(u64::from(days) * DAY_SECONDS),
        }
    }

    pub(super) fn of_ca(now: u64) -> Self {
        Self::of_days(now, CA_DAYS)
    }

    fn write(self, params: &mut CertificateParams) {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(self.not_before);
        params.not_after = epoch + Duration::from_secs(self.not_after);
    }
}

/// A CA certificate.
pub(super) fn ca(name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(random_serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity.write(&mut params);
    Ok(params)
}

/// A unit's certificate. Nothing in it comes from a request; only `hosts` of a TLS certificate are the operator's.
pub(super) fn leaf(
    unit: &UnitId,
    role: Role,
    hosts: &[Host],
    validity: Validity,
) -> Result<CertificateParams, PkiError> {
    let mut params = wishes(unit, role)?;
    if role == Role::Tls {
        for host in hosts {
            params.subject_alt_names.push(match host {
                Host::Dns(name) => SanType::DnsName(ia5(name.as_ref())?),
                Host::Ip(address) => SanType::IpAddress(*address),
            });
        }
    }
    params.serial_number = Some(random_serial()?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    validity.write(&mut params);
    Ok(params)
}

/// What a unit's request asks for: its name and the usages of the role.
pub(super) fn wishes(unit: &UnitId, role: Role) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(ia5(&format!("{UNIT_URI_PREFIX}{unit}"))?)];
    match role {
        Role::Tls => {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
        }
        Role::Signing => {
            params.key_usages = vec![KeyUsagePurpose::ContentCommitment];
            params.custom_extensions = vec![CustomExtension::from_oid_content(
                EXTENDED_KEY_USAGE,
                parcel_signing_usage(),
            )];
        }
    }
    Ok(params)
}

/// `SEQUENCE { OBJECT IDENTIFIER }` in DER.
fn parcel_signing_usage() -> Vec<u8> {
    const OID: [u8; 21] = PARCEL_SIGNING_OID_DER;
    let mut der = vec![0x30, OID.len() as u8 + 2, 0x06, OID.len() as u8];
    der.extend_from_slice(&OID);
    der
}

fn ia5(text: &str) -> Result<Ia5String, PkiError> {
    Ia5String::try_from(text).map_err(PkiError::internal)
}

/// 126 random bits, positive and of full length (RFC 5280 section 4.1.2.2). rcgen's own default depends on the key alone.
fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(PkiError::internal)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}
