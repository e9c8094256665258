//! casegate: a secure message gateway for constrained links.

pub mod api;
pub mod cli;
pub mod cloudevents;
pub mod codec;
pub mod config;
pub mod delivery;
pub mod emulator;
pub mod journal;
pub mod link;
pub mod model;
pub mod node;
pub mod observe;
pub mod parcel;
pub mod pki;
pub mod sample;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod wire;
