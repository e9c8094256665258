//! TLS under QUIC: who may talk to whom.
//!
//! TLS 1.3 only, X25519MLKEM768 preferred (what is captured today must stay secret for decades), both sides show a certificate. A
//! peer is the unit in its certificate's URI name; host names are never compared and the server name in the hello is a constant,
//! since a unit's name may end in digits, which no host name may.
//!
//! A resumed session does not show certificates again, so the verifiers here are not asked. [`peer_certificate`] is for the start
//! of every session, resumed or not: it judges the certificate that the session began with as it stands now. Session memory lives
//! in the configuration: when what is trusted changes, a new configuration forgets every session.
//!
//! Off, on purpose: early data (it can be replayed) and certificate compression (ours have 400 bytes, half of them random).

mod verify;

#[cfg(test)]
mod tests;

use std::{any::Any, sync::Arc};

use aws_lc_rs::hmac;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs as provider},
    server::ServerSessionMemoryCache,
    sign::SingleCertAndKey,
    version::TLS13,
};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use self::verify::{HubVerifier, SIGNATURES, UnitVerifier};
use super::connection_ids::ConnectionIds;
use crate::{
    model::{Fingerprint, Millis, UnitId},
    pki::{CertificateFault, Identity, Role, Roots},
};

/// The application protocol.
pub const ALPN: &[u8] = b"casegate/1";

/// The same, between nodes that know of generations too. It is preferred.
pub const ALPN_1_1: &[u8] = b"casegate/1.1";

/// The server name in every client's hello (RFC 6761 section 6.4: `.invalid` is nobody's). Peers are units, not hosts: a peer is
/// whom its certificate's SAN URI names, and host names are not compared.
pub const SERVER_NAME: &str = "casegate.invalid";

/// Sessions that a hub remembers for resumption, about 1 KiB each. One that is forgotten costs a full handshake.
pub const SERVER_SESSIONS_MAX: usize = 8192;

/// Servers that a client remembers sessions of: it dials one.
const CLIENT_SESSIONS_MAX: usize = 1;

/// Single-use tickets that a server hands out per handshake. A lost first flight uses it up, and costs a full handshake; another one would
/// cost a hub 2 KB for every unit.
const TICKETS: usize = 1;

/// Why a configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The cryptography does not offer what TLS 1.3 or QUIC needs.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// No cipher suite fits QUIC's first packets.
    #[error("QUIC cannot be set up: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The peer of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Who it is.
    pub unit: UnitId,
    /// The last moment of its certificate, in milliseconds since the Unix epoch: when the session must end.
    pub not_after: Millis,
    /// Its certificate.
    pub fingerprint: Fingerprint,
}

/// The side that dials `hub`. Make one for each hub and use it on every link, so that links share the sessions to resume.
///
/// # Errors
/// TLS or QUIC cannot be set up.
pub fn client_config(identity: &Identity, hub: &UnitId) -> Result<QuicClientConfig, TlsError> {
    client_config_of(identity, hub, PROTOCOLS)
}

/// The side that dials, of nodes that speak these application protocols, what is preferred first: [`ALPN`] alone is what nodes spoke before
/// there was another.
///
/// # Errors
/// TLS or QUIC cannot be set up.
pub fn client_config_of(
    identity: &Identity,
    hub: &UnitId,
    protocols: &[&[u8]],
) -> Result<QuicClientConfig, TlsError> {
    Ok(Arc::new(client(identity, hub, protocols)?).try_into()?)
}

/// The side that listens. It remembers at most `sessions_max` sessions ([`SERVER_SESSIONS_MAX`] suits); every call begins with an
/// empty memory.
///
/// # Errors
/// TLS or QUIC cannot be set up.
pub fn server_config(
    identity: &Identity,
    sessions_max: usize,
) -> Result<QuicServerConfig, TlsError> {
    Ok(Arc::new(server(identity, sessions_max)?).try_into()?)
}

/// The settings of an endpoint by which the peers of a node that was restarted learn at once that their sessions are gone
/// (RFC 9000 section 10.3): the stateless-reset key, and the key by which an endpoint knows the connection IDs of the one before
/// it. quinn answers nothing to an ID that it cannot have given out, so either key alone is of no use.
pub fn endpoint_config(identity: &Identity) -> quinn::EndpointConfig {
    let reset = identity.derive_key("casegate 2026-11 stateless reset");
    let mut config =
        quinn::EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &*reset)));
    let key = *connection_id_key(identity);
    config.cid_generator(move || Box::new(ConnectionIds::new(key)));
    config
}

fn connection_id_key(identity: &Identity) -> Zeroizing<[u8; 32]> {
    identity.derive_key("casegate 2026-11 connection ids")
}

/// Judges the peer of a session that has just begun, resumed or not. `now` is in milliseconds since the Unix epoch.
///
/// # Errors
/// It showed no certificate, or one that does not count, or not any more.
pub fn peer_certificate(
    roots: &Roots,
    certificates: &[CertificateDer<'_>],
    now: Millis,
) -> Result<PeerCertificate, CertificateFault> {
    let certificate = certificates.first().ok_or(CertificateFault::Absent)?;
    let certificate = roots.verify_at(certificate, Role::Tls, now)?;
    Ok(PeerCertificate {
        unit: certificate.unit,
        not_after: certificate.not_after,
        fingerprint: certificate.fingerprint,
    })
}

/// [`peer_certificate`] of what [`quinn::Connection::peer_identity`] gives.
///
/// # Errors
/// As [`peer_certificate`].
pub fn peer_of(
    roots: &Roots,
    identity: Option<Box<dyn Any>>,
    now: Millis,
) -> Result<PeerCertificate, CertificateFault> {
    let certificates = identity
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(CertificateFault::Absent)?;
    peer_certificate(roots, &certificates, now)
}

fn cryptography() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![
            provider::kx_group::X25519MLKEM768,
            provider::kx_group::X25519,
        ],
        signature_verification_algorithms: SIGNATURES,
        ..provider::default_provider()
    })
}

/// What nodes speak, what is preferred first.
const PROTOCOLS: &[&[u8]] = &[ALPN_1_1, ALPN];

fn client(
    identity: &Identity,
    hub: &UnitId,
    protocols: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let verifier = HubVerifier {
        roots: identity.roots().clone(),
        hub: hub.clone(),
    };
    let own = SingleCertAndKey::from(identity.tls().as_ref().clone());
    let mut config = ClientConfig::builder_with_provider(cryptography())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(own));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS_MAX);
    Ok(config)
}

fn server(identity: &Identity, sessions_max: usize) -> Result<ServerConfig, TlsError> {
    let verifier = UnitVerifier {
        roots: identity.roots().clone(),
    };
    let own = SingleCertAndKey::from(identity.tls().as_ref().clone());
    let mut config = ServerConfig::builder_with_provider(cryptography())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![ALPN_1_1.to_vec(), ALPN.to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(sessions_max);
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}
