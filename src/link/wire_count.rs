//! What a link's sockets really carry: every datagram of every session and of every attempt, with the headers that are paid for too.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// Headers of a datagram, bytes: IP without options (RFC 791, RFC 8200) and UDP (RFC 768).
const HEADERS_V4_BYTES: u64 = 20 + 8;
const HEADERS_V6_BYTES: u64 = 40 + 8;

/// Bytes that went over a link, IP and UDP headers included, for as long as the node runs.
#[derive(Debug, Default)]
pub struct WireCount {
    sent: AtomicU64,
    received: AtomicU64,
}

impl WireCount {
    /// Bytes sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Bytes received.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// As if a socket had sent so much.
    #[cfg(test)]
    pub fn add_for_test(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
    }
}

/// A socket that counts.
#[derive(Debug)]
pub(super) struct Counted {
    socket: Arc<dyn AsyncUdpSocket>,
    count: Arc<WireCount>,
}

impl Counted {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, count: Arc<WireCount>) -> Arc<Self> {
        Arc::new(Self { socket, count })
    }
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        let len = transmit.contents.len();
        let piece = transmit.segment_size.unwrap_or(len);
        let bytes = on_the_wire(transmit.destination, len, piece);
        self.count.sent.fetch_add(bytes, Relaxed);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(context, buffers, meta);
        if let Poll::Ready(Ok(count)) = received {
            let came = meta.iter().take(count);
            let bytes = came.map(|meta| on_the_wire(meta.addr, meta.len, meta.stride));
            self.count.received.fetch_add(bytes.sum(), Relaxed);
        }
        received
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

/// What `len` bytes to or from `peer` take, which the system cuts into datagrams of `piece`.
fn on_the_wire(peer: SocketAddr, len: usize, piece: usize) -> u64 {
    let is_v4 = match peer.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    let headers = match is_v4 {
        true => HEADERS_V4_BYTES,
        false => HEADERS_V6_BYTES,
    };
    let datagrams = len.div_ceil(piece.max(1)).max(1);
    len as u64 + headers * datagrams as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_counts_with_its_headers() {
        let v4 = SocketAddr::from(([192, 0, 2, 7], 1));
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:1".parse().expect("an address");
        let v6: SocketAddr = "[2001:db8::7]:1".parse().expect("an address");
        assert_eq!(on_the_wire(v4, 1_200, 1_200), 1_228);
        assert_eq!(on_the_wire(mapped, 1_200, 1_200), 1_228);
        assert_eq!(on_the_wire(v6, 1_200, 1_200), 1_248);
        // Two whole ones and a rest.
        assert_eq!(on_the_wire(v4, 2_500, 1_200), 2_500 + 3 * 28);
        assert_eq!(on_the_wire(v4, 0, 0), 28);
    }
}
