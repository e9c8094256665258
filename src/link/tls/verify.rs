//! Whom a handshake lets in: what rustls asks about the certificate that the other side shows.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::WebPkiSupportedAlgorithms,
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{
    model::{Millis, UnitId},
    pki::{CertificateFault, Role, Roots},
};

/// What may sign a handshake. A short list is also a short hello.
pub(super) static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        webpki::aws_lc_rs::ED25519,
        webpki::aws_lc_rs::ECDSA_P256_SHA256,
    ],
    mapping: &[
        (SignatureScheme::ED25519, &[webpki::aws_lc_rs::ED25519]),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
        ),
    ],
};

/// The dialling side's judgement of the hub.
#[derive(Debug)]
pub(super) struct HubVerifier {
    pub(super) roots: Roots,
    pub(super) hub: UnitId,
}

/// The listening side's judgement of whoever dials in. Which units may is decided when the session starts.
#[derive(Debug)]
pub(super) struct UnitVerifier {
    pub(super) roots: Roots,
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.roots
            .verify_at(end_entity, Role::Tls, millis(now))
            .and_then(|certificate| certificate.check_unit(&self.hub))
            .map(|()| ServerCertVerified::assertion())
            .map_err(|fault| refuse("hub", fault))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

impl ClientCertVerifier for UnitVerifier {
    /// None: a unit has one certificate and needs no hint which to show.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.roots
            .verify_at(end_entity, Role::Tls, millis(now))
            .map(|_| ClientCertVerified::assertion())
            .map_err(|fault| refuse("unit", fault))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

fn millis(time: UnixTime) -> Millis {
    time.as_secs().saturating_mul(1000)
}

/// Logs the fault. quinn carries its text to the peer as well, so that an operator at either end reads why. (As an
/// `InvalidCertificate` rustls would print it for programmers, not for people.)
fn refuse(peer: &'static str, fault: CertificateFault) -> rustls::Error {
    tracing::warn!(peer, %fault, "a certificate was refused");
    rustls::Error::Other(OtherError(Arc::new(fault)))
}
