//! The hub's side: who may come in, and how many at a time.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use quinn::{ServerConfig, ValidationTokenConfig};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Duration, timeout},
};

use super::{
    CloseCode, Ended, EndpointKeys, Identify, LinkKind, ServerTls, Session, admission::Admission,
    bursts::ShortBursts, congestion::Valve, identity::identify, session::Live, socket, tail::Tails,
};

/// Handshakes under way above which a client has to prove its address first (RFC 9000, section 8.1.2): it costs an honest one a
/// round trip, and keeps forged addresses from costing this side a TLS handshake each.
const RETRY_ABOVE: usize = 16;
/// Sessions that wait for [`Listener::accept`].
const ACCEPTED_WAITING: usize = 16;
/// Bytes that quinn keeps of one connection attempt, and of all, before it is taken up.
const ATTEMPT_BYTES_MAX: u64 = 16 * 1024;
const ATTEMPTS_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ATTEMPTS_MAX: usize = 1024;
/// Connections without a place above which a client has to prove its address first, and above which there is no room for another. Most are on their
/// way out and gone after three probe timeouts (RFC 9000, section 10.2), but quinn-proto 0.11.19 keeps one whose very first packet closes it until
/// its idle timeout, and anybody can send such packets.
const LEFT_RETRY_ABOVE: usize = 64;
const LEFT_MAX: usize = 1_024;
/// Address tokens that a client is given for its next connection.
const TOKENS: u32 = 1;

/// What a listener needs to know.
#[derive(Clone)]
pub struct ListenSettings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The node's certificate, and who may connect.
    pub tls: Arc<ServerTls>,
    /// The node's keys for packets of lost sessions.
    pub keys: EndpointKeys,
    /// Live connections, handshakes included.
    pub connections: usize,
    /// Live sessions of one unit.
    pub connections_per_unit: usize,
    /// Handshakes at a time.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// Takes connections from units. Dropping it stops the taking; sessions that were accepted go on.
pub struct Listener {
    endpoint: quinn::Endpoint,
    sessions: tokio::sync::Mutex<mpsc::Receiver<Session>>,
    admission: Arc<Admission>,
    base: Arc<Mutex<ServerConfig>>,
    task: AbortHandle,
}

impl Listener {
    /// Starts to listen.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    pub fn bind(settings: ListenSettings, identify: Identify) -> io::Result<Self> {
        let base = base(settings.tls);
        let socket = socket::listening(settings.address)?;
        let tails = Tails::new(Arc::new(ShortBursts(socket)));
        #[cfg_attr(not(test), expect(unused_mut, reason = "a test seeds it"))]
        let mut keys = settings.keys;
        #[cfg(test)]
        super::tests::net::seed(&mut keys);
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            keys,
            Some(base.clone()),
            tails.clone(),
            Arc::new(quinn::TokioRuntime),
        )?;
        let base = Arc::new(Mutex::new(base));
        let admission = Admission::new(settings.connections, settings.connections_per_unit);
        let (accepted, sessions) = mpsc::channel(ACCEPTED_WAITING);
        let door = Arc::new(Door {
            admission: admission.clone(),
            handshakes: Arc::new(Semaphore::new(
                settings.handshakes.min(Semaphore::MAX_PERMITS),
            )),
            handshakes_max: settings.handshakes,
            handshake_timeout: settings.handshake_timeout,
            identify,
            base: base.clone(),
            tails,
            accepted,
        });
        let task = tokio::spawn(door.open(endpoint.clone())).abort_handle();
        Ok(Self {
            endpoint,
            sessions: tokio::sync::Mutex::new(sessions),
            admission,
            base,
            task,
        })
    }

    /// The next session whose peer is identified, or `None` once the listener is closed.
    pub async fn accept(&self) -> Option<Session> {
        self.sessions.lock().await.recv().await
    }

    /// Where the listener listens.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Connections now, handshakes included.
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// New connections use this certificate and these revocations. Sessions that live are the owner's to end.
    pub fn set_tls(&self, tls: Arc<ServerTls>) {
        let base = base(tls);
        self.endpoint.set_server_config(Some(base.clone()));
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }

    /// Closes every session with `code`, takes no more, and waits up to `patience` for the peers to know.
    pub async fn close(&self, code: CloseCode, reason: &str, patience: Duration) {
        self.admission.close_all(&Ended::here(code, reason));
        self.endpoint.close(code.on_the_wire(), reason.as_bytes());
        let _ = timeout(patience, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        self.endpoint.set_server_config(None);
    }
}

