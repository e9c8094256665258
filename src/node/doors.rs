//! The API's doors: opened before anything runs that would have to be stopped again, and what a reload changes of them.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::start::StartError;
use crate::{
    api::{Access, Doors, Tls, TlsError},
    config,
};

/// The doors that are open.
#[derive(Debug)]
pub(super) struct Open {
    /// Where this machine's applications ask.
    pub(super) loopback: SocketAddr,
    network: Option<Network>,
}

#[derive(Debug)]
struct Network {
    address: SocketAddr,
    tls: Tls,
}

/// Opens the doors that settings name. The one to the network asks for the certificates that `access` knows, now and after every reload.
///
/// # Errors
/// An address cannot be listened on, or a file of TLS cannot be used.
pub(super) async fn open(
    settings: &config::Settings,
    access: &Access,
) -> Result<(Doors, Open), StartError> {
    let api = &settings.api;
    let (listener, loopback) = bind("api.listen", api.listen).await?;
    let network = match (&api.tls, tls(settings, access)?) {
        (Some(door), Some(tls)) => {
            let (listener, address) = bind("api.tls.listen", door.listen).await?;
            tracing::info!(%address, "the API is open to the network, with TLS");
            Some((listener, Network { address, tls }))
        }
        _ => None,
    };
    let (listening, network) = network.unzip();
    let doors = Doors {
        loopback: listener,
        network: listening.zip(network.as_ref().map(|n| n.tls.clone())),
    };
    Ok((doors, Open { loopback, network }))
}

async fn bind(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Api {
        key,
        address,
        error,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// What the door to the network shows, if settings open one.
///
/// # Errors
/// A file cannot be used.
pub(super) fn tls(settings: &config::Settings, access: &Access) -> Result<Option<Tls>, TlsError> {
    let door = settings.api.tls.as_ref();
    door.map(|door| Tls::load(&door.certificate, &door.key, access))
        .transpose()
}

/// The names by which the door to the network is addressed.
pub(super) fn hosts(settings: &config::Settings) -> Vec<String> {
    let door = settings.api.tls.as_ref();
    door.map_or(Vec::new(), |door| door.hosts.clone())
}

impl Open {
    /// Where the network asks.
    pub(super) fn network(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|network| network.address)
    }

    /// New connections meet this certificate.
    pub(super) fn show(&self, tls: Option<&Tls>) {
        if let (Some(network), Some(tls)) = (&self.network, tls) {
            network.tls.replace(tls);
        }
    }
}
