//! The last packets of a connection that nobody has acknowledged yet, kept so that they can be sent once more.
//!
//! A message that goes alone is not missed by anybody when its packet is lost: QUIC repeats it after a probe timeout, twice, and if a
//! burst of loss takes both, after twice that time again. Here the very same datagrams are sent once more as soon as an answer is
//! overdue ([`super::pulse`]). To the peer that is a packet that the network has doubled (RFC 9000, section 12.3): it takes the first
//! that comes and drops the others unread, so this costs bytes when it was in vain, and nothing else.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

/// Datagrams that are kept of one connection: the last.
pub(super) const KEPT_MAX: usize = 3;
/// Largest datagram that is kept, bytes.
const DATAGRAM_BYTES_MAX: usize = 1_500;
/// Datagrams of no more than this hold acks or a probe, and are not worth sending again.
const SMALL_BYTES: usize = 50;
/// Connections whose tails are kept at a time.
const CONNECTIONS_MAX: usize = 1_024;

/// A socket that keeps what it has sent to some addresses.
#[derive(Debug)]
pub(super) struct Tails {
    socket: Arc<dyn AsyncUdpSocket>,
    /// Whether anything is to be kept: most of the time nothing is.
    keeps: AtomicBool,
    kept: Mutex<HashMap<SocketAddr, VecDeque<Datagram>>>,
}

#[derive(Debug)]
struct Datagram {
    bytes: Vec<u8>,
    ecn: Option<EcnCodepoint>,
    from: Option<IpAddr>,
}

impl Tails {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self {
            socket,
            keeps: AtomicBool::new(false),
            kept: Mutex::new(HashMap::new()),
        })
    }

    /// From now on the last datagrams to `peer` are kept.
    pub(super) fn begin(&self, peer: SocketAddr) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < CONNECTIONS_MAX || kept.contains_key(&peer) {
            kept.entry(peer).or_default().clear();
            self.keeps.store(true, Relaxed);
        }
    }

    /// Nothing is kept for `peer` any more.
    pub(super) fn end(&self, peer: SocketAddr) {
        if self.keeps.load(Relaxed) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.remove(&peer);
            if kept.is_empty() {
                kept.shrink_to_fit();
                self.keeps.store(false, Relaxed);
            }
        }
    }

    /// Sends what is kept for `peer` once more, and says whether that was anything. What the system does not take now is not sent.
    pub(super) fn again(&self, peer: SocketAddr) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(datagrams) = kept.get(&peer) else {
            return false;
        };
        for datagram in datagrams {
            let _ = self.socket.try_send(&Transmit {
                destination: peer,
                ecn: datagram.ecn,
                contents: &datagram.bytes,
                segment_size: None,
                src_ip: datagram.from,
            });
        }
        !datagrams.is_empty()
    }

    fn keep(&self, transmit: &Transmit<'_>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(datagrams) = kept.get_mut(&transmit.destination) else {
            return;
        };
        let piece = transmit.segment_size.unwrap_or(transmit.contents.len());
        for bytes in transmit.contents.chunks(piece.max(1)) {
            if !(SMALL_BYTES + 1..=DATAGRAM_BYTES_MAX).contains(&bytes.len()) {
                continue;
            }
            if datagrams.len() == KEPT_MAX {
                datagrams.pop_front();
            }
            datagrams.push_back(Datagram {
                bytes: bytes.to_vec(),
                ecn: transmit.ecn,
                from: transmit.src_ip,
            });
        }
    }
}

impl AsyncUdpSocket for Tails {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        if self.keeps.load(Relaxed) {
            self.keep(transmit);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_recv(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use quinn::Runtime as _;
    use tokio::net::UdpSocket;

    use super::*;

    async fn receive(peer: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2_000];
        let received = peer.recv(&mut buffer);
        let within = std::time::Duration::from_secs(10);
        let len = tokio::time::timeout(within, received)
            .await
            .expect("in time");
        buffer[..len.expect("a datagram")].to_vec()
    }

    #[tokio::test]
    async fn the_last_datagrams_are_sent_again_and_nothing_that_only_acks() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let to = peer.local_addr().expect("an address");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let socket = quinn::TokioRuntime
            .wrap_udp_socket(socket)
            .expect("a socket");
        let tails = Tails::new(socket);
        let mut room = tails.clone().create_io_poller();
        std::future::poll_fn(|context| room.as_mut().poll_writable(context))
            .await
            .expect("a socket that takes something");
        let send = |bytes: &[u8]| {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: bytes,
                segment_size: None,
                src_ip: None,
            };
            tails.try_send(&transmit).expect("room in the socket");
        };
        send(&[1; 100]);
        assert!(!tails.again(to), "nobody asked");
        tails.begin(to);
        send(&[2; SMALL_BYTES]);
        for n in 3..7 {
            send(&[n; 100]);
        }
        for n in 1..7 {
            assert_eq!(receive(&peer).await[0], n);
        }
        assert!(tails.again(to));
        for n in 4..7 {
            assert_eq!(receive(&peer).await, [n; 100]);
        }
        tails.end(to);
        assert!(!tails.again(to));
    }
}
