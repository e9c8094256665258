//! The room that knows QUIC: one session for each link, and nothing of what it carries.
//!
//! A [`Dialer`] (at an edge) or a [`Listener`] (at a hub) makes a [`Session`]: an authenticated connection to one peer over one
//! link. [`Session::start`] sets it going. From then on the owner puts [`Command`]s in and takes [`Event`]s out, both through
//! bounded channels:
//!
//! - *control messages* go over the one bidirectional stream that the dialling side opens, in order, before everything else;
//! - *batches* go over one unidirectional stream each, by priority, and [`Event::Carried`] says when the peer's transport has
//!   all of one. It says nothing of the peer's disk: hop acks do, and they are control messages;
//! - [`Event::Path`] tells how the path is, so that the owner can choose between several sessions;
//! - [`Event::Room`] grants batches. The owner sends no more than was granted, and so decides as late as possible what goes next.
//!
//! What is opaque here is opened in `wire` and understood in `delivery`. Only this room names quinn.
//!
//! ## Bounds (G7)
//! Everything that a peer can make this side hold is bounded per session: [`profile`] says by how much. A peer that breaks a
//! bound ends the session with a [`CloseCode`] that names it. An owner that does not take its events stops the reading, and
//! QUIC's flow control then stops the peer; nothing is dropped.

mod admission;
mod backoff;
mod bursts;
mod close;
mod congestion;
mod connection_ids;
mod control;
mod dial;
mod flaw;
mod gate;
mod identity;
mod listen;
pub mod profile;
mod pulse;
mod receive;
mod room;
mod send;
mod session;
mod share;
mod socket;
mod stats;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
pub mod tls;
mod turns;
mod wire_count;

pub use backoff::Backoff;
pub use close::{CloseCode, Ended};
pub use dial::{DialError, DialSettings, Dialer};
#[cfg(test)]
pub(crate) use flaw::Flaw;
pub use identity::{Identify, Peer};
pub use listen::{ListenSettings, Listener};
pub use profile::LinkKind;
pub use receive::Received;
pub use session::{Command, Event, Outgoing, Running, Session, SessionHandle};
pub use stats::{PathNews, PathStats};
pub use wire_count::WireCount;

/// What an endpoint keeps over a restart of the node: the stateless-reset key, and the key by which it knows the connection IDs
/// that it gave out before (quinn answers nothing to an ID that its generator does not validate). Both come from the identity;
/// `quinn::EndpointConfig::default()` has random ones, and the peers of a restarted node then wait for the idle timeout.
pub type EndpointKeys = quinn::EndpointConfig;
/// The TLS side of a node that dials: client certificate, roots, ALPN.
pub type ClientTls = quinn::crypto::rustls::QuicClientConfig;
/// The TLS side of a node that listens: certificate, client verifier, ALPN.
pub type ServerTls = quinn::crypto::rustls::QuicServerConfig;
