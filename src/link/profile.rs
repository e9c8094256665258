//! What each kind of link asks of QUIC, and every bound of a session.
//!
//! The side that dials knows the link; the side that listens has to fix most of its transport before the first message. So the
//! dialling side says the kind in the first byte of the connection ID that it invents for its very first packet (RFC 9000,
//! section 7.2, leaves the choice to the client; the other 19 bytes stay random). It is a hint for tuning and no more: anyone may
//! send any byte, every kind has the same bounds, and an unknown byte gets the cautious profile of 3G. The idle timeout and
//! the keep-alive are the dialling side's alone: QUIC takes the smaller of both sides' timeouts, and the listening side offers
//! the longest.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use quinn::{AckFrequencyConfig, ConnectionId, IdleTimeout, TransportConfig, VarInt};

use super::congestion::{self, Valve};

/// Most batches of the express class (flash, urgent) under way in one direction of a session.
pub const EXPRESS_STREAMS_MAX: u16 = 4;
/// Most batches of the bulk class (normal, bulk) under way in one direction of a session.
pub const BULK_STREAMS_MAX: u16 = 12;
/// Unidirectional streams that a peer may have open.
pub const PEER_STREAMS_MAX: u32 = (EXPRESS_STREAMS_MAX + BULK_STREAMS_MAX) as u32;
/// Unidirectional streams that a peer is told it may open. QUIC renews its leave when an eighth of them has been used, in a packet of its
/// own: with no more than are used at a time that would be every third message. [`PEER_STREAMS_MAX`] are read at a time, whatever comes.
pub(super) const PEER_STREAMS_TOLD: u32 = 40;
/// Bytes that a peer may send on one stream before this side has read them.
pub const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// Bytes that a peer may send on all streams before this side has read them: enough for every stream's window and the control
/// stream's, so that streams which wait for memory can never starve the one that is being read.
pub const SESSION_WINDOW_BYTES: u32 = (PEER_STREAMS_MAX + 1) * STREAM_WINDOW_BYTES;
/// Bytes of a batch that are read without asking; beyond, it needs one of [`LARGE_BATCHES_MAX`] permits.
pub const SMALL_BATCH_BYTES_MAX: usize = 128 * 1024;
/// Batches of more than [`SMALL_BATCH_BYTES_MAX`] that a session holds at once.
pub const LARGE_BATCHES_MAX: usize = 2;
/// Largest batch, in bytes, unless the settings say otherwise: a parcel with the largest body, and what goes with it.
pub const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest control message, in bytes.
pub const CONTROL_BYTES_MAX: usize = 256 * 1024;
/// Bytes of express batches and control messages that find room in the send buffer however full of bulk it is.
pub const EXPRESS_RESERVE_BYTES: u64 = 512 * 1024;
/// Commands, and events, that wait in a session's channels.
pub const CHANNEL_SLOTS: usize = 32;

/// How long QUIC's own ack waits on a link that is paid for by the byte: long enough to go with the hop's ack and the receipt, which wait
/// for two syncs and a quick application.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(40);
/// How long a hub waits for the control stream of a new session.
pub(super) const CONTROL_STREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a close waits for control messages that were sent before it.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(1);

/// Longest connection ID of QUIC version 1 (RFC 9000, section 17.2).
const FIRST_ID_BYTES: usize = 20;

/// The kind of a link, which chooses its transport profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A municipal exclusive channel: reliable, some Mbit/s, paid for whether used or not.
    Exclusive,
    /// A 3G modem: slow, lossy, metered, often out.
    Mobile,
    /// A local network.
    Lan,
}

/// A text names no kind of link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kind of link; write exclusive, 3g or lan")]
pub struct LinkKindError(String);

impl LinkKind {
    /// Every kind.
    pub const ALL: [LinkKind; 3] = [LinkKind::Exclusive, LinkKind::Mobile, LinkKind::Lan];

