//! The doors by which a request comes: loopback, and the network with TLS.

use std::net::IpAddr;

use crate::model::Sha256;

/// By which door a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// From this machine.
    #[default]
    Loopback,
    /// From the network, with TLS. Nobody gets in without showing who they are.
    Network {
        /// The certificate that the client holds the key of, if it showed one.
        certificate: Option<Sha256>,
        /// Where it comes from.
        from: IpAddr,
    },
}

impl Door {
    /// Whether everybody has to show who they are.
    pub fn is_network(self) -> bool {
        matches!(self, Self::Network { .. })
    }

    /// The certificate that was shown.
    pub fn certificate(self) -> Option<Sha256> {
        match self {
            Self::Loopback => None,
            Self::Network { certificate, .. } => certificate,
        }
    }

    /// Where the request comes from, if not from this machine.
    pub fn from(self) -> Option<IpAddr> {
        match self {
            Self::Loopback => None,
            Self::Network { from, .. } => Some(from),
        }
    }
}
