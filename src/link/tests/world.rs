//! A hub, edges, and the link between them.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use quinn::crypto;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::{Duration, timeout};

use crate::{
    emulator::{Emulator, Profile},
    link::{
        ClientTls, Command, DialError, DialSettings, Dialer, Ended, EndpointKeys, Event, Identify,
        LinkKind, ListenSettings, Listener, Outgoing, PathNews, Peer, Running, ServerTls, Session,
        connection_ids::ConnectionIds, tls::SERVER_NAME,
    },
    model::{Lane, UnitId},
};

pub(super) const DEADLINE: Duration = Duration::from_secs(60);
pub(super) const SEED: u64 = 20_261_107;

pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("in time")
}

/// A certificate authority and what it has issued.
pub(super) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
    issued: Vec<(CertificateDer<'static>, UnitId)>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Pki {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).expect("a root");
        Self {
            issuer: Issuer::new(params, key),
            roots: Arc::new(roots),
            issued: Vec::new(),
        }
    }

    fn issue(&mut self, unit: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let unit = unit.parse().expect("a unit");
        self.issued.push((certificate.der().clone(), unit));
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (vec![certificate.der().clone()], key)
    }

    pub(super) fn client(&mut self, unit: &str) -> Arc<ClientTls> {
        let roots = self.roots.clone();
        self.client_trusting(roots, unit)
    }

    /// A client of this authority that trusts the hubs of another.
    pub(super) fn client_for(&mut self, other: &Self, unit: &str) -> Arc<ClientTls> {
        self.client_trusting(other.roots.clone(), unit)
    }

    fn client_trusting(&mut self, roots: Arc<RootCertStore>, unit: &str) -> Arc<ClientTls> {
        let (chain, key) = self.issue(unit);
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("a client");
        tls.alpn_protocols = vec![b"casegate/1".to_vec()];
        Arc::new(ClientTls::try_from(tls).expect("fit for QUIC"))
    }

    pub(super) fn server(&mut self, unit: &str) -> Arc<ServerTls> {
        let (chain, key) = self.issue(unit);
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            self.roots.clone(),
            provider(),
        )
        .build()
        .expect("a verifier");
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a server");
        tls.alpn_protocols = vec![b"casegate/1".to_vec()];
        Arc::new(ServerTls::try_from(tls).expect("fit for QUIC"))
    }

    /// Knows the units of everything issued so far, and nobody else.
    pub(super) fn identify(&self) -> Identify {
        let issued = self.issued.clone();
        Arc::new(move |chain| {
            let own = chain.first().ok_or("no certificate")?;
            let found = issued.iter().find(|(certificate, _)| certificate == own);
            match found {
                Some((_, unit)) if unit.as_str() == "blocked" => Err("blocked here".to_owned()),
                Some((_, unit)) => Ok(Peer {
                    unit: unit.clone(),
                    not_after: 0,
                }),
                None => Err("unknown here".to_owned()),
            }
        })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The same keys at every start, as a node's identity gives them.
pub(super) fn keys() -> EndpointKeys {
    let mut keys = EndpointKeys::new(Arc::new(ResetKey));
    keys.cid_generator(|| Box::new(ConnectionIds::new([7; 32])));
    keys
}

struct ResetKey;

impl crypto::HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&[7; 32], data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, _data: &[u8], _signature: &[u8]) -> Result<(), crypto::CryptoError> {
        Err(crypto::CryptoError)
    }
}

pub(super) fn listen_settings(tls: Arc<ServerTls>) -> ListenSettings {
    ListenSettings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls,
        keys: keys(),
        connections: 64,
        connections_per_unit: 4,
        handshakes: 64,
        handshake_timeout: Duration::from_secs(15),
    }
}

pub(super) fn dial_settings(
    address: SocketAddr,
    hub: &str,
    kind: LinkKind,
    tls: &Arc<ClientTls>,
) -> DialSettings {
    DialSettings {
        wire: Arc::default(),
        hub: hub.parse().expect("a unit"),
        kind,
        address: address.to_string(),
        bind: None,
        interface: None,
        tls: tls.clone(),
        keys: keys(),
    }
}

/// A hub, the link to it, and the certificates.
pub(super) struct World {
    pub(super) pki: Pki,
    pub(super) hub: Listener,
    pub(super) link: Emulator,
    pub(super) edge: Arc<ClientTls>,
    pub(super) blocked: Arc<ClientTls>,
}

impl World {
    pub(super) async fn over(profile: Profile) -> Self {
        Self::with(profile, |_| {}).await
    }

