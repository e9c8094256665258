//! How a session ends, and what the peer is told.

use std::fmt;

use bytes::Bytes;

/// Longest reason that is sent or kept, in bytes: a CONNECTION_CLOSE frame has to fit one packet.
pub(super) const REASON_BYTES_MAX: usize = 256;

/// Why a session was closed on purpose: the application error code of QUIC's CONNECTION_CLOSE. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// Nothing is wrong; the node stops or no longer needs the session.
    Done,
    /// A newer session of the same unit takes its place.
    Replaced,
    /// The node has as many sessions as it may have; try again later.
    Busy,
    /// The unit is blocked, revoked or expired at this node.
    Blocked,
    /// The certificate names no unit, or not the one that was expected.
    Identity,
    /// The peer said what the protocol does not allow.
    Protocol,
    /// A batch is larger than it may be.
    BatchTooLarge,
    /// A batch's stream was reset or refused before all of it had come.
    BatchAbandoned,
    /// A control message is larger than it may be.
    ControlTooLarge,
    /// The control stream was not opened in time, ended, or is not made of messages.
    ControlBroken,
    /// A code that this version does not know.
    Other(u64),
}

use CloseCode as C;

/// Every code with its number and its stable name.
const CODES: &[(CloseCode, u64, &str)] = &[
    (C::Done, 0, "done"),
    (C::Replaced, 1, "replaced"),
    (C::Busy, 2, "busy"),
    (C::Blocked, 3, "blocked"),
    (C::Identity, 4, "identity"),
    (C::Protocol, 5, "protocol"),
    (C::BatchTooLarge, 6, "batch-too-large"),
    (C::BatchAbandoned, 7, "batch-abandoned"),
    (C::ControlTooLarge, 8, "control-too-large"),
    (C::ControlBroken, 9, "control-broken"),
];

impl CloseCode {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            C::Other(number) => number,
            known => CODES
                .iter()
                .find(|(code, ..)| *code == known)
                .map_or(0, |(_, number, _)| *number),
        }
    }

    /// The code of a number on the wire.
    pub fn from_number(number: u64) -> Self {
        CODES
            .iter()
            .find(|(_, known, _)| *known == number)
            .map_or(C::Other(number), |(code, ..)| *code)
    }

    /// The stable name, for logs and metrics.
    pub fn name(self) -> &'static str {
        CODES
            .iter()
            .find(|(code, ..)| *code == self)
            .map_or("other", |(.., name)| name)
    }

    pub(super) fn on_the_wire(self) -> quinn::VarInt {
        quinn::VarInt::from_u64(self.number()).unwrap_or(quinn::VarInt::MAX)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            C::Other(number) => write!(f, "code {number}"),
            known => f.write_str(known.name()),
        }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// This side closed it: the owner asked for it, or the peer broke a bound.
    #[error("closed here: {code}: {reason}")]
    Here {
        /// What the peer was told.
        code: CloseCode,
        /// In words.
        reason: String,
    },
    /// The peer closed it.
    #[error("closed by the peer: {code}: {reason}")]
    Peer {
        /// What the peer said.
        code: CloseCode,
        /// In words; not to be trusted.
        reason: String,
    },
    /// Nothing came for the idle timeout: the link or the peer is gone.
    #[error("nothing came from the peer for as long as the session may be idle")]
    Idle,
    /// The peer is there and no longer knows the session: it was restarted (a stateless reset came).
    #[error("the peer was restarted and no longer knows the session")]
    Restarted,
    /// The handshake failed, or the peer refused this side's certificate after it.
    #[error("TLS: {0}")]
    Tls(String),
    /// The peer turned the connection away before the handshake: it has no room, or listens no more.
    #[error("the peer has no room for another connection, or is about to stop")]
    Refused,
    /// The peer's QUIC broke QUIC's rules, or this side's ran out of something.
    #[error("QUIC: {0}")]
    Transport(String),
}

impl Ended {
    /// A stable name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Ended::Here { code, .. } | Ended::Peer { code, .. } => code.name(),
            Ended::Idle => "idle",
            Ended::Restarted => "restarted",
            Ended::Tls(_) => "tls",
            Ended::Refused => "refused",
            Ended::Transport(_) => "transport",
        }
    }

    pub(super) fn here(code: CloseCode, reason: impl Into<String>) -> Self {
        Ended::Here {
            code,
            reason: shortened(reason.into()),
        }
    }
}

impl From<quinn::ConnectionError> for Ended {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Q;
        match error {
            Q::ApplicationClosed(close) => Ended::Peer {
                code: CloseCode::from_number(close.error_code.into_inner()),
                reason: told(&close.reason),
            },
            Q::ConnectionClosed(close) => from_transport(close.error_code, &told(&close.reason)),
            Q::TransportError(error) => from_transport(error.code, &error.reason),
            Q::TimedOut => Ended::Idle,
            Q::Reset => Ended::Restarted,
            Q::LocallyClosed => Ended::here(CloseCode::Done, "closed"),
            other @ (Q::VersionMismatch | Q::CidsExhausted) => Ended::Transport(other.to_string()),
        }
    }
}

/// RFC 9001, section 4.8: TLS alerts are the transport error codes 0x100 to 0x1ff.
fn from_transport(code: quinn::TransportErrorCode, reason: &str) -> Ended {
    let words = shortened(format!("{code}: {reason}"));
    match u64::from(code) {
        0x100..=0x1ff => Ended::Tls(words),
        _ if code == quinn::TransportErrorCode::CONNECTION_REFUSED => Ended::Refused,
        _ => Ended::Transport(words),
    }
}

/// What a peer says, made fit for a log: short, and without control characters.
fn told(reason: &Bytes) -> String {
    let start = reason.get(..REASON_BYTES_MAX).unwrap_or(reason);
    String::from_utf8_lossy(start)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn shortened(mut reason: String) -> String {
    while reason.len() > REASON_BYTES_MAX {
        reason.pop();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_number() {
        for (code, number, _) in CODES {
            assert_eq!(
                (code.number(), CloseCode::from_number(*number)),
                (*number, *code)
            );
        }
        assert_eq!(CloseCode::from_number(77), CloseCode::Other(77));
        assert_eq!(CloseCode::Other(77).number(), 77);
    }

    #[test]
    fn what_a_peer_says_cannot_break_a_line_of_the_log() {
        let reason = told(&Bytes::from_static(b"a\nb\x1b[31m\xff"));
        assert_eq!(reason, "a b [31m\u{fffd}");
        assert!(shortened("é".repeat(500)).len() <= REASON_BYTES_MAX);
    }
}
