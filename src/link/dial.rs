//! The edge's side.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use quinn::{ClientConfig, ConnectError};
use quinn_proto::RandomConnectionIdGenerator;
use tokio::{net::lookup_host, time::timeout};

use super::{
    ClientTls, CloseCode, Ended, EndpointKeys, Identify, LinkKind, Session, WireCount,
    congestion::Valve, identity::identify, session::Live, socket, tail::Tails, tls::SERVER_NAME,
    wire_count::Counted,
};
use crate::model::UnitId;

/// Addresses of one name that are tried in one dial.
const ADDRESSES_MAX: usize = 4;

/// What a dialler needs to know about its link.
#[derive(Clone)]
pub struct DialSettings {
    /// The unit that must be at the other end.
    pub hub: UnitId,
    /// Chooses the transport profile.
    pub kind: LinkKind,
    /// `host:port`; a name is resolved at every dial.
    pub address: String,
    /// The local address to send from.
    pub bind: Option<IpAddr>,
    /// The interface to send through.
    pub interface: Option<String>,
    /// Counts what goes over the link.
    pub wire: Arc<WireCount>,
    /// The node's certificate, and which hubs it trusts.
    pub tls: Arc<ClientTls>,
    /// The node's keys for packets of lost sessions.
    pub keys: EndpointKeys,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name does not resolve now.
    #[error("\"{address}\" does not resolve: {source}")]
    Resolve {
        /// What was to be resolved.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The name has no address that the link's socket can reach.
    #[error("\"{0}\" has no address of the family that the link is bound to")]
    NoAddress(String),
    /// The link's own socket could not be made: the interface or the local address is not there now.
    #[error("no socket on the link: {0}")]
    Socket(io::Error),
    /// The attempt could not even begin.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, ConnectError),
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Timeout(SocketAddr),
    /// An answer, and no session: see [`Ended`].
    #[error("no session with {0}: {1}")]
    Ended(SocketAddr, Ended),
}

/// Makes sessions over one link.
///
/// Every dial has a socket of its own: a modem that was unplugged comes back as another interface of the same name, and a socket that
/// was bound to the old one would never work again. The endpoint stays from dial to dial, since it has megabytes of
/// buffers, unless a connection of an earlier dial is still on its way out: without IDs two to one hub cannot be told from each other.
pub struct Dialer {
    settings: DialSettings,
    identify: Identify,
    endpoint: Mutex<Option<quinn::Endpoint>>,
}

impl Dialer {
    /// A dialler; nothing is sent yet.
    pub fn new(settings: DialSettings, identify: Identify) -> Self {
        Self {
            settings,
            identify,
            endpoint: Mutex::default(),
        }
    }

    /// Dials with other settings from now on: the node's certificate may have been renewed, or there may be other links now.
    pub fn set(&mut self, settings: DialSettings) {
        if !Arc::ptr_eq(&self.settings.tls, &settings.tls) {
            // The endpoint's keys are derived from the certificate's.
            self.endpoint = Mutex::default();
        }
        self.settings = settings;
    }

    /// Connects, trying the name's addresses in turn. The session's peer is the hub that was asked for; the hub may still refuse
    /// this node's certificate, which ends the session a round trip later.
    ///
    /// # Errors
    /// See [`DialError`]; all of them may pass, so dial again as [`super::Backoff`] says.
    pub async fn dial(&self) -> Result<Session, DialError> {
        let addresses = self.resolve().await?;
        let (mut endpoint, mut tails, local) = self.endpoint(false).map_err(DialError::Socket)?;
        let mut last = DialError::NoAddress(self.settings.address.clone());
        let reachable = addresses
            .into_iter()
            .filter(|address| reaches(local, *address))
            .take(ADDRESSES_MAX);
        for address in reachable {
            let mut connected = self.connect(&endpoint, &tails, address).await;
            if let Err(DialError::Connect(_, ConnectError::EndpointStopping)) = connected {
                // The socket that it had broke meanwhile, and the endpoint with it.
                (endpoint, tails, _) = self.endpoint(true).map_err(DialError::Socket)?;
                connected = self.connect(&endpoint, &tails, address).await;
            }
            match connected {
                Ok(session) => return Ok(session),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The endpoint on a new socket, what keeps the tails of what goes through that, and the socket's address.
    fn endpoint(&self, is_new: bool) -> io::Result<(quinn::Endpoint, Arc<Tails>, SocketAddr)> {
        let settings = &self.settings;
        let socket = socket::dialling(settings.bind, settings.interface.as_deref())?;
        let local = socket.local_addr()?;
        let socket = Counted::new(socket, settings.wire.clone());
        let tails = Tails::new(socket);
        let mut kept = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = &*kept
            && !is_new
            && endpoint.open_connections() == 0
        {
            endpoint.rebind_abstract(tails.clone())?;
            return Ok((endpoint.clone(), tails, local));
        }
        let mut keys = settings.keys.clone();
        // An endpoint has one connection at a time, so that what comes needs no ID to be known by: 8 bytes less in every packet.
        keys.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
        #[cfg(test)]
        super::tests::net::seed(&mut keys);
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint =
            quinn::Endpoint::new_with_abstract_socket(keys, None, tails.clone(), runtime)?;
        *kept = Some(endpoint.clone());
        Ok((endpoint, tails, local))
    }

    /// The settings of one connection.
    fn client_config(&self, valve: &Valve) -> ClientConfig {
        let kind = self.settings.kind;
        let mut config = ClientConfig::new(self.settings.tls.clone());
        config
            .transport_config(kind.dialling(valve))
            .initial_dst_cid_provider(Arc::new(move || kind.first_connection_id()));
        config
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, DialError> {
        let address = &self.settings.address;
        match lookup_host(address).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(source) => Err(DialError::Resolve {
                address: address.clone(),
                source,
            }),
        }
    }

    async fn connect(
        &self,
        endpoint: &quinn::Endpoint,
        tails: &Arc<Tails>,
        address: SocketAddr,
    ) -> Result<Session, DialError> {
        let valve = Valve::new();
        let client = self.client_config(&valve);
        let connecting = endpoint
            .connect_with(client, address, SERVER_NAME)
            .map_err(|error| DialError::Connect(address, error))?;
        let connection = timeout(self.settings.kind.handshake_timeout(), connecting)
            .await
            .map_err(|_| DialError::Timeout(address))?
            .map_err(|error| DialError::Ended(address, error.into()))?;
        let live = Live::new(connection, valve, tails.clone());
        let peer =
            identify(&live, &self.identify).map_err(|ended| DialError::Ended(address, ended))?;
        if peer.unit != self.settings.hub {
            let words = format!("expected {}, found {}", self.settings.hub, peer.unit);
            let ended = Ended::here(CloseCode::Identity, words);
            live.tell(&ended);
            return Err(DialError::Ended(address, ended));
        }
        Ok(Session::new(live, true, peer, self.settings.kind, None))
    }
}

/// Whether a socket bound to `local` can send to `remote`.
fn reaches(local: SocketAddr, remote: SocketAddr) -> bool {
    match local.ip() {
        IpAddr::V4(_) => remote.is_ipv4(),
        // Unspecified is both families, see `socket::dialling`.
        IpAddr::V6(ip) => ip.is_unspecified() || remote.is_ipv6(),
    }
}
