//! What a session knows of its path.

use std::time::Duration;

use super::congestion::Valve;

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
    /// What the path carries from here, bytes a second: as measured, or by window and round trip before anything much was sent.
    pub rate: u64,
}

/// What has changed noticeably of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNews {
    /// What it carries from here, bytes a second.
    pub rate: u64,
    /// Round-trip time: the smoothed one, or the shortest of the last few acks where that is less.
    pub rtt: Duration,
    /// Whether the peer acknowledges what is sent: false once it has owed an acknowledgement for max(4 round trips, 600 ms).
    pub answers: bool,
}

/// The least time for which a peer that owes an acknowledgement is waited for: a timer, a burst of loss and its repair.
const SILENT_MIN: Duration = Duration::from_millis(600);
/// The same in round trips.
const SILENT_TRIPS: u32 = 4;
/// News of rate and round trip are told no more often.
const NEWS_EVERY: Duration = Duration::from_millis(250);
/// A round trip that differs by less is the same.
const RTT_GRAIN: Duration = Duration::from_millis(5);

impl PathNews {
    /// The path of a connection whose peer has acknowledged nothing of what it should for so long.
    pub(super) fn of(
        connection: &quinn::Connection,
        valve: &Valve,
        unanswered: Option<Duration>,
    ) -> Self {
        let path = connection.stats().path;
        let rtt = valve.trip().map_or(path.rtt, |trip| trip.min(path.rtt));
        Self {
            rate: rate(&path, valve),
            rtt,
            answers: unanswered.is_none_or(|long| long < SILENT_MIN.max(SILENT_TRIPS * rtt)),
        }
    }

    /// Whether this is worth being told after `told`, which was told so long ago.
    pub(super) fn differs(&self, told: &Self, ago: Duration) -> bool {
        let far = |a: u64, b: u64| a.abs_diff(b) > a.min(b) / 4;
        let rtt = |path: &Self| path.rtt.as_millis() as u64;
        self.answers != told.answers
            || ago >= NEWS_EVERY
                && (far(self.rate, told.rate)
                    || far(rtt(self), rtt(told)) && self.rtt.abs_diff(told.rtt) > RTT_GRAIN)
    }
}

fn rate(path: &quinn::PathStats, valve: &Valve) -> u64 {
    let by_window = || (path.cwnd as f64 / path.rtt.as_secs_f64().max(1e-3)) as u64;
    valve.rate().unwrap_or_else(by_window)
}

impl PathStats {
    pub(super) fn of(connection: &quinn::Connection, valve: &Valve, silent: Duration) -> Self {
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
            rate: rate(&stats.path, valve),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_noticeably_is_news_and_silence_at_once() {
        let told = PathNews {
            rate: 100_000,
            rtt: Duration::from_millis(100),
            answers: true,
        };
        let with_rate = |rate| PathNews { rate, ..told };
        let with_rtt = |ms| PathNews {
            rtt: Duration::from_millis(ms),
            ..told
        };
        let differs = |news: PathNews| news.differs(&told, NEWS_EVERY);
        assert!(!differs(told) && !differs(with_rate(80_000)) && !differs(with_rate(125_000)));
        assert!(differs(with_rate(79_000)) && differs(with_rate(126_000)));
        assert!(!differs(with_rtt(81)) && differs(with_rtt(79)) && differs(with_rtt(130)));
        assert!(!with_rate(1).differs(&told, NEWS_EVERY / 2));
        let silent = PathNews {
            answers: false,
            ..told
        };
        assert!(silent.differs(&told, Duration::ZERO));
    }
}
