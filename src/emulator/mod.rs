//! A UDP link between an edge and a hub, as bad as it is in the field.
//!
//! The edge dials [`Emulator::address`] instead of the hub; every datagram then goes through a [`Pipe`], one for each direction,
//! that serialises it at the link's rate or along a recorded [`Trace`], holds it in a droptail buffer, delays it, and loses it at random, in bursts or in an
//! outage. The demo, the lab and the tests use it. `Pipe` is pure: it is told the time and given the random source, so one seed
//! and one sequence of offers always give one result. [`Emulator`] is the shell around two of them, with sockets and a clock
//! that is good to about a millisecond.

mod pipe;
mod profile;
mod random;
mod relay;
mod trace;

pub use pipe::{Loss, Pipe, Verdict};
pub use profile::{Burst, Direction, Outages, Profile, ProfileError};
pub use random::SplitMix64;
pub use relay::{Counters, Emulator, LinkStats, PACKET_OVERHEAD_BYTES};
pub use trace::{Trace, TraceError};
