//! What a session knows of its path.

use std::time::Duration;

/// A session's path at one moment, and its totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStats {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Congestion window, bytes.
    pub cwnd_bytes: u64,
    /// Bytes of UDP payload sent; IP and UDP add 28 (IPv4) or 48 (IPv6) a datagram.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub sent_datagrams: u64,
    /// Bytes of UDP payload received.
    pub received_bytes: u64,
    /// Datagrams received.
    pub received_datagrams: u64,
    /// Packets sent and declared lost.
    pub lost_packets: u64,
    /// Times that the congestion controller was told of congestion.
    pub congestion_events: u64,
    /// Largest UDP payload that the path takes, bytes.
    pub mtu_bytes: u16,
    /// For how long nothing has come from the peer, to about a second.
    pub silent: Duration,
}

impl PathStats {
    pub(super) fn of(connection: &quinn::Connection, silent: Duration) -> Self {
        let stats = connection.stats();
        Self {
            rtt: stats.path.rtt,
            cwnd_bytes: stats.path.cwnd,
            sent_bytes: stats.udp_tx.bytes,
            sent_datagrams: stats.udp_tx.datagrams,
            received_bytes: stats.udp_rx.bytes,
            received_datagrams: stats.udp_rx.datagrams,
            lost_packets: stats.path.lost_packets,
            congestion_events: stats.path.congestion_events,
            mtu_bytes: stats.path.current_mtu,
            silent,
        }
    }
}
