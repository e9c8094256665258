//! Sessions over real sockets, through the emulator.

mod blocked;
mod carrying;
mod ending;
mod flood;
pub(crate) mod net;
mod returned;
mod world;
