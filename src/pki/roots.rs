//! The CAs that a node trusts, and the judgement of a certificate.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject as _,
};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::certificate::{CertificateFault, Role, UnitCertificate, malformed};
use crate::model::{Millis, UnitId};

/// The signature algorithms that certificates may be signed with.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ED25519,
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
];

/// Why `ca.pem` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsFault {
    /// There is no certificate in it, or more than [`Roots::MAX`].
    #[error("it has {0} certificates; 1 to {max} are allowed", max = Roots::MAX)]
    Count(usize),
    /// A section does not read as PEM or as a certificate.
    #[error("certificate {0} in it does not read: {1}")]
    Malformed(usize, String),
    /// A certificate is not a CA's.
    #[error("certificate {0} in it is not a CA's: it may not sign certificates")]
    NotACa(usize),
}

/// The CAs that a node trusts: its `ca.pem`. Several are allowed, so that one CA can follow another. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Roots(Arc<[TrustAnchor<'static>]>);

impl Roots {
    /// Most CAs in a `ca.pem`.
    pub const MAX: usize = 8;

    /// Reads a PEM file of CA certificates.
    ///
    /// # Errors
    /// It has none or too many, or one that is not a CA's.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootsFault> {
        let mut anchors = Vec::new();
        for (index, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let number = index + 1;
            let fault = |error: String| RootsFault::Malformed(number, error);
            if number > Self::MAX {
                return Err(RootsFault::Count(number));
            }
            let der = der.map_err(|error| fault(error.to_string()))?;
            let (_, certificate) =
                X509Certificate::from_der(&der).map_err(|error| fault(error.to_string()))?;
            let signs =
                matches!(certificate.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign());
            if !certificate.is_ca() || !signs {
                return Err(RootsFault::NotACa(number));
            }
            let anchor =
                webpki::anchor_from_trusted_cert(&der).map_err(|error| fault(error.to_string()))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(RootsFault::Count(0));
        }
        Ok(Self(anchors.into()))
    }

    /// Judges a certificate at a time: issued by one of these CAs, for `role`, and valid at `at` (milliseconds since the Unix
    /// epoch).
    ///
    /// # Errors
    /// The first fault found.
    pub fn verify_at(
        &self,
        der: &[u8],
        role: Role,
        at: Millis,
    ) -> Result<UnitCertificate, CertificateFault> {
        let certificate = UnitCertificate::read(der)?;
        self.verify_chain(der, &certificate, role)?;
        certificate.check_time(at)?;
        Ok(certificate)
    }

    /// Judges a certificate without regard to time.
    ///
    /// # Errors
    /// The first fault found, never one of time.
    pub fn verify(&self, der: &[u8], role: Role) -> Result<UnitCertificate, CertificateFault> {
        let certificate = UnitCertificate::read(der)?;
        self.verify_chain(der, &certificate, role)?;
        Ok(certificate)
    }

    fn verify_chain(
        &self,
        der: &[u8],
        read: &UnitCertificate,
        role: Role,
    ) -> Result<(), CertificateFault> {
        let der = CertificateDer::from(der);
        // webpki asks for a time. Time is judged apart, so it gets one that suits.
        let time = UnixTime::since_unix_epoch(Duration::from_millis(read.not_before));
        EndEntityCert::try_from(&der)
            .map_err(malformed)?
            .verify_for_usage(ALGORITHMS, &self.0, &[], time, UsagesWereRead, None, None)
            .map_err(|error| chain_fault(error, &read.unit))?;
        if read.role != role {
            return Err(CertificateFault::WrongRole {
                unit: read.unit.clone(),
                expected: role,
                found: read.role,
            });
        }
        Ok(())
    }
}

/// Key usages are compared by [`UnitCertificate::read`], exactly; webpki would let a certificate without any pass.
struct UsagesWereRead;

impl ExtendedKeyUsageValidator for UsagesWereRead {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn chain_fault(error: webpki::Error, unit: &UnitId) -> CertificateFault {
    match error {
        // The last one: the CA's key is of a kind that cannot have made the signature.
        webpki::Error::UnknownIssuer
        | webpki::Error::InvalidSignatureForPublicKey
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateFault::ForeignCa(unit.clone())
        }
        other => malformed(other),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{Certificate, PKCS_ECDSA_P256_SHA256};

    use super::*;
    use crate::pki::lab::{Lab, name};

    #[test]
    fn a_certificate_that_the_ca_with_its_key_cannot_have_signed_is_a_foreign_one() {
        let lab = Lab::new();
        let (der, _) = lab.craft("hebi.tobacco", Role::Tls, |_| {});
        // Of the same name, with a key of another kind: as when a bit of ca.pem has flipped.
        let key = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let validity = super::super::profile::Validity::of_days(0, 36_500);
        let params = super::super::profile::ca("鹤壁 lab CA", validity).expect("a profile");
        let other: Certificate = params.self_signed(&key).expect("a certificate");
        let roots = Roots::from_pem(other.pem().as_bytes()).expect("a CA's certificate");
        assert_eq!(
            roots.verify(&der, Role::Tls),
            Err(CertificateFault::ForeignCa(name("hebi.tobacco")))
        );
    }
}