    pub(super) async fn with(profile: Profile, set: impl FnOnce(&mut ListenSettings)) -> Self {
        println!("seed {SEED}, {profile:?}");
        let mut pki = Pki::new();
        let mut settings = listen_settings(pki.server("hub"));
        set(&mut settings);
        let edge = pki.client("edge");
        let blocked = pki.client("blocked");
        let hub = Listener::bind(settings, pki.identify()).expect("a hub");
        let address = hub.local_address().expect("an address");
        let link = Emulator::start(profile, SEED, address)
            .await
            .expect("a link");
        Self {
            pki,
            hub,
            link,
            edge,
            blocked,
        }
    }

    pub(super) fn dialler(&self, hub: &str, kind: LinkKind, tls: &Arc<ClientTls>) -> Dialer {
        let settings = dial_settings(self.link.address(), hub, kind, tls);
        Dialer::new(settings, self.pki.identify())
    }

    pub(super) async fn dial(&self, kind: LinkKind) -> Result<Session, DialError> {
        in_time(self.dialler("hub", kind, &self.edge).dial()).await
    }

    /// A session, as the edge and as the hub have it.
    pub(super) async fn session(&self, kind: LinkKind) -> (Session, Session) {
        let edge = self.dial(kind).await.expect("a session");
        let hub = in_time(self.hub.accept()).await.expect("a session");
        (edge, hub)
    }

    /// A started session whose control stream is open.
    pub(super) async fn ends(&self, kind: LinkKind) -> (End, End) {
        let (edge, hub) = self.session(kind).await;
        let (edge, mut hub) = (End::of(edge.start()), End::of(hub.start()));
        edge.control(b"hello").await;
        assert_eq!(hub.next_control().await, b"hello");
        (edge, hub)
    }
}

/// The owner of one end of a session: it keeps to its grants and remembers what came.
pub(super) struct End {
    pub(super) running: Running,
    pub(super) express: u32,
    pub(super) bulk: u32,
    pub(super) carried: Vec<u64>,
    pub(super) path: Option<PathNews>,
    pub(super) controls: VecDeque<Vec<u8>>,
    pub(super) batches: VecDeque<Vec<u8>>,
    pub(super) moved: u32,
    pub(super) ended: Option<Ended>,
}

impl End {
    pub(super) fn of(running: Running) -> Self {
        Self {
            running,
            express: 0,
            bulk: 0,
            carried: Vec::new(),
            path: None,
            controls: VecDeque::new(),
            batches: VecDeque::new(),
            moved: 0,
            ended: None,
        }
    }

    pub(super) async fn command(&self, command: Command) {
        in_time(self.running.commands.send(command))
            .await
            .expect("a session that takes commands");
    }

    pub(super) async fn control(&self, message: &[u8]) {
        self.command(Command::Control(message.to_vec().into()))
            .await;
    }

    /// Sends a batch, waiting for a grant.
    pub(super) async fn batch(&mut self, id: u64, lane: Lane, bytes: Vec<u8>) {
        let express = lane.has_reserve();
        while (if express { self.express } else { self.bulk }) == 0 {
            self.step().await;
        }
        match express {
            true => self.express -= 1,
            false => self.bulk -= 1,
        }
        let batch = Outgoing {
            id,
            express,
            lane,
            bytes: bytes.into(),
        };
        self.command(Command::Batch(Box::new(batch))).await;
    }

    /// Takes one event.
    pub(super) async fn step(&mut self) {
        let event = in_time(self.running.events.recv()).await;
        self.note(event.expect("a session that has not ended"));
    }

    pub(super) fn note(&mut self, event: Event) {
        match event {
            Event::Control(message) => self.controls.push_back(message.to_vec()),
            Event::Batch(batch) => self.batches.push_back(batch.to_vec()),
            Event::Room { express, bulk } => {
                self.express += u32::from(express);
                self.bulk += u32::from(bulk);
            }
            Event::Carried { id } => self.carried.push(id),
            Event::Path(news) => self.path = Some(*news),
            Event::Moved => self.moved += 1,
            Event::Closed(ended) => self.ended = Some(*ended),
        }
    }

    /// Waits until the last news of the path are such.
    pub(super) async fn path_that(&mut self, is: impl Fn(&PathNews) -> bool) {
        while !self.path.is_some_and(|path| is(&path)) {
            self.step().await;
        }
    }

    pub(super) async fn next_control(&mut self) -> Vec<u8> {
        while self.controls.is_empty() {
            self.step().await;
        }
        self.controls.pop_front().expect("a message")
    }

    pub(super) async fn next_batch(&mut self) -> Vec<u8> {
        while self.batches.is_empty() {
            self.step().await;
        }
        self.batches.pop_front().expect("a batch")
    }

    /// How the session ends.
    pub(super) async fn end(&mut self) -> Ended {
        while self.ended.is_none() {
            self.step().await;
        }
        self.ended.take().expect("an end")
    }
}
