//! Who is at the other end.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{CloseCode, Ended, session::Live};
use crate::model::{Millis, UnitId};

/// A peer that TLS has authenticated and the node lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The unit that the certificate names.
    pub unit: UnitId,
    /// When the certificate expires, milliseconds since the Unix epoch. A session may outlive it: the owner ends it.
    pub not_after: Millis,
}

/// Reads the peer from its certificate chain (the peer's own first, DER) and decides whether it may come in: unit, expiry,
/// revocation, `blocked`. It runs on every session, resumed ones included, because resumption skips TLS's own verifier. The
/// error is told to the peer.
pub type Identify = Arc<dyn Fn(&[CertificateDer<'static>]) -> Result<Peer, String> + Send + Sync>;

/// Identifies the peer of a connection, or closes it.
pub(super) fn identify(live: &Live, identify: &Identify) -> Result<Peer, Ended> {
    judge(live, identify).inspect_err(|refused| live.tell(refused))
}

/// Judges the certificate that a connection, or the one that it resumed, began with.
pub(super) fn judge(live: &Live, identify: &Identify) -> Result<Peer, Ended> {
    let chain = live
        .connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or_else(|| Ended::here(CloseCode::Identity, "no certificate was presented"))?;
    identify(&chain).map_err(|reason| Ended::here(CloseCode::Blocked, reason))
}
