//! casegate: a secure message gateway for constrained links.
//!
//! # The life of a message
//! An application posts a CloudEvent to its gateway ([`api`], [`cloudevents`]). The gateway signs it into a [`parcel`], appends it to the
//! [`journal`] and answers 202 once it is synced. The state machine in [`delivery`] puts it into the outbox towards the next neighbour and
//! leases it to a session, which packs it with others into a batch ([`wire`]) and sends it over QUIC ([`link`]). The neighbour unpacks it,
//! checks its signature and signer ([`pki`]), decides by policy where it goes, stores it and acks. A hub keeps it in the mailbox of the unit
//! that it is for; that unit's gateway hands it to the application from its inbox. Signed receipts tell the sender of each step. [`node`]
//! is the shell that makes all this happen; `delivery` itself touches neither clock, socket nor file.

pub mod api;
pub mod blob;
pub mod cli;
pub mod cloudevents;
pub mod codec;
pub mod config;
pub mod console;
mod csv;
pub mod deliver;
pub mod delivery;
pub mod emulator;
pub mod index;
pub mod journal;
pub mod language;
pub mod link;
pub mod model;
pub mod node;
pub mod observe;
pub mod parcel;
pub mod pki;
pub mod post;
pub mod sample;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod spool;
pub mod traces;
pub mod wire;