    /// The kind as the configuration and the hello frame write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LinkKind::Exclusive => "exclusive",
            LinkKind::Mobile => "3g",
            LinkKind::Lan => "lan",
        }
    }

    /// How long one attempt to connect may take. Shorter than QUIC's own patience: its retransmissions back off, a new attempt
    /// starts afresh.
    pub const fn handshake_timeout(self) -> Duration {
        match self {
            LinkKind::Exclusive => Duration::from_secs(5),
            LinkKind::Mobile => Duration::from_secs(10),
            LinkKind::Lan => Duration::from_secs(3),
        }
    }

    /// How long a session lives without a sign of the peer. A metered link's session outlives the link's usual outages.
    pub const fn idle_timeout(self) -> Duration {
        match self {
            LinkKind::Exclusive => Duration::from_secs(15),
            LinkKind::Mobile => Duration::from_secs(120),
            LinkKind::Lan => Duration::from_secs(5),
        }
    }

    /// Whether every byte over it is paid for. Then it is for the owner of a session to see that something goes over it in time: how much silence the
    /// link bears is learned, and beside another link to the same peer it need not be awake at all.
    pub const fn is_paid_by_the_byte(self) -> bool {
        matches!(self, LinkKind::Mobile)
    }

    /// How long the dialling side stays silent at most. On 3G it is for the session's life only, not for the address translators on the way; what is
    /// left of the idle timeout is for QUIC's own repair of a keep-alive that was lost.
    const fn keep_alive(self) -> Duration {
        match self {
            LinkKind::Exclusive => Duration::from_secs(4),
            LinkKind::Mobile => Duration::from_secs(100),
            LinkKind::Lan => Duration::from_millis(1_500),
        }
    }

    /// Least and most bytes of bulk in quinn's hands; between them it is one and a half times the congestion window.
    pub(super) const fn bulk_window_bytes(self) -> (u64, u64) {
        match self {
            LinkKind::Exclusive => (128 * 1024, 1024 * 1024),
            LinkKind::Mobile => (48 * 1024, 512 * 1024),
            LinkKind::Lan => (1024 * 1024, 4 * 1024 * 1024),
        }
    }

    const fn hint(self) -> u8 {
        match self {
            LinkKind::Exclusive => 0xe1,
            LinkKind::Mobile => 0xe3,
            LinkKind::Lan => 0xe5,
        }
    }

    /// The first connection ID of a connection over this kind of link.
    pub(super) fn first_connection_id(self) -> ConnectionId {
        use quinn::ConnectionIdGenerator as _;
        let mut bytes = [0; FIRST_ID_BYTES];
        let random = quinn_proto::RandomConnectionIdGenerator::new(bytes.len()).generate_cid();
        bytes.copy_from_slice(&random);
        bytes[0] = self.hint();
        ConnectionId::new(&bytes)
    }

    /// The kind that a client's first connection ID hints at; 3G when it hints at none.
    pub(super) fn hinted_by(id: ConnectionId) -> Self {
        LinkKind::ALL
            .into_iter()
            .find(|kind| id.first() == Some(&kind.hint()))
            .unwrap_or(LinkKind::Mobile)
    }

    /// The dialling side's transport of one connection.
    pub(super) fn dialling(self, valve: &Valve) -> Arc<TransportConfig> {
        let mut transport = self.both_sides(valve);
        transport
            .max_idle_timeout(Some(idle(self.idle_timeout())))
            .keep_alive_interval(Some(self.keep_alive()))
            // One packet at a time to a modem's driver: many have no segmentation of their own and drop what overruns them.
            .enable_segmentation_offload(self != LinkKind::Mobile);
        Arc::new(transport)
    }

    /// The listening side's transport of one connection, for a peer that hinted at this kind.
    pub(super) fn listening(self, valve: &Valve) -> Arc<TransportConfig> {
        let longest = LinkKind::Mobile.idle_timeout() + Duration::from_secs(5);
        let mut transport = self.both_sides(valve);
        transport.max_idle_timeout(Some(idle(longest)));
        Arc::new(transport)
    }

    fn both_sides(self, valve: &Valve) -> TransportConfig {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(PEER_STREAMS_TOLD))
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
            .receive_window(VarInt::from_u32(SESSION_WINDOW_BYTES))
            .send_window(self.bulk_window_bytes().0)
            .datagram_receive_buffer_size(None)
            .datagram_send_buffer_size(0)
            .allow_spin(false)
            .congestion_controller_factory(congestion::controller(self, valve));
        match self {
            LinkKind::Exclusive => {}
            LinkKind::Mobile => {
                let mut acks = AckFrequencyConfig::default();
                acks.ack_eliciting_threshold(VarInt::from_u32(9))
                    .max_ack_delay(Some(ACK_DELAY));
                transport
                    // RFC 9002, section 6.2.2, and no less on a link whose first packets wait for the radio.
                    .initial_rtt(Duration::from_millis(333))
                    // A probe costs more than it brings where every byte is paid for, and tunnels are common.
                    .mtu_discovery_config(None)
                    .ack_frequency_config(Some(acks));
            }
            LinkKind::Lan => {
                transport.initial_rtt(Duration::from_millis(20));
            }
        }
        transport
    }
}

fn idle(timeout: Duration) -> IdleTimeout {
    IdleTimeout::try_from(timeout).unwrap_or_else(|_| VarInt::from_u32(u32::MAX).into())
}

impl FromStr for LinkKind {
    type Err = LinkKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        LinkKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| LinkKindError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_back_from_its_name_and_from_its_hint() {
        for kind in LinkKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let (one, other) = (kind.first_connection_id(), kind.first_connection_id());
            assert_eq!(LinkKind::hinted_by(one), kind);
            assert_ne!(one, other);
        }
        assert_eq!(
            LinkKind::hinted_by(ConnectionId::new(&[0; 8])),
            LinkKind::Mobile
        );
    }

    #[test]
    fn every_stream_can_fill_its_window_at_the_same_time() {
        let streams = PEER_STREAMS_MAX + 1;
        assert!(SESSION_WINDOW_BYTES / streams >= STREAM_WINDOW_BYTES);
        const { assert!(SMALL_BATCH_BYTES_MAX < BATCH_BYTES_MAX) };
    }

    #[test]
    fn a_session_is_kept_alive_well_within_its_idle_timeout() {
        for kind in LinkKind::ALL {
            // The repair of one that is lost: QUIC's probe timeouts of 1, 2 and 4 s on a poor link, and as much again.
            let for_repair = kind.idle_timeout() - kind.keep_alive();
            let is_soon = kind.keep_alive() * 3 < kind.idle_timeout();
            assert!(is_soon || for_repair >= Duration::from_secs(14), "{kind}");
        }
    }
}
