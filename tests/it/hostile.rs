//! A client that speaks the protocol on quinn itself, with a real identity, and says what no node would.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use casegate::{
    codec,
    delivery::hop::{Frame, Hello, PROTOCOL_VERSION},
    link::tls,
    model::{Fingerprint, Millis, Ranges, UnitId},
    pki::{self, Identity, Issue},
    wire::{FrameDecoder, encode_frame},
};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::world::{World, now, unit};

/// How long a hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An identity of `name`, issued at `at` by the CA in `ca`, in a folder of its own.
pub(crate) fn identity(world: &World, ca: &Path, name: &str, at: Millis) -> Identity {
    let out = world.path().join(format!("{name}-{at}-hostile"));
    let unit = unit(name);
    let asked = Issue {
        dir: ca,
        unit: &unit,
        out: &out,
        hosts: &[],
        csr: None,
        days: 30,
    };
    pki::issue(&asked, at).expect("an identity");
    // Whom it trusts is its own affair: the hub.
    let trusted = world.path().join("ca/ca.pem");
    let own = out.join("ca.pem");
    let both = [trusted, own.clone()].map(|pem| std::fs::read_to_string(pem).expect("a CA"));
    std::fs::write(own, both.concat()).expect("written");
    Identity::load(&out, &unit, at).expect("an identity")
}

/// One connection of a hostile unit.
pub(crate) struct Hostile {
    unit: UnitId,
    connection: quinn::Connection,
    /// The control stream's two ways; none when the hub closed at once.
    control: Option<(quinn::SendStream, quinn::RecvStream)>,
    frames: FrameDecoder,
    unread: Vec<u8>,
    /// The hub's epoch, once the session is open.
    pub(crate) hub_epoch: u64,
    _endpoint: quinn::Endpoint,
}

impl Hostile {
    /// Connects as the identity's unit. The hub may close the connection at once.
    pub(crate) async fn connect(identity: &Identity, hub: &str, address: SocketAddr) -> Self {
        let any = ([127, 0, 0, 1], 0).into();
        let endpoint = quinn::Endpoint::client(any).expect("an endpoint");
        Self::connect_from(&endpoint, identity, hub, address)
            .await
            .expect("a handshake, as far as the client sees")
    }

    /// Connects from an endpoint that others use too.
    pub(crate) async fn connect_from(
        endpoint: &quinn::Endpoint,
        identity: &Identity,
        hub: &str,
        address: SocketAddr,
    ) -> Result<Self, quinn::ConnectionError> {
        let tls = tls::client_config(identity, &unit(hub)).expect("a client");
        Self::connect_with(endpoint, Arc::new(tls), identity.unit(), address).await
    }

    /// Connects with TLS of one's own making.
    pub(crate) async fn connect_with(
        endpoint: &quinn::Endpoint,
        tls: Arc<quinn::crypto::rustls::QuicClientConfig>,
        unit: &UnitId,
        address: SocketAddr,
    ) -> Result<Self, quinn::ConnectionError> {
        let connection = endpoint
            .connect_with(as_over_3g(tls), address, tls::SERVER_NAME)
            .expect("an attempt")
            .await?;
        let control = connection.open_bi().await.ok();
        Ok(Self {
            unit: unit.clone(),
            connection,
            control,
            frames: FrameDecoder::new(),
            unread: Vec::new(),
            hub_epoch: 0,
            _endpoint: endpoint.clone(),
        })
    }

