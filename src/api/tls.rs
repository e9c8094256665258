//! TLS for the door to the network.
//!
//! A client may show a certificate. Who it is, the settings say by the certificate's SHA-256: no CA vouches for it, so that none has to
//! be trusted and whoever is taken out of the list is out at once. TLS proves that the client has the key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem, pem::PemObject as _};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{Access, Door};
use crate::model::Sha256;

/// How long a client may take over its handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// What is spoken (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// A file of the door cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: the API's TLS cannot use it: {why}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// What the door shows and asks. All copies are one, so that a reload changes what new connections meet.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Reads a certificate, with those below it that lead to a CA, and its key. `access` tells whose certificates are asked for.
    ///
    /// # Errors
    /// A file cannot be read, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path, access: &Access) -> Result<Self, TlsError> {
        let wrong = |path: &Path, why: String| TlsError {
            path: path.to_owned(),
            why,
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(certificate, told(error)))?;
        if chain.is_empty() {
            return Err(wrong(
                certificate,
                "it has no certificate in PEM".to_owned(),
            ));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, told(error)))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let holders = Arc::new(Holders {
            access: access.clone(),
            provider: provider.clone(),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map(|builder| builder.with_client_cert_verifier(holders))
            .and_then(|builder| builder.with_single_cert(chain, secret))
            .map_err(|error| wrong(key, error.to_string()))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A session that is gone on with would not be asked whether its certificate is still in its time.
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(RwLock::new(Arc::new(config)))))
    }

    /// New connections meet what `new` says from now on.
    pub fn replace(&self, new: &Self) {
        let new = new.now();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn now(&self) -> Arc<ServerConfig> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Greets a client.
    ///
    /// # Errors
    /// The handshake failed, or took too long.
    pub(super) async fn greet(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Door)> {
        let from = stream.peer_addr()?.ip().to_canonical();
        let stream = timeout(
            HANDSHAKE_TIME_MAX,
            TlsAcceptor::from(self.now()).accept(stream),
        )
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|der| Sha256::of(der));
        Ok((stream, Door::Network { certificate, from }))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What is wrong with a file, in words.
fn told(error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has nothing of the kind in PEM".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

/// Asks for a certificate where the settings list any, and lets everybody through who has the key of one that is in its time: who
/// they are, and whether they may do what they ask, is judged with each request.
struct Holders {
    access: Access,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holders")
    }
}

impl ClientCertVerifier for Holders {
    fn offer_client_auth(&self) -> bool {
        self.access.has_holders()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let (_, certificate) =
            X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let validity = certificate.validity();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        Ok(ClientCertVerified::assertion())
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
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