/// What every connection's configuration begins with: with the key of the tokens by which a client proves its address.
fn base(tls: Arc<ServerTls>) -> ServerConfig {
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(TOKENS);
    let mut base = ServerConfig::with_crypto(tls);
    base.validation_token_config(tokens)
        .max_incoming(ATTEMPTS_MAX)
        .incoming_buffer_size(ATTEMPT_BYTES_MAX)
        .incoming_buffer_size_total(ATTEMPTS_BYTES_MAX)
        // For attempts that have not yet been looked at.
        .transport_config(LinkKind::Mobile.listening(&Valve::new()));
    base
}

/// Where connection attempts come in.
struct Door {
    admission: Arc<Admission>,
    handshakes: Arc<Semaphore>,
    handshakes_max: usize,
    handshake_timeout: Duration,
    identify: Identify,
    base: Arc<Mutex<ServerConfig>>,
    tails: Arc<Tails>,
    accepted: mpsc::Sender<Session>,
}

impl Door {
    async fn open(self: Arc<Self>, endpoint: quinn::Endpoint) {
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                attempt = endpoint.accept() => match attempt {
                    Some(attempt) => {
                        if let Some((attempt, turn, place)) = self.let_in(attempt, &endpoint) {
                            handshakes.spawn(self.clone().shake_hands(attempt, turn, place));
                        }
                    }
                    None => return,
                },
                Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
            }
        }
    }

    /// Takes an attempt up, or answers it: prove your address, or there is no room.
    fn let_in(
        &self,
        attempt: quinn::Incoming,
        endpoint: &quinn::Endpoint,
    ) -> Option<(quinn::Incoming, OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let busy = self.handshakes_max - self.handshakes.available_permits();
        let left = endpoint
            .open_connections()
            .saturating_sub(self.admission.taken());
        let crowded = busy >= RETRY_ABOVE.min(self.handshakes_max / 2) || left >= LEFT_RETRY_ABOVE;
        if crowded && !attempt.remote_address_validated() && attempt.may_retry() {
            // Cannot fail: `may_retry` was asked.
            let _ = attempt.retry();
            return None;
        }
        let turn = self.handshakes.clone().try_acquire_owned().ok();
        let place = self.admission.place().filter(|_| left < LEFT_MAX);
        let (Some(turn), Some(place)) = (turn, place) else {
            tracing::debug!(address = %attempt.remote_address(), "no room for another connection");
            attempt.refuse();
            return None;
        };
        Some((attempt, turn, place))
    }

    async fn shake_hands(
        self: Arc<Self>,
        attempt: quinn::Incoming,
        turn: OwnedSemaphorePermit,
        place: OwnedSemaphorePermit,
    ) {
        let address = attempt.remote_address();
        let kind = LinkKind::hinted_by(attempt.orig_dst_cid());
        let valve = Valve::new();
        let mut config = self
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        config.transport_config(kind.listening(&valve));
        let connecting = async { attempt.accept_with(Arc::new(config))?.await };
        let connection = match timeout(self.handshake_timeout, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "a handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(%address, "a handshake took too long");
                return;
            }
        };
        drop(turn);
        let live = Live::new(connection, valve, self.tails.clone());
        let peer = match identify(&live, &self.identify) {
            Ok(peer) => peer,
            Err(ended) => {
                tracing::info!(%address, %ended, "a peer was turned away");
                return;
            }
        };
        let admitted = self.admission.admit(place, peer.unit.clone(), live.clone());
        let session = Session::new(live, false, peer, kind, Some(admitted));
        let _ = self.accepted.send(session).await;
    }
}