    /// The hello of a node that has lost everything.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            unit: self.unit.clone(),
            epoch: now(),
            peer_epoch: 0,
            marks: Vec::new(),
            received: Ranges::default(),
            base: 1,
            next: 1,
            wall: now(),
            link_kind: "lan".into(),
            link_name: "hostile".into(),
        }
    }

    /// The application protocol that was agreed on.
    pub(crate) fn protocol(&self) -> Vec<u8> {
        let data = self.connection.handshake_data().expect("it is set up");
        let data = data.downcast::<quinn::crypto::rustls::HandshakeData>();
        data.expect("rustls").protocol.expect("a protocol")
    }

    /// Opens streams until the hub allows no more, and writes a byte to each that is not the last. Tells how many.
    pub(crate) async fn open_streams(&self, max: usize) -> Vec<quinn::SendStream> {
        let mut streams = Vec::new();
        while streams.len() < max {
            let Ok(Ok(mut stream)) =
                timeout(Duration::from_secs(1), self.connection.open_uni()).await
            else {
                return streams;
            };
            let _ = stream.write_all(&[0x10]).await;
            streams.push(stream);
        }
        streams
    }

    /// Writes bytes to the control stream as they are. The hub may have closed it already.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        if let Some((control, _)) = &mut self.control {
            let _ = control.write_all(bytes).await;
        }
    }

    /// Writes one control message.
    pub(crate) async fn message(&mut self, bytes: &[u8]) {
        let mut out = codec::encode(&(bytes.len() as u32));
        out.extend_from_slice(bytes);
        self.raw(&out).await;
    }

    /// Says a frame.
    pub(crate) async fn say(&mut self, frame: &Frame) {
        self.message(&encode_frame(frame)).await;
    }

    /// The next frame of the hub.
    pub(crate) async fn hear(&mut self) -> Frame {
        let next = async {
            loop {
                if let Some(frame) = self.frames.next().expect("the hub speaks well") {
                    return frame;
                }
                let (_, from_hub) = self.control.as_mut().expect("a session");
                let chunk = from_hub.read_chunk(65_536, true).await;
                let chunk = chunk.expect("the hub speaks").expect("it goes on");
                self.unread.extend_from_slice(&chunk.bytes);
                while let Some((message, rest)) = split(&self.unread) {
                    self.frames.push(message);
                    self.unread = rest.to_vec();
                }
            }
        };
        timeout(PATIENCE, next).await.expect("in time")
    }

    /// Says hello until the session is open at the hub, as a node does that has lost everything.
    pub(crate) async fn open(&mut self) {
        let mut hello = self.hello();
        self.say(&Frame::Hello(hello.clone())).await;
        loop {
            if let Frame::Hello(theirs) = self.hear().await {
                self.hub_epoch = theirs.epoch;
                if theirs.peer_epoch == hello.epoch && theirs.epoch == hello.peer_epoch {
                    return;
                }
                hello.peer_epoch = theirs.epoch;
                self.say(&Frame::Hello(hello.clone())).await;
            }
        }
    }

    /// Sends a batch on a stream of its own.
    pub(crate) async fn batch(&mut self, bytes: &[u8]) {
        let Ok(mut stream) = self.connection.open_uni().await else {
            return;
        };
        let _ = stream.write_all(bytes).await;
        let _ = stream.finish();
        // The hub reads it, or closes.
        let _ = timeout(PATIENCE, stream.stopped()).await;
    }

    /// What the hub sends on its next stream.
    pub(crate) async fn stream(&mut self) -> Vec<u8> {
        let read = async {
            let mut stream = self.connection.accept_uni().await.expect("a stream");
            stream.read_to_end(1 << 20).await.expect("all of it")
        };
        timeout(PATIENCE, read).await.expect("in time")
    }

    /// Whether the hub has sent something on a stream that was not looked at yet.
    pub(crate) fn has_stream(&self) -> bool {
        self.connection.accept_uni().now_or_never().is_some()
    }

    /// Answers the hub's question for a certificate.
    pub(crate) async fn show_certificate(&mut self, der: &[u8]) {
        loop {
            if let Frame::WantCertificates(wanted) = self.hear().await {
                assert_eq!(wanted, [Fingerprint::of(der)]);
                return self.say(&Frame::Certificate(der.to_vec())).await;
            }
        }
    }

    /// How the hub closes the connection, in words.
    pub(crate) async fn closed(&self) -> String {
        let closed = self.connection.closed();
        timeout(PATIENCE, closed)
            .await
            .expect("in time")
            .to_string()
    }
}

/// The hub takes it for a 3G link, as it does whatever is not said to be another.
pub(crate) fn as_over_3g(tls: Arc<quinn::crypto::rustls::QuicClientConfig>) -> quinn::ClientConfig {
    let mut client = quinn::ClientConfig::new(tls);
    client.initial_dst_cid_provider(Arc::new(|| {
        let mut id = [0xe3; 20];
        id[1..17].copy_from_slice(
            &std::time::UNIX_EPOCH
                .elapsed()
                .expect("after 1970")
                .as_nanos()
                .to_le_bytes(),
        );
        quinn::ConnectionId::new(&id)
    }));
    client
}

/// One control message off the front.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match bytes {
        [251, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [252, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [short @ 0..=250, rest @ ..] => (usize::from(*short), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}
