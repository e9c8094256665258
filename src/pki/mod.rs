//! Who is who: the certificate authority, a unit's identity, and the trust directory of everybody's signers.
//!
//! A CA issues two certificates to a unit, and the two can never stand in for each other:
//!
//! | certificate | key | key usage | extended key usage | names |
//! | --- | --- | --- | --- | --- |
//! | CA, 20 years | Ed25519 | keyCertSign, cRLSign | none | `CN=<name>`, CA:TRUE, pathlen 0 |
//! | TLS, 397 days | Ed25519 (a CSR may bring ECDSA P-256) | digitalSignature | serverAuth and clientAuth | URI `casegate:unit:<unit>`, and DNS or IP names for other tools |
//! | signing, 397 days | Ed25519 | contentCommitment | [`PARCEL_SIGNING_OID`](certificate::PARCEL_SIGNING_OID) | URI `casegate:unit:<unit>` |
//!
//! Ed25519 throughout is the smallest on the wire. Leaf certificates have an empty subject and a critical subject alternative name
//! (RFC 5280 section 4.1.2.6), so that a unit's name stands in one place and nothing can disagree with it. No intermediate
//! certificates: a leaf is signed by a CA of `ca.pem` or it counts for nothing.
//!
//! [`init`], [`issue`] and [`request`] are what `casegate pki` does; [`Identity`] is what a node reads at its start; [`SignerStore`]
//! is how it knows other units' signers; [`Roots`] judges any certificate.

mod authority;
pub mod certificate;
mod csr;
mod error;
pub(crate) mod files;
mod identity;
#[cfg(test)]
pub(crate) mod lab;
mod operations;
mod profile;
mod roots;
mod signers;

pub use certificate::{CertificateFault, Role, UnitCertificate};
pub use csr::RequestFault;
pub use error::PkiError;
pub use identity::{Identity, IdentityError};
pub use operations::{Issue, init, issue, request};
pub use profile::{CA_NAME_CHARS_MAX, DAYS_DEFAULT, DAYS_MAX, Host, HostError};
pub use roots::{Roots, RootsFault};
pub use signers::{SignerCertificate, SignerStore, TrustError};
