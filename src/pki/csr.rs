//! Keys, and the requests that ask the CA for certificates.

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SubjectPublicKeyInfo};
use rustls_pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
};

use super::{
    certificate::{PARCEL_SIGNING_OID_DER, Role, unit_among},
    error::PkiError,
    profile,
};
use crate::model::UnitId;

/// Why a file of certificate signing requests is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// It has none, or more than one for each role.
    #[error(
        "it has {0} certificate signing requests; one for tls and one for signing are allowed, as `casegate pki request` writes them"
    )]
    Count(usize),
    /// Both requests are for the same role.
    #[error("it has two requests for a {0} certificate")]
    Twice(Role),
    /// A request does not read.
    #[error("request {0} in it does not read: {1}")]
    Malformed(usize, String),
    /// A request is not signed by the key that it brings.
    #[error("request {0} in it is not signed by its own key")]
    Signature(usize),
    /// A request does not say which unit it is for, or says so twice.
    #[error(
        "request {0} in it does not name one unit; make it with `casegate pki request --unit UNIT`"
    )]
    NoUnit(usize),
    /// A request is for another unit.
    #[error("request {number} in it is for {found}, not for {expected}")]
    WrongUnit {
        /// Which request, counted from 1.
        number: usize,
        /// The unit given by `--unit`.
        expected: UnitId,
        /// The unit that the request names.
        found: UnitId,
    },
    /// A key is of a kind that is not used for the role.
    #[error("request {0} in it: a {1} key must be Ed25519{or}", or = if *.1 == Role::Tls { " or ECDSA P-256" } else { "" })]
    Key(usize, Role),
    /// One key for both roles.
    #[error("it asks for both certificates with one key; a TLS key must not sign parcels")]
    SharedKey,
}

/// A new Ed25519 key.
///
/// PKCS #8 version 1 (RFC 5208): OpenSSL does not read version 2, which carries the public key too.
pub(super) fn new_key() -> Result<KeyPair, PkiError> {
    let pkcs8 =
        Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(PkiError::internal)?;
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_ref()), &PKCS_ED25519)
        .map_err(PkiError::internal)
}

/// A request for `role`, as PEM.
pub(super) fn make(unit: &UnitId, role: Role, key: &KeyPair) -> Result<String, PkiError> {
    profile::wishes(unit, role)?
        .serialize_request(key)
        .and_then(|request| request.pem())
        .map_err(PkiError::internal)
}

/// What is taken from a request: the role and the public key, nothing else.
pub(super) struct Wanted {
    pub(super) role: Role,
    pub(super) key: SubjectPublicKeyInfo,
}

impl Wanted {
    /// A certificate for a key that was made here.
    pub(super) fn of(role: Role, key: &KeyPair) -> Result<Self, PkiError> {
        SubjectPublicKeyInfo::from_der(&key.subject_public_key_info())
            .map(|key| Self { role, key })
            .map_err(PkiError::internal)
    }
}

/// Reads a PEM file with one or two requests, which must be for `unit`.
pub(super) fn read(pem: &[u8], unit: &UnitId) -> Result<Vec<Wanted>, RequestFault> {
    let mut wanted = Vec::<Wanted>::new();
    for (index, der) in CertificateSigningRequestDer::pem_slice_iter(pem).enumerate() {
        let number = index + 1;
        if number > 2 {
            return Err(RequestFault::Count(number));
        }
        let der = der.map_err(|error| RequestFault::Malformed(number, error.to_string()))?;
        let next = read_one(number, &der, unit)?;
        if let Some(first) = wanted.first() {
            if first.role == next.role {
                return Err(RequestFault::Twice(next.role));
            }
            if first.key.der_bytes() == next.key.der_bytes() {
                return Err(RequestFault::SharedKey);
            }
        }
        wanted.push(next);
    }
    match wanted.len() {
        0 => Err(RequestFault::Count(0)),
        _ => Ok(wanted),
    }
}

fn read_one(number: usize, der: &[u8], unit: &UnitId) -> Result<Wanted, RequestFault> {
    let malformed =
        |error: &dyn std::fmt::Display| RequestFault::Malformed(number, error.to_string());
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|error| malformed(&error))?;
    if !rest.is_empty() {
        return Err(malformed(&"bytes are left over"));
    }
    request
        .verify_signature()
        .map_err(|_| RequestFault::Signature(number))?;

    let mut uris = Vec::new();
    let mut role = Role::Tls;
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                uris.extend(names.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some(*uri),
                    _ => None,
                }));
            }
            ParsedExtension::ExtendedKeyUsage(usage)
                if usage
                    .other
                    .iter()
                    .any(|oid| oid.as_bytes() == PARCEL_SIGNING_OID_DER) =>
            {
                role = Role::Signing;
            }
            // Whatever else it asks for is not granted.
            _ => {}
        }
    }
    let found = unit_among(uris.into_iter()).map_err(|_| RequestFault::NoUnit(number))?;
    if found != *unit {
        return Err(RequestFault::WrongUnit {
            number,
            expected: unit.clone(),
            found,
        });
    }

    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| RequestFault::Key(number, role))?;
    let fits = key.algorithm() == &PKCS_ED25519
        || role == Role::Tls && key.algorithm() == &PKCS_ECDSA_P256_SHA256;
    if !fits {
        return Err(RequestFault::Key(number, role));
    }
    Ok(Wanted { role, key })
}
