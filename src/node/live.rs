//! What a node runs by at this moment: its settings, its identity and the signers that it knows. A reload replaces all of it.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};

use rustls_pki_types::CertificateDer;

use crate::{
    config::{self, DictionaryFileError, Settings},
    delivery::{self, KnownUnit},
    link::{ClientTls, Peer, ServerTls, tls},
    model::{Kind, Millis, UnitId},
    pki::{Identity, IdentityError, SignerStore, TrustError},
    wire::Trained,
};

/// The folder of signers' certificates in the data folder.
pub(super) const SIGNERS_FOLDER: &str = "signers";

/// One state of settings and identity that belong together.
pub(super) struct Live {
    /// The settings.
    pub(super) settings: Settings,
    /// The node's keys.
    pub(super) identity: Identity,
    /// The certificates of everybody's signers.
    pub(super) signers: SignerStore,
    /// TLS towards the upstream, where there is one. Its memory of sessions is shared by all links.
    pub(super) client_tls: Option<Arc<ClientTls>>,
    /// TLS towards units that dial in, at a hub.
    pub(super) server_tls: Option<Arc<ServerTls>>,
    /// What this node's own messages are compressed against at neighbours that have it.
    pub(super) dictionary: Option<Trained>,
    /// Units that are cut off.
    pub(super) blocked: BTreeSet<UnitId>,
    /// Kinds that are not compressed.
    pub(super) plain: Arc<BTreeSet<Kind>>,
    attesting: BTreeSet<UnitId>,
}

/// A node's identity and settings cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A key or certificate is missing or wrong.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder of signers' certificates cannot be used.
    #[error("{}: cannot be used for signers' certificates: {error}", path.display())]
    Signers {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The node's own certificate cannot be put into that folder.
    #[error("this node's signing certificate cannot be kept: {0}")]
    Own(#[from] TrustError),
    /// The node's own dictionary cannot be used.
    #[error(transparent)]
    Dictionary(#[from] DictionaryFileError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl Live {
    /// Reads the identity that `settings` name and checks it at `now`, milliseconds since the Unix epoch.
    pub(super) fn load(settings: Settings, now: Millis) -> Result<Self, LiveError> {
        let identity = Identity::load(&settings.identity.dir, &settings.unit, now)?;
        let path = settings.data_dir.join(SIGNERS_FOLDER);
        let signers = SignerStore::open(&path, identity.roots().clone())
            .map_err(|error| LiveError::Signers { path, error })?;
        // Neighbours ask for it as for any other, also after it has been renewed.
        signers.add(identity.signing_certificate())?;
        let client_tls = match &settings.upstream {
            Some(upstream) => Some(Arc::new(tls::client_config(&identity, &upstream.hub)?)),
            None => None,
        };
        let server_tls = match &settings.listen {
            Some(_) => Some(Arc::new(tls::server_config(
                &identity,
                tls::SERVER_SESSIONS_MAX,
            )?)),
            None => None,
        };
        let dictionary = match &settings.dictionary {
            Some(path) => Some(config::read_dictionary(path)?),
            None => None,
        };
        let units = |wanted: fn(&crate::config::Unit) -> bool| {
            let units = settings.units.iter().filter(move |unit| wanted(unit));
            units.map(|unit| unit.name.clone()).collect::<BTreeSet<_>>()
        };
        let mut attesting = units(|unit| !unit.serves.is_empty());
        attesting.extend(settings.upstream.as_ref().map(|up| up.hub.clone()));
        Ok(Self {
            blocked: units(|unit| unit.blocked),
            plain: Arc::new(settings.kinds.plain()),
            dictionary,
            attesting,
            client_tls,
            server_tls,
            identity,
            signers,
            settings,
        })
    }

    /// Whether a neighbour's word counts for when a signer was judged: it is a hub that this node's operator named.
    pub(super) fn attests(&self, neighbour: &UnitId) -> bool {
        self.attesting.contains(neighbour)
    }

    /// Who the peer with this certificate is, if it may come in at `now`.
    pub(super) fn identify(
        &self,
        chain: &[CertificateDer<'static>],
        now: Millis,
    ) -> Result<Peer, String> {
        let certificate = tls::peer_certificate(self.identity.roots(), chain, now)
            .map_err(|fault| fault.to_string())?;
        if certificate.unit == self.settings.unit {
            return Err(format!("{} is this node's own unit", certificate.unit));
        }
        if self.blocked.contains(&certificate.unit) {
            return Err(format!("{} is blocked here", certificate.unit));
        }
        Ok(Peer {
            unit: certificate.unit,
            not_after: certificate.not_after,
        })
    }

    /// The settings as far as they concern the machine.
    pub(super) fn for_machine(&self) -> delivery::Settings {
        let settings = &self.settings;
        let units = settings.units.iter().map(|unit| KnownUnit {
            name: unit.name.clone(),
            blocked: unit.blocked,
            serves: unit.serves.clone(),
        });
        let kinds = settings.kinds.iter();
        delivery::Settings {
            unit: settings.unit.clone(),
            upstream: settings.upstream.as_ref().map(|up| up.hub.clone()),
            listens: settings.listen.is_some(),
            units: units.collect(),
            policy: settings.policy.clone(),
            limits: settings.limits,
            kinds_without_read: kinds
                .filter(|(_, rule)| !rule.read_receipt)
                .map(|(kind, _)| kind.clone())
                .collect(),
        }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({})", self.settings.unit)
    }
}
